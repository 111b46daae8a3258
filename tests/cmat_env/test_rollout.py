"""Rollouts: what an episode becomes is its own affair, whoever runs beside it and whatever crashes there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, ContractError
from cmat_env.policies.scripted import (
    ApprovePolicy,
    CoinPolicy,
    DemonstratorPolicy,
    EchoPolicy,
    GoldPolicy,
    OracleChecker,
)
from cmat_env.rollout import Episode, Limits, Rollout, RolloutResult, role_of
from cmat_env.types import Dialogue, Generation, Message, Policy, Step, Task, Trajectory

TEAM: Mapping[str, Policy] = {"user": EchoPolicy(), "assistant": DemonstratorPolicy(), "checker": CoinPolicy(0.4)}
PAIR: Mapping[str, Policy] = {role: TEAM[role] for role in ("assistant", "checker")}
MakeTask = Callable[..., Task]


class Wrong:
    """Guesses 17, which it never is, in three tokens; writes down the size of each batch, and what is released."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.released: list[Dialogue] = []

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """17."""
        self.batches.append(len(dialogues))
        return [Generation("17", (1, 7, 0), (-0.1, -0.2, -0.3)) for _ in dialogues]

    def release(self, dialogues: Sequence[Dialogue]) -> None:
        """They are over."""
        self.released.extend(dialogues)


def play(
    make_task: Callable[[], Task],
    policies: Mapping[str, Policy],
    episodes: Sequence[Episode],
    *,
    on_step: Callable[[int, Step], None] | None = None,
    on_end: Callable[[int, Trajectory], None] | None = None,
    **settings: Any,
) -> RolloutResult:
    """A whole rollout with a team of these roles."""
    rollout = Rollout(lambda: CollabEnv(make_task(), roles=tuple(policies)), policies, **settings)
    result = rollout.run(episodes, on_step=on_step, on_end=on_end)
    rollout.close()
    return result


def facts(trajectory: Trajectory | None) -> Any:
    """All that an episode is, without the clock."""
    assert trajectory is not None
    said = [(step.agent, step.observation, step.generation.text, step.payments) for step in trajectory.steps]
    return trajectory.seed, trajectory.task_id, said, trajectory.outcome, trajectory.success, trajectory.returns()


def episodes(count: int) -> list[Episode]:
    """Seeds 0, 1, 2, ..."""
    return [Episode(seed) for seed in range(count)]


# -- independence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 5, 64])
def test_results_do_not_depend_on_the_width(guess_task: MakeTask, width: int) -> None:
    """One after the other, some at a time or all at once: the same trajectories in the same order."""
    alone = [facts(play(guess_task, TEAM, [episode]).trajectories[0]) for episode in episodes(7)]
    together = play(guess_task, TEAM, episodes(7), width=width)

    assert alone == [facts(trajectory) for trajectory in together.trajectories]


def test_results_do_not_depend_on_the_order(guess_task: MakeTask) -> None:
    """Backwards in, backwards out."""
    forwards = play(guess_task, TEAM, episodes(7), width=3).trajectories
    backwards = play(guess_task, TEAM, episodes(7)[::-1], width=3).trajectories

    assert [facts(t) for t in forwards] == [facts(t) for t in backwards[::-1]]


def test_the_seed_of_the_run_matters(guess_task: MakeTask) -> None:
    """Same tasks, other dice."""
    one, other = (play(guess_task, TEAM, episodes(7), seed=seed).finished for seed in (0, 1))

    assert [t.task_id for t in one] == [t.task_id for t in other]
    assert [facts(t) for t in one] != [facts(t) for t in other]


def test_samples_share_the_task_and_not_the_dice(guess_task: MakeTask) -> None:
    """Episodes of a group differ in their sample alone: equal statements, different dialogue seeds."""
    found = play(guess_task, TEAM, [Episode(3, sample=sample) for sample in range(4)]).finished

    assert 1 == len({t.task_id for t in found})
    assert 4 == len({t.dialogues["assistant"][0].seed for t in found})
    assert 1 < len({tuple(step.generation.text for step in t.steps) for t in found})
    assert 3 == found[0].dialogues["assistant"][0].seed


def test_options_reach_the_task(guess_task: MakeTask) -> None:
    """They name a task whatever the seed is."""
    found = play(guess_task, TEAM, [Episode(seed, {"task": 11}) for seed in (1, 2)]).finished

    assert ["guess-11", "guess-11"] == [trajectory.task_id for trajectory in found]


# -- crashes -----------------------------------------------------------------------------------------------------


def crashing(make_task: Any, *, where: str, error: Exception, closed: list[int] | None = None) -> Callable[[], Task]:
    """Makes number-guessing tasks that fail there whenever the number is even."""

    class Crashing(make_task):  # type: ignore[misc]
        def reset(self, **arguments: Any) -> Any:
            """As before, or not at all."""
            observation = super().reset(**arguments)
            return self._or_fail("reset", observation)

        def step(self, action: str) -> Any:
            """As before, or not at all."""
            return self._or_fail("step", super().step(action))

        def judge(self, action: str) -> Any:
            """As before, or not at all."""
            return self._or_fail("judge", super().judge(action))

        def close(self) -> None:
            """Count, and fail too where the step does."""
            if closed is not None:
                closed.append(id(self))
            self._or_fail("step", None)

        def _or_fail(self, here: str, result: Any) -> Any:
            if here == where and self.secret and self.secret % 2 == 0:
                raise error
            return result

    return Crashing


@pytest.mark.parametrize("where", ["reset", "step", "judge"])
@pytest.mark.parametrize("width", [1, 3, 64])
def test_a_crash_costs_its_own_episode(guess_task: MakeTask, where: str, width: int) -> None:
    """It is dropped and counted, never scored; the others are what they are without it."""
    plain = play(guess_task, PAIR, episodes(10), width=width).trajectories
    result = play(crashing(guess_task, where=where, error=KeyError("gone")), PAIR, episodes(10), width=width)
    even = [t is not None and int(t.task_id.removeprefix("guess-")) % 2 == 0 for t in plain]

    assert 0 < sum(even) < 10
    assert even == [trajectory is None for trajectory in result.trajectories]
    assert [facts(t) for t, crash in zip(plain, even, strict=True) if not crash] == [facts(t) for t in result.finished]
    assert {seed for seed, crash in enumerate(even) if crash} == {drop.episode.seed for drop in result.dropped}
    assert {"KeyError: 'gone'"} == {drop.error for drop in result.dropped}


def test_environments_are_made_once_and_again_after_a_crash(guess_task: MakeTask) -> None:
    """At most as many as run side by side, plus one for each crash; each is closed once in the end."""
    made: list[int] = []
    closed: list[int] = []
    make = crashing(guess_task, where="step", error=ValueError(), closed=closed)

    def counted() -> Task:
        task = make()
        made.append(id(task))
        return task

    result = play(counted, PAIR, episodes(10), width=3)

    assert len(made) <= 3 + len(result.dropped)
    assert len(closed) == len(made)


def test_a_users_mistake_is_no_crash(guess_task: MakeTask) -> None:
    """Our own errors are for the user to read: they end the run, whatever raised them."""
    with pytest.raises(ConfigError, match="mistake"):
        play(crashing(guess_task, where="step", error=ConfigError("mistake")), PAIR, episodes(4))
    with pytest.raises(ConfigError, match="mistake"):
        play(crashing(guess_task, where="reset", error=ConfigError("mistake")), PAIR, episodes(4))


def test_a_task_without_a_solution_is_a_mistake_of_who_chose_gold(guess_task: Any) -> None:
    """As for `begin` of any oracle."""

    class Unsolved(guess_task):  # type: ignore[misc]
        solution = None

    with pytest.raises(ConfigError, match="solution"):
        play(Unsolved, {"assistant": GoldPolicy()}, episodes(1))


def test_a_policy_that_fails_ends_the_run(guess_task: MakeTask) -> None:
    """It would fail for every episode; nothing is dropped in silence."""

    class Broken:
        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            raise RuntimeError("no model")

    with pytest.raises(RuntimeError, match="no model"):
        play(guess_task, {"assistant": Broken()}, episodes(2))


def test_a_policy_must_answer_every_dialogue(guess_task: MakeTask) -> None:
    """Else the replies would go to the wrong episodes."""

    class Silent:
        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            return []

    with pytest.raises(ConfigError, match=r"Silent\.generate gave 0 replies to 2 dialogues"):
        play(guess_task, {"assistant": Silent()}, episodes(2))


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        (["Answer"], r"Wordy\.generate gave 'Answer' as a reply; wrap the text: Generation\(text\)"),
        ("Answer", r"Wordy\.generate gave a str; it must give a list of one Generation a dialogue"),
        (None, r"Wordy\.generate gave a NoneType; it must give a list"),
    ],
)
def test_a_policy_must_answer_with_generations(guess_task: MakeTask, replies: Any, message: str) -> None:
    """The error names the policy and says what was wanted."""

    class Wordy:
        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> Any:
            return replies

    with pytest.raises(ContractError, match=message):
        play(guess_task, {"assistant": Wordy()}, episodes(1))


def test_after_an_error_all_environments_are_closed(guess_task: MakeTask) -> None:
    """Also those that were in the middle of an episode; and the rollout may be used again."""
    closed: list[int] = []
    make = crashing(guess_task, where="step", error=ConfigError("mistake"), closed=closed)
    rollout = Rollout(lambda: CollabEnv(make(), roles=("assistant",)), {"assistant": Wrong()}, width=4)
    even, odd = ([Episode(0, {"task": number})] for number in (4, 5))
    with pytest.raises(ConfigError, match="mistake"):
        rollout.run(odd * 3 + even)

    assert ["guess-5"] == [trajectory.task_id for trajectory in rollout.run(odd).finished]
    rollout.close()
    rollout.close()
    assert 4 == len(set(closed))


# -- limits ------------------------------------------------------------------------------------------------------


def test_the_turns_of_all_agents_are_limited(guess_task: MakeTask) -> None:
    """Five actions: assistant, checker, assistant, checker, assistant; cut off, not ended."""
    policies: dict[str, Policy] = {"assistant": Wrong(), "checker": ApprovePolicy()}
    (found,) = play(guess_task, policies, [Episode(0)], limits=Limits(turns=5)).finished

    assert ["assistant", "checker"] * 2 + ["assistant"] == [step.role for step in found.steps]
    assert ("turn limit", False, True, False) == (found.outcome, found.terminated, found.truncated, found.success)


def test_sampled_tokens_are_limited(guess_task: MakeTask) -> None:
    """Three a turn: the limit of seven is met by the third."""
    (found,) = play(guess_task, {"assistant": Wrong()}, [Episode(0)], limits=Limits(tokens=7)).finished

    assert (3, "token limit", True) == (len(found.steps), found.outcome, found.truncated)


def test_wall_time_is_limited(guess_task: MakeTask) -> None:
    """A nanosecond is over after the first turn; an hour is not."""
    found = [
        play(guess_task, {"assistant": Wrong()}, [Episode(0)], limits=Limits(seconds=seconds)).finished[0]
        for seconds in (1e-9, 3600.0)
    ]

    assert [(1, "time limit"), (8, "round limit")] == [(len(each.steps), each.outcome) for each in found]
    assert all(each.truncated and 0 < each.seconds < 3600 for each in found)


def test_an_end_is_an_end_although_a_limit_is_met(guess_task: MakeTask) -> None:
    """Solved with the last turn that was allowed."""
    (found,) = play(guess_task, {"assistant": GoldPolicy()}, [Episode(0)], limits=Limits(turns=1)).finished

    assert ("correct", True, False) == (found.outcome, found.terminated, found.truncated)


def test_an_environment_that_was_cut_off_begins_anew(guess_task: MakeTask) -> None:
    """The next episode in it knows nothing of the one before."""
    policies = {"assistant": Wrong()}
    found = play(guess_task, policies, episodes(3), limits=Limits(turns=2), width=1).finished

    assert [2, 2, 2] == [len(trajectory.steps) for trajectory in found]
    assert [[0, 1]] * 3 == [[step.turn for step in trajectory.steps] for trajectory in found]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Limits(turns=0), "turns=0"),
        (lambda: Limits(tokens=-1), "tokens=-1"),
        (lambda: Limits(seconds=0.0), "seconds=0.0"),
    ],
)
def test_impossible_limits_are_refused(make: Callable[[], Limits], word: str) -> None:
    """None is the word for no limit."""
    with pytest.raises(ConfigError, match=f"{word} must be above 0, or None"):
        make()


def test_impossible_rollouts_are_refused(guess_task: MakeTask) -> None:
    """A role without a policy, and no room for an episode."""
    with pytest.raises(ConfigError, match="no policy for role 'checker'"):
        Rollout(lambda: CollabEnv(guess_task(), roles=("assistant", "checker")), {"assistant": Wrong()})
    with pytest.raises(ConfigError, match="width=0"):
        Rollout(lambda: CollabEnv(guess_task()), TEAM, width=0)


# -- what is written down ----------------------------------------------------------------------------------------


def test_a_trajectory_tells_the_whole_episode(guess_task: MakeTask) -> None:
    """Steps are numbered, turns are each role's own, and their payments are the ledger in order."""
    (found,) = play(guess_task, TEAM, [Episode(1)]).finished
    turns: dict[str, list[int]] = {}
    for step in found.steps:
        turns.setdefault(step.role, []).append(step.turn)

    assert list(range(len(found.steps))) == [step.index for step in found.steps]
    assert all(list(range(len(own))) == own for own in turns.values())
    assert found.payments == tuple(payment for step in found.steps for payment in step.payments)
    assert {"user": 1.0, "assistant": 1.0} == {role: found.returns()[role] for role in ("user", "assistant")}
    assert ("user_0", "environment") == (found.steps[0].agent, found.steps[0].observation["speaker"])
    assert found.steps[-1].info["success"] is True


def test_verdicts_and_judgements_belong_to_the_checker(guess_task: MakeTask) -> None:
    """Each of its steps has both, no other step has one."""
    (found,) = play(guess_task, TEAM, [Episode(1)]).finished

    assert {"checker"} == {step.role for step in found.steps if step.verdict}
    assert {"checker"} == {step.role for step in found.steps if step.judgement}
    assert all(step.verdict and step.judgement for step in found.steps if step.role == "checker")


def test_a_dialogue_holds_what_its_role_saw_and_said(guess_task: MakeTask) -> None:
    """The prompt with the task's instructions, then observations and replies in turn, word for word."""
    prompts = {"assistant": "Act. {instructions}"}
    (found,) = play(guess_task, {"assistant": GoldPolicy()}, [Episode(0, {"task": 5})], prompts=prompts).finished
    (dialogue,) = found.dialogues["assistant"]

    assert dialogue.messages == [
        Message("system", "Act. Find the number. Answer with a number."),
        Message("user", "Guess a number from 1 to 16."),
        Message("assistant", "5"),
    ]


def test_callbacks_see_steps_and_ends_as_they_happen(guess_task: MakeTask) -> None:
    """Each with the position of its episode; the shorter episode ends first."""
    steps: list[tuple[int, int]] = []
    ends: list[int] = []

    class Late(GoldPolicy):
        """Solves task 2 at once and the other at its third turn."""

        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            gold = super().generate(dialogues, seed=seed)
            early = [d.replies >= 2 or g.text == "2" for d, g in zip(dialogues, gold, strict=True)]
            return [g if now else Generation("17") for g, now in zip(gold, early, strict=True)]

    play(
        guess_task,
        {"assistant": Late()},
        [Episode(0, {"task": 9}), Episode(0, {"task": 2})],
        on_step=lambda index, step: steps.append((index, step.index)),
        on_end=lambda index, trajectory: ends.append(index),
    )

    assert [(0, 0), (1, 0), (0, 1), (0, 2)] == steps
    assert [1, 0] == ends


def test_a_policy_is_asked_once_a_wave_for_all_its_roles(guess_task: MakeTask) -> None:
    """Six episodes, one policy for both roles: six dialogues each time, whoever's turn it is."""
    policy = Wrong()
    play(guess_task, {"assistant": policy, "checker": policy}, episodes(6), limits=Limits(turns=3))

    assert [6, 6, 6] == policy.batches


def test_what_has_ended_is_released(guess_task: MakeTask) -> None:
    """Every dialogue, once: of episodes that ended, were cut off, or crashed."""
    policy = Wrong()
    make = crashing(guess_task, where="step", error=ValueError())
    result = play(make, {"assistant": policy}, episodes(6), limits=Limits(turns=2), width=2)

    assert 0 < len(result.dropped) < 6
    assert 6 == len(policy.released) == len({id(dialogue) for dialogue in policy.released})


class Watching(GoldPolicy):
    """Gold, and writes down what it met."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[tuple[str, Any]] = []

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Role and number."""
        self.met.append((dialogue.role, task.secret))  # type: ignore[attr-defined]
        super().begin(dialogue, task)


def test_an_oracle_meets_the_task_after_its_reset(guess_task: MakeTask) -> None:
    """Once an episode for each role it plays."""
    policy = Watching()
    play(guess_task, dict.fromkeys(("assistant", "checker"), policy), [Episode(0, {"task": n}) for n in (4, 5)])

    assert [("assistant", 4), ("checker", 4), ("assistant", 5), ("checker", 5)] == policy.met


# -- memory ------------------------------------------------------------------------------------------------------


def test_a_full_memory_begins_a_new_dialogue(guess_task: MakeTask) -> None:
    """Both are kept, and each step says to which it belongs."""
    memory = {"assistant": ShortTermMemory(16)}
    (found,) = play(guess_task, {"assistant": Wrong()}, [Episode(0)], memory=memory).finished
    dialogues = found.dialogues["assistant"]

    assert 1 < len(dialogues)
    assert len(dialogues) == len({dialogue.seed for dialogue in dialogues})
    assert sorted(step.dialogue for step in found.steps) == [step.dialogue for step in found.steps]
    assert len(dialogues) - 1 == found.steps[-1].dialogue
    assert all(len(d.turns) == sum(step.dialogue == i for step in found.steps) for i, d in enumerate(dialogues))


def test_an_oracle_keeps_its_first_dialogue(guess_task: MakeTask) -> None:
    """It met the task with that one; a shorter one would be a stranger to it."""
    policies: dict[str, Policy] = {"assistant": Wrong(), "checker": OracleChecker()}
    memory = dict.fromkeys(policies, ShortTermMemory(16))
    (found,) = play(guess_task, policies, [Episode(0)], memory=memory).finished

    assert 1 == len(found.dialogues["checker"])
    assert 1 < len(found.dialogues["assistant"])


def test_no_episodes_is_an_empty_result(guess_task: MakeTask) -> None:
    """Nothing played, nothing dropped."""
    assert RolloutResult((), ()) == play(guess_task, TEAM, [])


def test_role_of_an_agent() -> None:
    """The number behind the name does not count, whatever the name holds."""
    assert ["checker", "web_user"] == [role_of(agent) for agent in ("checker_0", "web_user_12")]
