"""What a folder of a run says, read again as it grows: metrics, episodes by group, settings, the report at the end.

A run is what `cmat train`, `cmat eval --record` or a suite has left, or is just writing. Nothing here needs torch.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmat_env.errors import LogError
from cmat_env.log import LOG_NAME
from cmat_env.log_lines import EpisodeRecord
from cmat_env.log_tail import LogTail
from cmat_env.scores import EpisodeRow, Score
from cmat_env.suite import SUITE_NAME
from cmat_env.suite_report import REPORT_NAME
from cmat_env.tuning.curve import METRICS, read_metrics
from cmat_env.tuning.folder import CONFIG, TRAINING

LATEST = 8
KEPT = 3
"""Episodes of each group that are kept whole: the latest solved ones and the latest others."""

_MEASURED = frozenset({"iteration", "success", "roles"})
_PHASES = {"before tuning": 0, "training": 1, "after tuning": 2}


class Tally:
    """The episodes of one group: a phase of a run, a part of a suite, an environment.

    Attributes:
        name: of the group.
        rows: one an episode, of its last trial.
        payments: by role and reason, of all trials: each payment's amount.
        solved, failed: the latest few of each, with their place in the log, from 1.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[EpisodeRow] = []
        self.payments: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.solved: deque[tuple[int, EpisodeRecord]] = deque(maxlen=KEPT)
        self.failed: deque[tuple[int, EpisodeRecord]] = deque(maxlen=KEPT)
        self._places: dict[tuple[object, ...], int] = {}

    @property
    def score(self) -> Score:
        """How the episodes went."""
        return Score.of(self.rows)

    @property
    def failures(self) -> Counter[str]:
        """How often each outcome ended an episode that was not solved."""
        return Counter(row.outcome for row in self.rows if not row.success)

    def of_type(self, kind: str) -> Score:
        """How the episodes of a type of task went."""
        return Score.of([row for row in self.rows if row.task_type == kind])

    def add(self, record: EpisodeRecord, number: int) -> None:
        """Count an episode; a later trial takes the place of the one before it."""
        episode = record.trajectory
        key = (record.notes.get("iteration"), episode.env_id, episode.task_id, episode.seed, episode.sample)
        if episode.trial and key in self._places:
            self.rows[self._places[key]] = EpisodeRow.of(episode)
        else:
            self._places[key] = len(self.rows)
            self.rows.append(EpisodeRow.of(episode))
        for payment in episode.payments:
            self.payments[payment.role, payment.reason].append(payment.amount)
        (self.solved if episode.success else self.failed).append((number, record))


class RunLog:
    """A run's folder, looked at once or again and again.

    Args:
        path: of the folder.

    Attributes:
        settings: what it was started with: the configuration of a training run, else what the log says.
        metrics: one object an iteration.
        tallies: by group, in the order in which they began.
        latest: the latest episodes: group, place in its log, the episode.
        report: what `report.json` holds; None = there is none yet.

    Raises:
        LogError: there is no run here, or a file of it is corrupt.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.settings: Mapping[str, Any] = {}
        self.metrics: list[dict[str, Any]] = []
        self.report: Mapping[str, Any] | None = None
        self._clear()
        self.refresh()

    def refresh(self) -> None:
        """Read what is new.

        Raises:
            LogError: see the class.
        """
        logs = self._logs()
        before = self._restarts()
        for log in [*(log for log in self._tails if log not in logs), *logs]:
            self._follow(log)
        if before != self._restarts():  # a log was cut back: what it held is counted anew
            self._clear()
            for log in logs:
                self._follow(log)
        self.settings = self._config() or self._recorded
        self.metrics = self._metrics()
        self.report = self._report()

    @property
    def groups(self) -> list[Tally]:
        """The tallies in the order of a run's phases."""
        return sorted(self.tallies.values(), key=lambda tally: _PHASES.get(tally.name, 0))

    @property
    def is_training(self) -> bool:
        """Is it a run of `cmat train`?"""
        return (self.path / CONFIG).exists() or bool(self.metrics)

    @property
    def iterations(self) -> int:
        """How many a training run is to have; 0 = nobody knows."""
        wanted = self.settings.get("iterations")
        return wanted if isinstance(wanted, int) else 0

    @property
    def has_ended(self) -> bool:
        """Is the report there, and does it tell of all that the logs hold?"""
        if self.report is None:
            return False
        newest = max(map(_changed, [*self._logs(), self.path / METRICS]))
        return self._covers(self.report) or _changed(self.path / REPORT_NAME) >= newest

    @property
    def changed(self) -> float:
        """When something was written last, in seconds since the epoch."""
        files = [*self._logs(), self.path / METRICS, self.path / CONFIG, self.path / REPORT_NAME]
        return max(map(_changed, files))

    @property
    def alarms(self) -> Sequence[Mapping[str, Any]]:
        """Those of the latest iteration."""
        return self.metrics[-1].get("alarms", ()) if self.metrics else ()

    def _clear(self) -> None:
        """Forget what the logs held."""
        self.tallies: dict[str, Tally] = {}
        self.latest: deque[tuple[str, int, EpisodeRecord]] = deque(maxlen=LATEST)
        self._recorded: Mapping[str, Any] = {}
        self._numbers: Counter[Path] = Counter()
        self._tails: dict[Path, LogTail] = {}

    def _logs(self) -> list[Path]:
        """The logs of the run, the one that was written last at the end.

        Raises:
            LogError: there is no run.
        """
        if not self.path.is_dir():
            came = "is a file" if self.path.exists() else "does not exist"
            raise LogError(
                f"{self.path} {came}; wanted the folder of a run, as cmat train --out or cmat eval --record leave it"
            )
        own = [log for log in (self.path / LOG_NAME, self.path / TRAINING) if log.exists()]
        parts = [] if own else [part / LOG_NAME for part in self.path.iterdir() if (part / LOG_NAME).exists()]
        signs = (CONFIG, METRICS, SUITE_NAME, REPORT_NAME)
        if not own and not parts and not any((self.path / sign).exists() for sign in signs):
            raise LogError(
                f"{self.path} holds no run: none of {LOG_NAME}, {METRICS} and {CONFIG} is in it; name the folder that "
                "was given to cmat train --out or cmat eval --record"
            )
        return sorted(own + parts, key=lambda log: (_changed(log), log))

    def _restarts(self) -> int:
        return sum(tail.restarts for tail in self._tails.values())

    def _follow(self, log: Path) -> None:
        """Take in what is new in a log."""
        tail = self._tails.setdefault(log, LogTail(log))
        for record in tail.read():
            self._numbers[log] += 1
            name = self._group(log, record)
            tally = self.tallies.setdefault(name, Tally(name))
            tally.add(record, self._numbers[log])
            self.latest.append((name, self._numbers[log], record))
            if not self._recorded:
                self._recorded = {"policies": record.policies, "settings": record.settings, "versions": record.versions}

    def _group(self, log: Path, record: EpisodeRecord) -> str:
        if log.name == TRAINING:
            return "training"
        if "phase" in record.notes:
            return f"{record.notes['phase']} tuning"
        return log.parent.name if log.parent != self.path else record.trajectory.env_id

    def _config(self) -> Mapping[str, Any]:
        file = self.path / CONFIG
        try:
            return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        except (OSError, ValueError) as error:
            raise LogError(f"{file}: cannot be read as TOML: {error}; put back what cmat train wrote") from error

    def _metrics(self) -> list[dict[str, Any]]:
        try:
            lines = read_metrics(self.path) if (self.path / METRICS).exists() else []
        except (OSError, ValueError) as error:
            raise LogError(f"{self.path / METRICS}: a line is not JSON: {error}; cut that line away") from error
        for number, line in enumerate(lines, start=1):
            if not isinstance(line, dict) or not line.keys() >= _MEASURED:
                raise LogError(
                    f"{self.path / METRICS}:{number}: wanted an object with {', '.join(sorted(_MEASURED))}; was it "
                    "written by cmat train?"
                )
        return lines

    def _report(self) -> Mapping[str, Any] | None:
        """The report; a torn one is not there yet."""
        try:
            found = json.loads((self.path / REPORT_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _covers(self, report: Mapping[str, Any]) -> bool:
        """Does a report count the episodes that the logs hold?"""
        if self.is_training:
            return bool(self.metrics) and report.get("episodes") == self.metrics[-1].get("episodes")
        try:
            reports = [part["report"] for part in report["parts"].values()] if "suite" in report else [report]
            counted = sorted(each["episodes"] for each in reports)
        except (LookupError, TypeError, AttributeError):
            return False
        return counted == sorted(len(tally.rows) for tally in self.tallies.values())


def _changed(file: Path) -> float:
    """When a file was written last, in seconds since the epoch; 0 = it is not there, or no longer."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0
