"""Checkpoints: whole or not there, verified when read, the latest few and the best, and clear words about the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cmat_env.errors import CheckpointError
from cmat_env.tuning import checkpoint
from cmat_env.tuning.checkpoint import DamagedError


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    """Tensors bit for bit, numbers and nested names as they were; the folder is made; score and versions are known."""
    folder = tmp_path / "run" / "checkpoints"
    state: dict[str, Any] = {
        "weights": {"a": torch.tensor([0.1, -0.0]), "b": torch.tensor(3, dtype=torch.bfloat16)},
        "n": {1: (2, "x")},
    }
    path = checkpoint.save(folder, 7, state, score=0.25)
    found = checkpoint.latest(folder)

    assert folder / "000007" == path
    assert ["manifest.json", "state.pt"] == names(path)
    assert found is not None
    assert (path, 7, 0.25, {1: (2, "x")}) == (found.path, found.iteration, found.score, found.state["n"])
    assert found.versions["torch"].startswith(torch.__version__.partition("+")[0])
    for name, tensor in state["weights"].items():
        again = found.state["weights"][name]
        assert tensor.dtype == again.dtype
        assert torch.equal(tensor.flatten().view(torch.uint8), again.flatten().view(torch.uint8))


def test_the_latest_few_and_the_best_are_kept(tmp_path: Path) -> None:
    """The latest by number, not by name; the best is the first of the highest score, and stays until a better comes."""
    kept = {}
    scores = {1: 0.5, 2: None, 9: 0.5, 10: 0.25, 11: 0.75, 1_000_000: None, 1_000_001: None}
    for iteration, score in scores.items():
        checkpoint.save(tmp_path, iteration, {}, score=score)
        kept[iteration] = names(tmp_path)

    assert ["000001", "000002", "000009"] == kept[9]
    assert ["000001", "000009", "000010"] == kept[10]
    assert ["000010", "000011"] == kept[11]
    assert ["000011", "1000000", "1000001"] == kept[1_000_001]
    assert (0.75, tmp_path / "000011") == checkpoint.best_of(tmp_path)


@pytest.mark.parametrize(("keep", "best", "left"), [(1, False, ["000003"]), (1, True, ["000001", "000003"])], ids=str)
def test_settings_say_how_many_are_kept(tmp_path: Path, keep: int, best: bool, left: list[str]) -> None:
    """One alone, or one and the best."""
    for iteration in (1, 2, 3):
        checkpoint.save(tmp_path, iteration, {}, keep=keep, keep_best=best, score=1 / iteration)

    assert left == names(tmp_path)


def test_no_folder_and_an_empty_one_hold_no_checkpoint(tmp_path: Path) -> None:
    """Nothing to resume is no error here."""
    assert checkpoint.latest(tmp_path / "nowhere") is None
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.best_of(tmp_path) is None


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("writing file data/0 failed")])
def test_a_write_that_fails_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A clear error, nothing torn, and the checkpoint of before still reads; test_full_disk.py has a real disk."""
    checkpoint.save(tmp_path, 1, {})

    def fail(state: Any, file: Any) -> None:
        file.write(b"half")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"000002 cannot be written: .*before it are whole\. Make room"):
        checkpoint.save(tmp_path, 2, {})
    found = checkpoint.latest(tmp_path)

    assert ["000001"] == names(tmp_path)
    assert found is not None
    assert 1 == found.iteration


def test_what_a_crash_left_is_passed_over(tmp_path: Path) -> None:
    """Half a checkpoint, or one on its way out, is none; the next save removes it, and nothing else."""
    checkpoint.save(tmp_path, 1, {})
    for name in ("000002.partial", "000000.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.pt").write_bytes(b"half")
    (tmp_path / "notes").mkdir()
    found = checkpoint.latest(tmp_path)
    checkpoint.save(tmp_path, 3, {})

    assert found is not None
    assert 1 == found.iteration
    assert ["000001", "000003", "notes"] == names(tmp_path)


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "torn state": ("state.pt", lambda data: data[: len(data) // 2], "state.pt has bytes"),
    "a bit": ("state.pt", lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:], "state.pt has sha256"),
    "no state": ("state.pt", lambda data: None, "state.pt cannot be read"),
    "torn manifest": ("manifest.json", lambda data: data[:40], "manifest.json cannot be read"),
    "empty manifest": ("manifest.json", lambda data: b"", "manifest.json cannot be read"),
    "no manifest": ("manifest.json", lambda data: None, "manifest.json cannot be read"),
    "other JSON": ("manifest.json", lambda data: b"[1]", "names no schema"),
    "no checksums": ("manifest.json", lambda data: b'{"schema": 2, "iteration": 1}', "lacks what a manifest says"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, kind: str) -> None:
    """With its path and what is wrong with it; whoever wants to know of it gets the one before."""
    name, change, words = DAMAGE[kind]
    for iteration in (3, 4):
        path = checkpoint.save(tmp_path, iteration, {"weights": torch.zeros(100)})
    data = change((path / name).read_bytes())
    if data is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(data)
    told: list[tuple[Path, str]] = []
    found = checkpoint.latest(tmp_path, on_damaged=lambda path, why: told.append((path, why)))

    with pytest.raises(DamagedError, match=f"000004 is damaged: .*{words}"):
        checkpoint.latest(tmp_path)
    assert found is not None
    assert 3 == found.iteration
    [(damaged, why)] = told
    assert path == damaged
    assert words in why


def test_where_all_are_damaged_nothing_is_guessed(tmp_path: Path) -> None:
    """An error that says how to train again from the warm start; the files stay."""
    for iteration in (1, 2):
        (checkpoint.save(tmp_path, iteration, {}) / "state.pt").write_bytes(b"junk")

    with pytest.raises(DamagedError, match=r"no checkpoint in .* is whole; to train again from the warm start, remove"):
        checkpoint.latest(tmp_path, on_damaged=lambda path, why: None)
    assert ["000001", "000002"] == names(tmp_path)


def test_a_damaged_one_is_set_aside(tmp_path: Path) -> None:
    """Under a name that does not count; a second time too."""
    for _ in range(2):
        aside = checkpoint.set_aside(checkpoint.save(tmp_path, 1, {}))

    assert tmp_path / "000001.damaged" == aside
    assert ["000001.damaged"] == names(tmp_path)
    assert checkpoint.latest(tmp_path) is None


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    """A file that wants more than tensors and plain values is refused, not executed, also where checksums are right."""

    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'trap')!r}, 'w').close()",)

    checkpoint.save(tmp_path, 1, {"weights": Trap()})
    with pytest.raises(DamagedError, match="holds no state"):
        checkpoint.latest(tmp_path)

    assert not (tmp_path / "trap").exists()


def test_another_version_is_refused(tmp_path: Path) -> None:
    """What it has, what is wanted and what to do; nobody falls back to an older one, or renames anything."""
    checkpoint.save(tmp_path, 1, {})
    manifest = checkpoint.save(tmp_path, 2, {}) / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema": 3}))

    with pytest.raises(
        CheckpointError, match=r"000002 is a checkpoint of schema 3; this cmat-env .* reads schema 2\. Go"
    ):
        checkpoint.latest(tmp_path, on_damaged=lambda path, why: pytest.fail("damaged"))
    assert ["000001", "000002"] == names(tmp_path)


def test_a_checkpoint_of_the_first_schema_is_recognised(tmp_path: Path) -> None:
    """It was a single file."""
    torch.save({"schema": 1, "iteration": 10, "weights": {}, "tuner": {}}, tmp_path / "000010.pt")

    with pytest.raises(
        CheckpointError, match=r"000010\.pt is a checkpoint of schema 1; this cmat-env .* reads schema 2"
    ):
        checkpoint.latest(tmp_path)
