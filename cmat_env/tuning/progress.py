"""How far a run has come: its checkpoints, and going on from the latest of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cmat_env.log import versions
from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning import checkpoint
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.events import Report
from cmat_env.tuning.folder import RunFolder
from cmat_env.tuning.state import KnownSettings, Stateful, collect, restore


class Progress:
    """The checkpoints of a run.

    Args:
        settings: of the run.
        folder: of the run.
        report: told of what was resumed, and of what is not as it was.
    """

    def __init__(self, settings: RunSettings, folder: RunFolder, report: Report) -> None:
        self._settings = settings
        self._folder = folder.checkpoints
        self._report = report
        self._known = KnownSettings(settings)
        self._parts: dict[str, Stateful] = {}

    def keeps(self, parts: Mapping[str, Stateful]) -> None:
        """What a checkpoint holds, beside the settings."""
        self._parts = {"settings": self._known, **parts}

    def save(self, iteration: int, *, score: float | None) -> None:
        """Write a checkpoint, and drop those that need not be kept.

        Args:
            iteration: the one that is done.
            score: of its evaluation, if there was one.

        Raises:
            CheckpointError: it cannot be written.
        """
        checkpoint.save(
            self._folder,
            iteration,
            collect(self._parts),
            keep=self._settings.keep_checkpoints,
            keep_best=self._settings.keep_best,
            score=score,
        )

    def restore(self, policy: HFPolicy) -> bool:
        """Go on from the latest checkpoint that is whole, if there is one; damaged ones after it are set aside.

        Args:
            policy: whose weights are among what was kept.

        Raises:
            CheckpointError: its parts are not those of this run, or do not fit.
        """
        damaged: list[tuple[Path, str]] = []
        found = checkpoint.latest(self._folder, on_damaged=lambda path, why: damaged.append((path, why)))
        if found is None:
            return False
        restore(found, self._parts)
        policy.weights_changed()
        for path, why in damaged:
            aside = checkpoint.set_aside(path)
            self._notice(f"{why}. It is set aside as {aside.name}; what came after {found.path.name} is done again")
        checkpoint.drop_old(  # a kill may have come between the last write and this
            self._folder, keep=self._settings.keep_checkpoints, keep_best=self._settings.keep_best
        )
        if self._known.changed:
            self._notice(f"settings changed since iteration {found.iteration}: {', '.join(self._known.changed)}")
        was, now = found.versions, versions()
        other = [f"{name} {was.get(name)}, now {now[name]}" for name in now if was.get(name) != now[name]]
        if other:
            self._notice(f"the checkpoint was written by {'; '.join(other)}: the last bits may come out otherwise")
        self._report("resumed", {"iteration": found.iteration})
        return True

    def is_best(self, score: float | None) -> bool:
        """Is this evaluation better than all before it? Where the best is not kept, none is."""
        if score is None or not self._settings.keep_best:
            return False
        best = checkpoint.best_of(self._folder)
        return best is None or score > best[0]

    def _notice(self, text: str) -> None:
        self._report("notice", {"text": text})
