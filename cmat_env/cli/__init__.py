"""The command `cmat`.

    cmat list | play | eval | compare | replay | curate | train | presets | sb3 | watch | report | export | demo
    cmat serve | doctor | new | memory | rootfs

Exit status: 0 = done, 1 = a run that failed, 2 = a user's mistake, with one line on what to do, 130 = Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from cmat_env.cli import (
    compare,
    curate,
    evaluate,
    export,
    info,
    memory,
    new,
    play,
    presets,
    replay,
    report,
    rootfs,
    sb3,
    serve,
    train,
    watch,
)
from cmat_env.errors import CmatError
from cmat_env.terminal import printable

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="cmat",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Add --debug (or set CMAT_DEBUG=1) to see where an error came from.",
)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        print(version("cmat-env"))
        raise typer.Exit


@app.callback()
def _options(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda wanted: _show_version(wanted=wanted),
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Train teams of language-model agents by environment feedback."""


app.command("list")(info.list_command)
app.command("eval")(evaluate.eval_command)
app.command("compare")(compare.compare_command)
app.command("export")(export.export_command)
app.command("play")(play.play_command)
app.command("replay")(replay.replay_command)
app.command("curate")(curate.curate_command)
app.command("train", cls=presets.ListsPresets)(train.train_command)
app.command("presets")(presets.presets_command)
app.command("sb3")(sb3.sb3_command)
app.command("watch")(watch.watch_command)
app.command("report")(report.report_command)
app.command("demo")(train.demo_command)
app.command("serve")(serve.serve_command)
app.command("doctor")(info.doctor_command)
app.add_typer(memory.memory_app, name="memory")
app.add_typer(new.new_app, name="new")
app.add_typer(rootfs.rootfs_app, name="rootfs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cmat` with these arguments, by default those of the process, and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or bool(os.environ.get("CMAT_DEBUG"))
    given = [argument for argument in given if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a sign that the terminal lacks must not end a run
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # module:attribute also names the user's own files
    try:
        status = typer.main.get_command(app).main(args=given, prog_name="cmat", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing is left to flush to
        return 0
    except Exception as error:  # the outermost boundary: what went wrong becomes a line and a status
        return _report(error, debug=debug)
    if status == INTERRUPTED:  # newer typers turn Ctrl-C into this status themselves
        _say("stopped")
    return status if isinstance(status, int) else 0


def _report(error: Exception, *, debug: bool) -> int:
    """Say in one line what went wrong, and return the exit status."""
    if debug:
        traceback.print_exception(error)
    usage = getattr(error, "format_message", None)  # of typer's own errors, whichever click it stands on
    if usage is not None:
        if usage():  # empty where typer has just shown the help
            _say(f"error: {usage()}")
        return MISTAKE
    if isinstance(error, CmatError):
        _say(f"error: {error}")
        return MISTAKE
    hint = "" if debug else " (add --debug to see where)"
    _say(f"error: {type(error).__name__}: {error}{hint}")
    return FAILED


def _say(text: str) -> None:
    print(" ".join(printable(text).split()), file=sys.stderr, flush=True)
