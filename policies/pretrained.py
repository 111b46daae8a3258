"""Read a model folder in the Hugging Face format, or the `final/` of a run with the weights of one of its roles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as bars

from cmat_env.errors import ConfigError
from cmat_env.policies import virtual

HUB = "hub:"
_WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")


def folder_of(path: str | os.PathLike[str]) -> Path:
    """The folder of a model; one of the hub is downloaded first, unless it is there already.

    Raises:
        ConfigError: the hub does not give it.
    """
    name = os.fspath(path)
    if not name.startswith(HUB):
        return Path(name)
    wanted = name.removeprefix(HUB)
    try:
        return Path(snapshot_download(wanted, allow_patterns=list(_WANTED)))
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{wanted} cannot be had from the Hugging Face Hub: {reason}. Get it some other way and name its folder, "
            "such as --set model.path=FOLDER"
        ) from error


def read(
    folder: Path, *, adapter: str | None, default: str, dtype: str = "auto", device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, torch.Tensor | None]:
    """A model, a LoRA merged in, its tokenizer, and the virtual tokens of P-tuning where the adapter is of that kind.

    Args:
        folder: of the model.
        adapter: sub-folder to take the weights from.
        default: sub-folder that is taken if `adapter` is None and it exists.
        dtype: of the weights, such as "bfloat16"; "auto" = as they were saved.
        device: where they go, such as "cuda:1"; "auto" = to a GPU if there is one.

    Raises:
        ConfigError: the folder is not there or holds no such model, or there is no such device.
    """
    if not folder.is_dir():
        raise ConfigError(f"no model folder at {folder}; wanted a folder in the Hugging Face format")
    part = folder / (adapter or default)
    if adapter and not part.is_dir():
        raise ConfigError(f"{folder} has no adapter {adapter!r}; it has {', '.join(roles_in(folder)) or 'none'}")
    if not (folder / "config.json").exists():
        raise ConfigError(f"{folder} holds no model: config.json is missing")
    full = part.is_dir() and not _is_adapter(part)
    place = device_of(device)
    with without_bars():
        try:
            model = AutoModelForCausalLM.from_pretrained(part if full else folder, local_files_only=True, dtype=dtype)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, SafetensorError) as error:
            raise ConfigError(f"the model in {folder} cannot be loaded: {error}") from error
        prompt = virtual.load(part) if _is_adapter(part) else None
        if _is_adapter(part) and prompt is None:
            from peft import PeftModel  # noqa: PLC0415 - four seconds to import

            with torch.random.fork_rng(devices=[]):  # the adapter is filled at random before it is read
                model = PeftModel.from_pretrained(model, str(part)).merge_and_unload()
    nn.Module.to(model, place)
    return model, tokenizer, None if prompt is None else prompt.to(model.device, model.dtype)


def device_of(name: str) -> torch.device:
    """A device by name.

    Raises:
        ConfigError: there is none of this name here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device={name!r} is not here: {reason}; give cpu, or auto for a GPU if there is one"
        ) from None


@contextmanager
def without_bars() -> Iterator[None]:
    """Progress bars of transformers are for large files; they would write over a live view."""
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _is_adapter(folder: Path) -> bool:
    return (folder / virtual.CONFIG).exists()


def roles_in(folder: Path) -> tuple[str, ...]:
    """The roles whose weights a model folder holds in sub-folders, in order of name."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(part.name for part in folder.iterdir() if (part / "config.json").exists() or _is_adapter(part)))
