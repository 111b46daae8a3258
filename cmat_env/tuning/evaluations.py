"""The evaluations of a run: the same tasks each time, greedy and sampled, with the checker and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from cmat_env.comparison import compare
from cmat_env.evaluate import evaluate
from cmat_env.log import EpisodeWriter
from cmat_env.paired import Difference
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.report import EvalReport
from cmat_env.rollout import Episode
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.events import Report
from cmat_env.tuning.folder import EPISODES, FINAL, MEMORY, RunFolder, base_of
from cmat_env.tuning.team import made_with, make_env, play, prompts
from cmat_env.types import Policy, Trajectory

TEAM_GREEDY = "team, greedy"
"""The evaluation that says which checkpoint is the best."""
_ALONE_GREEDY = "without checker, greedy"
_OTHER_USER_GREEDY = "scripted user, greedy"
_UNSEEN = 1_000_000_007
"""The first seed of evaluations on the tasks of training, which begin elsewhere; some tasks cut seeds at 2**30."""


class Evaluations:
    """Evaluates a policy before, while and after it is tuned.

    Args:
        settings: of the run.
        folder: whose `episodes.jsonl` gets the episodes of the whole team, played greedily, before and after.
        report: told of each.

    Attributes:
        results: those before and after, by "WHEN: TITLE".
    """

    def __init__(self, settings: RunSettings, folder: RunFolder, report: Report) -> None:
        self._settings = settings
        self._folder = folder
        self._report = report
        self.results: dict[str, EvalReport] = {}

    def final(self, when: str, policy: HFPolicy) -> None:
        """Evaluate thoroughly, "before" or "after" tuning."""
        for title, present, greedy in self._teams(both=True):
            with self._writer(when) if title == TEAM_GREEDY else nullcontext() as writer:
                found = self.measure(
                    policy,
                    roles=present,
                    episodes=self._settings.final_episodes,
                    greedy=greedy,
                    on_end=_to(writer) if writer else None,
                )
            self._keep(when, title, found)

    def now(self, policy: HFPolicy) -> dict[str, float | None]:
        """Success on few tasks, greedily, by title."""
        found, team, few = {}, self._settings.team, self._settings.evaluate_episodes
        teams = [(title, present, team.scripted_user) for title, present, _ in self._teams(both=False)]
        if self._compares_users:
            teams.append((_OTHER_USER_GREEDY, team.roles, team.user))
        for title, present, user in teams:
            report = self.measure(policy, roles=present, episodes=few, greedy=True, user=user)
            self._report("evaluation", {"when": "now", "title": title, "report": report})
            found[title] = report.success_rate
        return found

    @property
    def _compares_users(self) -> bool:
        """Is the contribution of a user that learns wanted?"""
        adaptive = self._settings.adaptive
        return bool(adaptive.role_gain) and adaptive.role_source == "paired" and "user" in self._settings.team.learners

    def measure(
        self,
        policy: HFPolicy,
        *,
        roles: Sequence[str],
        episodes: int,
        greedy: bool,
        user: str | None = None,
        others: Mapping[str, Policy] | None = None,
        on_end: Callable[[int, Trajectory], None] | None = None,
    ) -> EvalReport:
        """Success of a team at its first trial of the evaluation tasks, the same ones for every call.

        `user` plays the user, by its specification; None = as in training. Long-term memory is read as training left
        it, and not written to.
        """
        settings = self._settings
        first = _UNSEEN if settings.task.evaluate == settings.task.train else 0
        sampling = Sampling(greedy=greedy, max_new_tokens=settings.model.max_new_tokens)
        return evaluate(
            lambda: make_env(settings, settings.task.evaluate, roles),
            play(policy.with_sampling(sampling), roles, user=user or settings.team.scripted_user, **(others or {})),
            episodes=[Episode(first + index) for index in range(episodes)],
            seed=settings.seed,
            prompts=prompts(settings),
            width=settings.width or 128,
            on_end=on_end,
            budget=settings.team.memory or None,
            digest=settings.team.digest,
            memory=self._folder.path / MEMORY if settings.memory.recall else None,
            memory_settings=settings.memory,
        )

    def with_and_without(self) -> dict[str, Difference]:
        """What the checker adds on the same episodes, by "WHEN, WAY"; nothing without a checker."""
        found = {}
        for name, team in self.results.items():
            alone = self.results.get(name.replace(": team,", ": without checker,"))
            if alone is None or alone is team or not (team.per_episode and alone.per_episode):
                continue
            [each] = compare({"": list(alone.per_episode)}, {"": list(team.per_episode)}, seed=self._settings.seed)
            gain, test = each.success, each.test
            between = (gain.low, gain.high), test.only_b, test.only_a, test.p_value
            found[name.replace(": team,", ",")] = Difference(each.tasks, gain.mean, *between)
        return found

    def state_dict(self) -> dict[str, Any]:
        """The results so far."""
        return {name: report.to_json() for name, report in self.results.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over results of an earlier process, and tell of them."""
        self.results.clear()
        for name, data in state.items():
            when, _, title = name.partition(": ")
            self._keep(when, title, EvalReport.from_json(data))

    def _keep(self, when: str, title: str, report: EvalReport) -> None:
        self.results[f"{when}: {title}"] = report
        self._report("evaluation", {"when": when, "title": title, "report": report})

    def _teams(self, *, both: bool) -> list[tuple[str, tuple[str, ...], bool]]:
        """Title, roles and whether greedy: the team and the team without its checker, also sampled if both."""
        roles = self._settings.team.roles
        teams = {"team": roles}
        if "checker" in roles:
            teams["without checker"] = tuple(role for role in roles if role != "checker")
        ways = {"greedy": True, "sampled": False} if both else {"greedy": True}
        return [(f"{name}, {way}", present, greedy) for name, present in teams.items() for way, greedy in ways.items()]

    def _writer(self, when: str) -> EpisodeWriter:
        settings = self._settings
        path = self._folder.path
        model = f"hf:{base_of(settings, path) if when == 'before' else path / FINAL}"
        return EpisodeWriter(
            self._folder.path / EPISODES,
            policies=settings.team.policies(model),
            settings=made_with(settings, settings.task.evaluate),
            notes={"phase": when, "seed": settings.seed, "greedy": True},
        )


def gains(evaluation: Mapping[str, float | None]) -> dict[str, float]:
    """By role, how much more often the team succeeds with it than without, where both were measured.

    Args:
        evaluation: success by title, as `Evaluations.now` returns it; without its assistant a team never succeeds, and
            without its user it has the scripted one.
    """
    team = evaluation.get(TEAM_GREEDY)
    if team is None:
        return {}
    without = {"checker": evaluation.get(_ALONE_GREEDY), "user": evaluation.get(_OTHER_USER_GREEDY)}
    return {"assistant": team} | {role: team - rate for role, rate in without.items() if rate is not None}


def _to(writer: EpisodeWriter) -> Callable[[int, Trajectory], None]:
    return lambda _, trajectory: writer.write(trajectory)
