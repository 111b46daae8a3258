"""A training run: warm start, evaluation, tuning from the environment's reward, evaluation, and everything on disk.

A run that is killed at any moment and resumed ends as one that was not: see `cmat_env.tuning.state` for what a
checkpoint holds, and `cmat_env.tuning.folder` for what else is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.chat_rows import read_rows
from cmat_env.experience import Experience
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.report import EvalReport
from cmat_env.rollout import Rollout
from cmat_env.tuning import board, checkpoint, pairs
from cmat_env.tuning.adaptation import Adaptation
from cmat_env.tuning.balance import balanced, strength_at
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.curve import draw_png
from cmat_env.tuning.evaluations import TEAM_GREEDY, Evaluations
from cmat_env.tuning.events import Interrupted, Report
from cmat_env.tuning.folder import BEST, FINAL, MEMORY, WARM_START, RunFolder, base_of, warmed_up
from cmat_env.tuning.metrics import Metrics
from cmat_env.tuning.progress import Progress
from cmat_env.tuning.recording import record
from cmat_env.tuning.state import (
    FrozenBase,
    ProcessorTime,
    RandomStates,
    Stateful,
)
from cmat_env.tuning.team import make_env, training_rollout
from cmat_env.tuning.tuner import Tuner
from cmat_env.tuning.warmup import warm_up
from cmat_env.types import Trajectory

__all__ = ["Interrupted", "Run"]


class Run:
    """One training run in one folder.

    Args:
        settings: everything that determines it.
        folder: where it is kept; made if missing.
        report: told what happens.
        stop: asked between updates whether to stop.
        shown: what the tuner is shown of an iteration's episodes; for controls such as shuffled rewards.

    Attributes:
        evaluations: of the policy, before, while and after it is tuned.
    """

    def __init__(
        self,
        settings: RunSettings,
        folder: Path,
        *,
        report: Report = lambda event, figures: None,
        stop: Callable[[], bool] = lambda: False,
        shown: Callable[[list[Trajectory]], list[Trajectory]] = lambda trajectories: trajectories,
    ) -> None:
        self.settings = settings
        self.folder = RunFolder(folder)
        self.evaluations = Evaluations(settings, self.folder, report)
        self._report = report
        self._stop = stop
        self._shown = shown
        self._time = ProcessorTime()
        self._pairs: list[pairs.Pair] = []
        self._adaptation = Adaptation(settings)
        self._progress = Progress(settings, self.folder, report)
        self._experience: Experience | None = None

    @property
    def results(self) -> dict[str, EvalReport]:
        """The evaluations before and after tuning."""
        return self.evaluations.results

    def execute(self, *, resume: bool = False) -> dict[str, Any]:
        """Do the whole run, or the rest of it; returns the report.

        Raises:
            ConfigError: there is a run in the folder already, or none to resume.
            CheckpointError: a checkpoint cannot be written, or read.
            LogError: something else cannot be written; as after any other end, the run can be resumed.
            Interrupted: the user asked to stop.
        """
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        make_env(self.settings, self.settings.task.train).close()  # shows a mistake in its settings
        if self.settings.tensorboard:
            board.require()
        if self.settings.pairs.path:  # and so in a pairs file
            pairs.read(Path(self.settings.pairs.path), self.settings.team.learners)
        if self.settings.warm_start.file:  # and in one of demonstrations
            read_rows(self.settings.warm_start.file)
        with self.folder.open(self.settings, resume=resume), closing(self):
            policy = self.policy(self.warm_start(resume=resume))
            tuner = self._begin(policy)
            if not (resume and self._progress.restore(policy)):
                self._clear()
                self.evaluations.final("before", policy)
                self._progress.save(tuner.iteration, score=None)
            self._tune(policy, tuner)
            self.folder.save_model(policy, FINAL)
            self.evaluations.final("after", policy)
            return self._finish(policy)

    def close(self) -> None:
        """Let go of the long-term memory; twice is fine."""
        if self._experience:
            self._experience.memory.close()
            self._experience = None

    def train(self, policy: HFPolicy, *, resume: bool = False) -> Tuner:
        """Tune the learners of a policy from the environment's reward."""
        tuner = self._begin(policy)
        if not (resume and self._progress.restore(policy)):
            self._clear()
        self._tune(policy, tuner)
        return tuner

    def warm_start(self, *, resume: bool) -> HFPolicy:
        """The model to tune: one that is given, the one of the run being resumed, or a new TinyAgent warmed up.

        It is read from the disk in any case, so that a run that is resumed begins from the same.
        """
        settings = self.settings
        made = resume and (self.folder.path / WARM_START).exists()
        if warmed_up(settings) and not made:
            warm_up(settings, self.folder, resume=resume, report=self._report, stop=self._stop)
        size, base = settings.model, base_of(settings, self.folder.path)
        return HFPolicy.load(base, roles=settings.team.roles, dtype=size.dtype, device=size.device)

    def policy(self, base: HFPolicy) -> HFPolicy:
        """One set of weights per role over the base."""
        size, scripted = self.settings.model, self.settings.team.scripted_user is not None
        return HFPolicy(
            base.weights.base,
            base.chat.tokenizer,
            roles=[role for role in self.settings.team.roles if role != "user" or not scripted],
            adapter=AdapterSettings(size.adapter, rank=size.rank, tokens=size.virtual_tokens),
            sampling=Sampling(temperature=size.temperature, max_new_tokens=size.max_new_tokens),
            seed=self.settings.seed,
            gradient_checkpointing=size.gradient_checkpointing,
        )

    # -- the parts -----------------------------------------------------------------------------------------------

    def _begin(self, policy: HFPolicy) -> Tuner:
        """What tunes the policy, and what a checkpoint holds; the logs come after all that may not fit."""
        tuner = Tuner(policy, self.settings.team.learners, self.settings.tuner, seed=self.settings.seed)
        self._time = ProcessorTime()
        self._pairs = pairs.of_settings(self.settings, policy)
        parts: dict[str, Stateful] = {
            "weights": policy.weights,
            "base": FrozenBase(policy.weights),
            "tuner": tuner,
            "adaptation": self._adaptation,
            "random": RandomStates(),
            "seconds": self._time,
            "logs": self.folder,
            "evaluations": self.evaluations,
        }
        if self.settings.memory.recall:
            self.close()
            known = LongTermMemory(self.folder.path / MEMORY, self.settings.memory)
            self._experience, parts["memory"] = Experience(known, writes=True), known
        self._progress.keeps(parts)
        return tuner

    def _clear(self) -> None:
        """Begin anew: no logs, no checkpoints, nothing remembered."""
        self.folder.clear()
        if self._experience:
            self._experience.memory.load_state_dict({"episodes": 0, "last": 0, "entries": []})

    def _tune(self, policy: HFPolicy, tuner: Tuner) -> None:
        """The iterations that are left."""
        settings = self.settings
        rollout = training_rollout(policy, settings, self._experience)
        try:
            with Metrics(self.folder, settings, iteration=tuner.iteration) as metrics:
                while tuner.iteration < settings.iterations:
                    score = self._iterate(policy, tuner, rollout, metrics)
                    done, stop = tuner.iteration, self._stop()
                    due = done % settings.checkpoint_every == 0 or done == settings.iterations
                    if stop or due or self._progress.is_best(score):
                        self._progress.save(done, score=score)
                    if stop:
                        raise Interrupted
        finally:
            rollout.close()
            self._adaptation.close()

    def _iterate(self, policy: HFPolicy, tuner: Tuner, rollout: Rollout, metrics: Metrics) -> float | None:
        """Play a batch, learn from it, and write down what happened; returns the team's success if it was evaluated."""
        settings = self.settings
        started, wall = time.process_time(), time.perf_counter()
        result = rollout.run(self._adaptation.episodes(tuner.iteration))
        if self._experience:
            self._experience.learn(result.finished, roles=rollout.minds)
        played = time.process_time()
        shown = self._shown(result.finished)
        learned = balanced(shown, strength=strength_at(tuner.iteration, settings.team.balance))
        factors = self._adaptation.factors()
        preferences = self._preferences(shown, tuner.iteration)
        statistics = tuner.update(learned, preferences=preferences, factors=factors)
        record(self.folder.path, tuner, shown, settings)
        first = [trial for trial in shown if not trial.trial]
        success = [trial.success for trial in result.finished if not trial.trial]
        line: dict[str, Any] = {
            "iteration": tuner.iteration,
            "episodes": tuner.iteration * settings.episodes,
            "success": sum(success) / max(1, len(success)),
            **_by_member(first),
            "dropped": len(result.dropped),
            "roles": {role: {**found, "factor": factors[role]} for role, found in statistics.items()},
            "rollout_seconds": played - started,
            "update_seconds": time.process_time() - played,
            "wall_seconds": time.perf_counter() - wall,
        }
        every = settings.evaluate_every
        if every and tuner.iteration % every == 0:
            line["evaluation"] = self.evaluations.now(policy)
        if settings.trials.most > 1:
            solved = sum(last.success for last in result.trajectories if last is not None)
            line["success_in_trials"] = solved / max(1, len(success))
        self._adaptation.saw(first, line.get("evaluation"))
        metrics.write(line)
        self._report("iteration", line)
        score: float | None = line.get("evaluation", {}).get(TEAM_GREEDY)
        return score

    def _preferences(self, trajectories: Sequence[Trajectory], iteration: int) -> list[Trajectory]:
        """What dpo compares beside these episodes: the file's share of the iteration, and their revisions."""
        settings = self.settings
        if settings.tuner.algorithm != "dpo":
            return []
        revised = pairs.revisions(trajectories) if settings.pairs.revisions else ()
        given = pairs.of_iteration(self._pairs, iteration, each=settings.pairs.each, seed=settings.seed)
        return [*(given if self._pairs else ()), *revised]

    def _finish(self, policy: HFPolicy) -> dict[str, Any]:
        """Write the report, and the best model where it is not the final one."""
        best = checkpoint.best_of(self.folder.checkpoints) if self.settings.keep_best else None
        if best and int(best[1].name) != self.settings.iterations:
            policy.weights.load_state_dict(checkpoint.load(best[1]).state["weights"])
            policy.weights_changed()
            self.folder.save_model(policy, BEST)
        summary = {
            "seed": self.settings.seed,
            "episodes": self.settings.iterations * self.settings.episodes,
            "cpu_seconds": self._time.seconds,
            "best_iteration": int(best[1].name) if best else None,
            "evaluations": {name: _brief(report) for name, report in self.results.items()},
            "checker": {name: asdict(found) for name, found in self.evaluations.with_and_without().items()},
        }
        self.folder.write_report(summary)
        draw_png(self.folder.path)
        self._report("finished", summary)
        return summary


def _brief(report: EvalReport) -> dict[str, Any]:
    """An evaluation without its single episodes."""
    return {name: value for name, value in report.to_json().items() if name != "per_episode"}


def _by_member(episodes: Sequence[Trajectory]) -> dict[str, dict[str, float]]:
    """Success of each member of a mixture, for the metrics; nothing where there is none."""
    members = EvalReport.of("", episodes, seconds=0.0).by_member
    return (
        {"success_by_member": {name: score.success_rate or 0.0 for name, score in members.items()}} if members else {}
    )
