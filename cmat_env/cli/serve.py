"""`cmat serve`: tuned roles behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from cmat_env.cli.extras import require_train
from cmat_env.errors import ConfigError, MissingExtraError


def serve_command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A model folder, or the final/ of a run: each role is a model.")
    ],
    *,
    name: Annotated[str | None, typer.Option(help="Of a folder's only model; by default the folder's name.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at. Nobody is asked for a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 = a free one.")] = 8000,
    window: Annotated[
        float, typer.Option(min=0.0, help="Seconds that the first request of a batch waits for others.")
    ] = 0.005,
) -> None:
    """Serve /v1/models and /v1/chat/completions, with log-probabilities, streams and batches of concurrent requests."""
    require_train()
    try:
        import uvicorn  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("uvicorn", "serve") from error
    from cmat_env.policies.server import ChatServer, load  # noqa: PLC0415

    server = ChatServer(load(folder, name), window=window)
    listener = _listen(host, port)
    place = f"http://{host}:{listener.getsockname()[1]}/v1"
    print(f"{', '.join(server.models)} at {place}; try: cmat eval ENV --assistant openai:{server.models[0]} ", end="")
    print(f"--base-url {place}", flush=True)
    try:
        uvicorn.Server(uvicorn.Config(server.app, log_level="warning")).run(sockets=[listener])
    finally:
        server.close()
    print("stopped", file=sys.stderr)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {host}:{port}: {error.strerror or error}; choose another --port"
        ) from error
