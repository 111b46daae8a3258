"""Checkpoints: whole or not at all, the latest two, and clear words about what cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cmat_env.errors import CheckpointError
from cmat_env.tuning import checkpoint


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    """Tensors bit for bit, numbers and nested names as they were; the folder is made."""
    folder = tmp_path / "run" / "checkpoints"
    path = checkpoint.save(folder, 7, {"weights": {"a": torch.tensor([0.1])}, "tuner": {"kl": {"assistant": 0.3}}})
    state = checkpoint.latest(folder)

    assert folder / "000007.pt" == path
    assert state is not None
    assert (7, {"kl": {"assistant": 0.3}}) == (state["iteration"], state["tuner"])
    assert torch.equal(torch.tensor([0.1]), state["weights"]["a"])


def test_the_latest_two_are_kept(tmp_path: Path) -> None:
    """An older one is dropped only after the newer one is whole; the latest is that of the highest iteration."""
    for iteration in (1, 2, 10):
        checkpoint.save(tmp_path, iteration, {})
    state = checkpoint.latest(tmp_path)

    assert ["000002.pt", "000010.pt"] == sorted(path.name for path in tmp_path.iterdir())
    assert state is not None
    assert 10 == state["iteration"]


def test_no_folder_and_an_empty_one_hold_no_checkpoint(tmp_path: Path) -> None:
    """Nothing to resume is no error here."""
    assert checkpoint.latest(tmp_path / "nowhere") is None
    assert checkpoint.latest(tmp_path) is None


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("writing file data/0 failed")])
def test_a_write_that_fails_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """As on a full disk: a clear error, no torn file, and the checkpoint of before still reads."""
    checkpoint.save(tmp_path, 1, {})

    def fail(state: Any, file: Any) -> None:
        file.write(b"half")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"000002\.pt cannot be written"):
        checkpoint.save(tmp_path, 2, {})
    state = checkpoint.latest(tmp_path)

    assert ["000001.pt"] == [path.name for path in tmp_path.iterdir()]
    assert state is not None
    assert 1 == state["iteration"]


def test_a_torn_partial_file_is_passed_over(tmp_path: Path) -> None:
    """What a crash in the middle of writing leaves behind is no checkpoint, and the next save replaces it."""
    checkpoint.save(tmp_path, 1, {})
    (tmp_path / "000002.partial").write_bytes(b"half")
    state = checkpoint.latest(tmp_path)
    checkpoint.save(tmp_path, 2, {})

    assert state is not None
    assert 1 == state["iteration"]
    assert ["000001.pt", "000002.pt"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"junk", None], ids=["empty", "junk", "no mapping"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes | None) -> None:
    """With its path and what to do; never a guess."""
    path = checkpoint.save(tmp_path, 3, {"weights": torch.zeros(100)})
    if content is None:
        torch.save([1, 2], path)
    else:
        path.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"000003\.pt is damaged .*remove it"):
        checkpoint.latest(tmp_path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    """A file that wants more than tensors and plain values is refused, not executed."""

    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'trap')!r}, 'w').close()",)

    checkpoint.save(tmp_path, 1, {"weights": Trap()})
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.latest(tmp_path)

    assert not (tmp_path / "trap").exists()


def test_another_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has and what is wanted."""
    monkeypatch.setattr(checkpoint, "SCHEMA", 2)
    checkpoint.save(tmp_path, 1, {})
    monkeypatch.undo()

    with pytest.raises(CheckpointError, match="has schema 2; this version reads schema 1"):
        checkpoint.latest(tmp_path)
