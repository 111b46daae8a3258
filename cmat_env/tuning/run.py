"""A training run: warm start, evaluation, tuning from the environment's reward, evaluation, and everything on disk.

FOLDER/config.toml      every setting, the defaults too
FOLDER/warm_start/      the model before tuning            FOLDER/final/    and after, each role's weights beside
FOLDER/checkpoints/     to resume from                     FOLDER/episodes.jsonl   evaluation episodes
FOLDER/metrics.jsonl    one line an iteration              FOLDER/report.json, curve.png
FOLDER/training.jsonl   some training episodes, with the credit of their tokens
FOLDER/tensorboard/     the metrics again, if wanted
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate
from cmat_env.log import EpisodeWriter
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.report import EvalReport
from cmat_env.rollout import Episode, Rollout
from cmat_env.tuning import alarms, board, checkpoint, pairs, sft
from cmat_env.tuning.balance import balanced
from cmat_env.tuning.config import RunSettings, to_toml
from cmat_env.tuning.curve import draw_png, read_metrics
from cmat_env.tuning.recording import record, trim
from cmat_env.tuning.team import made_with, make_env, memory, play, prompts
from cmat_env.tuning.tuner import Tuner
from cmat_env.tuning.warmup import demonstrate, tiny_agent
from cmat_env.types import Policy, Trajectory

Report = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of an event ("demonstrations", "warm_start", "evaluation", "iteration") and its figures."""

CONFIG, METRICS, REPORT, EPISODES = "config.toml", "metrics.jsonl", "report.json", "episodes.jsonl"


class Interrupted(KeyboardInterrupt):
    """The user asked to stop; what is needed to resume is on disk."""


class Run:
    """One training run in one folder.

    Args:
        settings: everything that determines it.
        folder: where it is kept; made if missing.
        report: told what happens.
        stop: asked between updates whether to stop.
        shown: what the tuner is shown of an iteration's episodes; for controls such as shuffled rewards.
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
        self.folder = folder
        self._report = report
        self._stop = stop
        self._shown = shown
        self.results: dict[str, EvalReport] = {}
        self._rows: list[dict[str, Any]] = []
        self._board: board.Board | None = None
        self._pairs: list[pairs.Pair] = []

    def execute(self, *, resume: bool = False) -> dict[str, Any]:
        """Do the whole run, or the rest of it; returns the report.

        Raises:
            ConfigError: there is a run in the folder already, or none to resume.
            Interrupted: the user asked to stop.
        """
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        make_env(self.settings, self.settings.task.train).close()  # shows a mistake in its settings
        if self.settings.tensorboard:
            board.require()
        if self.settings.pairs.path:  # and so in a pairs file
            pairs.read(Path(self.settings.pairs.path), self.settings.team.learners)
        self._open(resume=resume)
        base = self.warm_start(resume=resume)
        policy = self.policy(base)
        started = time.process_time()
        self._evaluate_all("before", policy, self.settings.final_episodes)
        self.train(policy, resume=resume)
        policy.save(self.folder / "final")
        self._evaluate_all("after", policy, self.settings.final_episodes)
        return self._finish(time.process_time() - started)

    def train(self, policy: HFPolicy, *, resume: bool = False) -> Tuner:
        """Tune the learners of a policy from the environment's reward."""
        settings = self.settings
        tuner = Tuner(policy, settings.team.learners, settings.tuner, seed=settings.seed)
        state = checkpoint.latest(self.folder / "checkpoints") if resume else None
        if state:
            policy.weights.load_state_dict(state["weights"])
            tuner.load_state_dict(state["tuner"])
            policy.weights_changed()
        self._trim_metrics(tuner.iteration)
        trim(self.folder, tuner.iteration)
        self._rows = read_metrics(self.folder)
        if settings.pairs.path:
            written = pairs.read(Path(settings.pairs.path), settings.team.learners)
            self._pairs = pairs.encode(written, policy)
        if settings.tensorboard:
            self._board = board.Board(self.folder, iteration=tuner.iteration)
        rollout = self._rollout(policy)
        try:
            while tuner.iteration < settings.iterations:
                self._iterate(policy, tuner, rollout)
                done, stop = tuner.iteration, self._stop()
                if stop or done % settings.checkpoint_every == 0 or done == settings.iterations:
                    state = {"weights": policy.weights.state_dict(), "tuner": tuner.state_dict()}
                    checkpoint.save(self.folder / "checkpoints", done, state)
                if stop:
                    raise Interrupted
        finally:
            rollout.close()
            if self._board:
                self._board.close()
        return tuner

    def evaluate(
        self,
        policy: HFPolicy,
        *,
        roles: Sequence[str],
        episodes: int,
        greedy: bool,
        others: Mapping[str, Policy] | None = None,
        on_end: Callable[[int, Trajectory], None] | None = None,
    ) -> EvalReport:
        """Success of a team on the evaluation tasks; the tasks are the same for every call."""
        settings = self.settings
        sampling = Sampling(greedy=greedy, max_new_tokens=settings.model.max_new_tokens)
        return evaluate(
            lambda: make_env(settings, settings.task.evaluate, roles),
            play(policy.with_sampling(sampling), roles, **(others or {})),
            episodes=[Episode(index) for index in range(episodes)],
            seed=settings.seed,
            prompts=prompts(settings),
            width=128,
            on_end=on_end,
        )

    # -- the parts -----------------------------------------------------------------------------------------------

    def _iterate(self, policy: HFPolicy, tuner: Tuner, rollout: Rollout) -> None:
        """Play a batch, learn from it, and write down what happened."""
        settings = self.settings
        started, wall = time.process_time(), time.perf_counter()
        result = rollout.run(self._episodes(tuner.iteration))
        played = time.process_time()
        shown = self._shown(result.finished)
        learned = balanced(shown) if settings.team.balance else shown
        statistics = tuner.update(learned, preferences=self._preferences(shown, tuner.iteration))
        record(self.folder, tuner, shown, settings)
        success = [trajectory.success for trajectory in result.finished]
        line: dict[str, Any] = {
            "iteration": tuner.iteration,
            "episodes": tuner.iteration * settings.episodes,
            "success": sum(success) / max(1, len(success)),
            "dropped": len(result.dropped),
            "roles": statistics,
            "rollout_seconds": played - started,
            "update_seconds": time.process_time() - played,
            "wall_seconds": time.perf_counter() - wall,
        }
        every = settings.evaluate_every
        if every and tuner.iteration % every == 0 and tuner.iteration < settings.iterations:
            reports = self._evaluate_all("now", policy, settings.evaluate_episodes, log=False)
            line["evaluation"] = {name: report.success_rate for name, report in reports.items()}
        self._rows.append(line)
        line["alarms"] = [dataclasses.asdict(alarm) for alarm in alarms.find(self._rows, settings.alarms)]
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board:
            self._board.write(line)
        self._report("iteration", line)

    def _preferences(self, trajectories: Sequence[Trajectory], iteration: int) -> list[Trajectory]:
        """What dpo compares beside these episodes: the file's share of the iteration, and their revisions."""
        settings = self.settings
        if settings.tuner.algorithm != "dpo":
            return []
        revised = pairs.revisions(trajectories) if settings.pairs.revisions else ()
        given = pairs.of_iteration(self._pairs, iteration, each=settings.pairs.each, seed=settings.seed)
        return [*(given if self._pairs else ()), *revised]

    def _episodes(self, iteration: int) -> Iterator[Episode]:
        """The episodes of an iteration: fresh tasks, each played `samples` times."""
        tasks = self.settings.episodes // self.settings.samples
        first = (self.settings.seed << 32) + iteration * tasks
        for index in range(tasks):
            for sample in range(self.settings.samples):
                yield Episode(first + index, sample=sample)

    def _rollout(self, policy: HFPolicy) -> Rollout:
        settings = self.settings
        return Rollout(
            lambda: make_env(settings, settings.task.train),
            play(policy, settings.team.roles),
            prompts=prompts(settings),
            memory=memory(settings),
            seed=settings.seed,
            width=settings.episodes,
        )

    def warm_start(self, *, resume: bool) -> HFPolicy:
        """The model to tune: one that is given, the one of the run being resumed, or a new TinyAgent warmed up."""
        settings = self.settings
        folder = self.folder / "warm_start"
        if settings.model.path or (resume and (folder / "config.json").exists()):
            return HFPolicy.load(settings.model.path or folder, roles=settings.team.roles)
        played = 0

        def on_end(index: int, trajectory: Trajectory) -> None:
            nonlocal played
            played += 1
            if played % 100 == 0 or played == settings.warm_start.episodes:
                self._report("demonstrations", {"episodes": played, "of": settings.warm_start.episodes})
            if self._stop():
                raise Interrupted

        dialogues = demonstrate(settings, on_end)

        def on_step(step: int, loss: float) -> None:
            self._report("warm_start", {"step": step + 1, "steps": settings.warm_start.sft.steps, "loss": loss})
            if self._stop():
                raise Interrupted

        policy = tiny_agent(settings, dialogues)
        count = sum(parameter.numel() for parameter in policy.weights.base.parameters())
        self._report("model", {"parameters": count, "vocabulary": len(policy.chat.tokenizer)})
        encoded = [policy.tokenize(dialogue) for dialogue in dialogues]
        sft.fit(policy, encoded, settings.warm_start.sft, seed=settings.seed, on_step=on_step)
        policy.save(folder)
        return policy

    def policy(self, base: HFPolicy) -> HFPolicy:
        """One set of weights per role over the base."""
        size = self.settings.model
        return HFPolicy(
            base.weights.base,
            base.chat.tokenizer,
            roles=[role for role in self.settings.team.roles if role != "user"],
            adapter=AdapterSettings(size.adapter, rank=size.rank, tokens=size.virtual_tokens),
            sampling=Sampling(temperature=size.temperature, max_new_tokens=size.max_new_tokens),
            seed=self.settings.seed,
        )

    def _evaluate_all(self, when: str, policy: HFPolicy, episodes: int, *, log: bool = True) -> dict[str, EvalReport]:
        """Greedy and sampled success, with the checker and without it."""
        roles = self.settings.team.roles
        teams = {"team": roles}
        if "checker" in roles:
            teams["without checker"] = tuple(role for role in roles if role != "checker")
        reports: dict[str, EvalReport] = {}
        for name, present in teams.items():
            for greedy in (True, False) if log else (True,):
                title = f"{name}, {'greedy' if greedy else 'sampled'}"
                writer = self._writer(when) if log and name == "team" and greedy else None
                report = self.evaluate(
                    policy, roles=present, episodes=episodes, greedy=greedy, on_end=_to(writer) if writer else None
                )
                if writer:
                    writer.close()
                reports[title] = report
                self._report("evaluation", {"when": when, "title": title, "report": report})
        if log:
            self.results.update({f"{when}: {title}": report for title, report in reports.items()})
        return reports

    def _writer(self, phase: str) -> EpisodeWriter:
        """The log of the evaluation before or after tuning."""
        model = f"hf:{self.folder / {'before': 'warm_start', 'after': 'final'}[phase]}"
        return EpisodeWriter(
            self.folder / EPISODES,
            policies={role: "echo" if role == "user" else model for role in self.settings.team.roles},
            settings=made_with(self.settings, self.settings.task.evaluate),
            notes={"phase": phase, "seed": self.settings.seed, "greedy": True},
        )

    # -- on disk -------------------------------------------------------------------------------------------------

    def _open(self, *, resume: bool) -> None:
        config = self.folder / CONFIG
        if config.exists() and not resume:
            raise ConfigError(f"{self.folder} holds a run already; resume it with --resume or choose another --out")
        if resume and not config.exists():
            raise ConfigError(f"{self.folder} holds no run to resume: {CONFIG} is missing")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not resume:
                config.write_text(to_toml(self.settings), encoding="utf-8")
            (self.folder / EPISODES).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written to: {error.strerror}; choose another --out") from error

    def _trim_metrics(self, iteration: int) -> None:
        """Drop the metrics of iterations that will be done again."""
        path = self.folder / METRICS
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["iteration"] <= iteration]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def _finish(self, cpu_seconds: float) -> dict[str, Any]:
        summary = {
            "seed": self.settings.seed,
            "episodes": self.settings.iterations * self.settings.episodes,
            "cpu_seconds": cpu_seconds,
            "evaluations": {name: _brief(report) for name, report in self.results.items()},
        }
        (self.folder / REPORT).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        draw_png(self.folder)
        self._report("finished", summary)
        return summary


def _to(writer: EpisodeWriter) -> Callable[[int, Trajectory], None]:
    return lambda _, trajectory: writer.write(trajectory)


def _brief(report: EvalReport) -> dict[str, Any]:
    """An evaluation without its single episodes."""
    return {name: value for name, value in report.to_json().items() if name != "per_episode"}
