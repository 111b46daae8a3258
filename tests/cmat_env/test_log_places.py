"""Where logs lie: a disk that fills up, a folder that is read-only, a reader without a terminal."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmat_env.cli import main
from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, LogError
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.policies.scripted import GoldPolicy
from cmat_env.rollout import Episode, Rollout
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.run import Run
from cmat_env.types import Task, Trajectory

ROOM = 16_384
Mount = Callable[..., None]


@pytest.fixture
def disk(tmp_path: Path, mount: Mount) -> Path:
    """A small disk of its own."""
    mount(tmp_path, "-o", f"size={ROOM}")
    return tmp_path


@pytest.fixture
def file_limit() -> Iterator[None]:
    """No file of this process may grow beyond the room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def episode(guess_task: Callable[..., Task]) -> Trajectory:
    """A short one."""
    rollout = Rollout(lambda: CollabEnv(guess_task(), roles=("assistant",)), {"assistant": GoldPolicy()})
    [played] = rollout.run([Episode(0)]).finished
    return played


def fill(log: Path, episode: Trajectory) -> int:
    """Write until there is no room; how many episodes were written."""
    count = 0
    with EpisodeWriter(log) as writer, pytest.raises(LogError, match=r"those before it are whole\. Make room"):
        while count < 1000:
            writer.write(episode)
            count += 1
    return count


def test_a_full_disk_leaves_whole_episodes(disk: Path, mount: Mount, episode: Trajectory) -> None:
    """The episode that did not fit is not there in part; with room again, the log goes on."""
    log = disk / "episodes.jsonl"
    count = fill(log, episode)
    torn: list[str] = []

    assert count > 3
    assert count == len(list(read_episodes(log, on_torn=torn.append)))
    assert [] == torn
    mount(disk, "-o", f"remount,size={4 * ROOM}")
    with EpisodeWriter(log) as writer:
        assert 0 == writer.torn_bytes
        writer.write(episode)
    assert count + 1 == len(list(read_episodes(log)))


def test_a_file_that_may_not_grow_leaves_whole_episodes(tmp_path: Path, file_limit: None, episode: Trajectory) -> None:
    """The same where the kernel refuses in the middle of a write."""
    log = tmp_path / "episodes.jsonl"
    count = fill(log, episode)

    assert count > 3
    assert count == len(list(read_episodes(log)))


def test_recording_onto_a_full_disk_is_one_clear_line(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`cmat eval --record` says what to do, and what it has recorded can be replayed."""
    arguments = ["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "40", "--record", str(disk)]

    assert 2 == main(arguments)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "an episode cannot be written: No space left on device; those before it are whole. Make room" in last
    assert 0 == main(["replay", str(disk), "--episode", "1"])
    assert "solved" in capsys.readouterr().out


def test_a_read_only_run_folder_is_read_and_not_written(
    tmp_path: Path, mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    """Replay and verify work; recording and training into it are mistakes that are named."""
    gold = ["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "2"]
    if os.geteuid():
        assert 0 == main([*gold, "--record", str(tmp_path)])
        tmp_path.chmod(0o555)
        (tmp_path / "episodes.jsonl").chmod(0o444)
    else:  # for root, a mode is no obstacle
        mount(tmp_path, "-o", "size=1m")
        assert 0 == main([*gold, "--record", str(tmp_path)])
        mount(tmp_path, "-o", "remount,ro")
    try:
        capsys.readouterr()
        assert 0 == main(["replay", str(tmp_path), "--tokens"])
        assert 0 == main(["replay", str(tmp_path), "--verify"])
        assert "2 of 2 episodes came again exactly" in capsys.readouterr().out
        assert 2 == main([*gold, "--record", str(tmp_path)])
        assert "cannot be written" in capsys.readouterr().err
        assert 2 == main(["replay", str(tmp_path), "--html", str(tmp_path / "page.html")])
        assert "page.html: cannot be written" in capsys.readouterr().err
        with pytest.raises(ConfigError, match="cannot be written to"):
            Run(RunSettings(), tmp_path).execute()
    finally:
        if os.geteuid():
            tmp_path.chmod(0o755)


def test_no_terminal_at_all_prints_everything(tmp_path: Path) -> None:
    """Standard input closed, no TERM, output to a pipe: as a service or a cron job would run it."""
    assert 0 == main(["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "2", "--record", str(tmp_path)])
    command = f"exec {sys.executable} -m cmat_env.cli replay {tmp_path} --tokens <&- | cat"
    environment = {name: value for name, value in os.environ.items() if name not in ("TERM", "COLUMNS")}
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, check=True)

    assert 2 == ran.stdout.count("✔ solved")
    assert "\x1b" not in ran.stdout
    assert "" == ran.stderr
