"""A team seen through PettingZoo's Parallel API and as a Gymnasium environment of one role."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test.parallel_test import parallel_api_test
from pettingzoo.test.seed_test import parallel_seed_test

from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, ContractError, UnknownNameError
from cmat_env.types import Dialogue, Generation, Message, Task
from cmat_env.views import ParallelCollab, RoleEnv

FIVE = {"task": 5}


class Says:
    """A policy that says the same thing in every dialogue, and keeps what it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[tuple[str, int, int, tuple[Message, ...]]] = []

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Say it."""
        self.asked += [(each.role, each.seed, seed, tuple(each.messages)) for each in dialogues]
        return [Generation(self.text) for _ in dialogues]


class Knows(Says):
    """An oracle: it says the task's own solution."""

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Read the answer."""
        self.text = task.solution()[-1]  # type: ignore[attr-defined]


@pytest.mark.parametrize("roles", [("assistant",), ("user", "assistant", "checker")])
def test_the_parallel_view_passes_pettingzoos_tests(guess_task: Any, roles: tuple[str, ...]) -> None:
    """It is no conversion wrapper, and keeps the Parallel contract."""
    parallel_api_test(ParallelCollab(CollabEnv(guess_task(), roles=roles)), num_cycles=100)
    parallel_seed_test(  # type: ignore[no-untyped-call]
        lambda: ParallelCollab(CollabEnv(guess_task(), roles=roles)), num_cycles=100
    )


def test_in_the_parallel_view_one_agent_acts_at_a_time(guess_task: Any) -> None:
    """The others may say nothing, and infos tell whose turn it is."""
    env = ParallelCollab(CollabEnv(guess_task(), roles=("assistant", "checker")))
    _, infos = env.reset(seed=0, options=FIVE)
    assert {"assistant_0": True, "checker_0": False} == {agent: info["acts"] for agent, info in infos.items()}

    env.step({"assistant_0": "5", "checker_0": "ignored"})
    observations, rewards, terminations, truncations, infos = env.step({"checker_0": "approve"})

    assert "correct" == observations["assistant_0"]["message"]
    assert {"assistant_0": 1.0, "checker_0": 1.7} == rewards
    assert {"assistant_0": True, "checker_0": True} == terminations
    assert {"assistant_0": False, "checker_0": False} == truncations
    assert [] == env.agents
    assert not any(info["acts"] for info in infos.values())


def test_the_parallel_view_names_who_should_act(guess_task: Any) -> None:
    """A forgotten action and a step outside an episode are the caller's mistakes."""
    env = ParallelCollab(CollabEnv(guess_task(), roles=("assistant", "checker")))
    with pytest.raises(ContractError, match=r"call reset\(\)"):
        env.step({})
    env.reset(seed=0)
    with pytest.raises(ContractError, match="turn of assistant_0"):
        env.step({"checker_0": "approve"})


def test_the_parallel_view_is_deterministic_over_the_whole_episode(guess_task: Any) -> None:
    """PettingZoo's parallel_seed_test compares one step; this compares all."""
    logs = []
    for _ in range(2):
        env = ParallelCollab(CollabEnv(guess_task(), roles=("assistant", "checker")))
        log: list[Any] = [env.reset(seed=4)]
        while env.agents:
            log.append(env.step(dict.fromkeys(env.agents, "3")))
        logs.append(log)

    assert logs[0] == logs[1]
    assert len(logs[0]) == 17


@pytest.mark.parametrize("role", ["user", "assistant", "checker"])
def test_each_role_is_a_gymnasium_environment(guess_task: Any, role: str) -> None:
    """Gymnasium's check_env passes for every role of the team."""
    others = {"user": Says(""), "assistant": Knows(""), "checker": Says("Verdict: approve")}
    del others[role]
    env = RoleEnv(CollabEnv(guess_task()), role=role, partners=others)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(env, skip_render_check=True)


def test_the_assistant_learns_among_given_partners(guess_task: Any) -> None:
    """Its reward is what it earned, and partners see the dialogue that a rollout would show them."""
    checker = Says("Verdict: approve")
    partners = {"user": Says("Find it"), "checker": checker}
    env = RoleEnv(CollabEnv(guess_task()), partners=partners, prompts={"checker": "Check."}, seed=9)

    observation, info = env.reset(seed=7, options=FIVE)
    assert ("Find it", 2, "guess-5") == (observation["message"], observation["speaker"], info["task_id"])
    assert ({"message": "lower", "speaker": 0}, 0.0, False, False) == env.step("9")[:4]
    _, reward, terminated, truncated, info = env.step("5")

    assert (1.0, True, False, True) == (reward, terminated, truncated, info["success"])
    system, first = Message("system", "Check."), Message("assistant", "Find it\nProposal:\n9")
    assert ("checker", 7, 9, (system, first)) == checker.asked[0]
    said = Message("checker", "Verdict: approve"), Message("assistant", "Outcome: lower\nProposal:\n5")
    assert (system, first, *said) == checker.asked[1][3]


def test_partners_may_be_named_by_words(guess_task: Any) -> None:
    """As `evaluate` takes them; a wrong word is our error."""
    env = RoleEnv(CollabEnv(guess_task(), roles=("user", "assistant")), partners={"user": "echo"})
    observation, _ = env.reset(seed=7, options=FIVE)

    assert "Guess a number from 1 to 16." == observation["message"]
    with pytest.raises(UnknownNameError, match="did you mean 'echo'"):
        RoleEnv(CollabEnv(guess_task(), roles=("user", "assistant")), partners={"user": "eco"})


def test_the_checker_learns_and_is_paid_for_its_verdicts(guess_task: Any) -> None:
    """The reward of a turn is all that came until the next one; an oracle partner meets each episode's task."""
    env = RoleEnv(CollabEnv(guess_task()), role="checker", partners={"user": Says(""), "assistant": Knows("")})
    observation, _ = env.reset(seed=0, options=FIVE)
    assert "Guess a number from 1 to 16.\nProposal:\n5" == observation["message"]
    _, reward, terminated, _, _ = env.step("Verdict: approve")

    assert (1.7, True) == (reward, terminated)


def test_episodes_follow_the_seed(guess_task: Any) -> None:
    """Seeds given once determine all later episodes too."""
    tasks = []
    for _ in range(2):
        env = RoleEnv(CollabEnv(guess_task(), roles=("assistant",)))
        tasks.append([env.reset(seed=1)[1]["task_id"], *(env.reset()[1]["task_id"] for _ in range(5))])

    assert tasks[0] == tasks[1]
    assert len(set(tasks[0])) > 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"role": "cheker"}, "did you mean 'checker'"),
        ({"role": "checker"}, r"policy for each of \['assistant'\]"),
        ({"role": "assistant", "partners": {"user": Says("")}}, r"policy for each of \['checker'\]"),
    ],
)
def test_wrong_partners_are_named(guess_task: Any, settings: dict[str, Any], message: str) -> None:
    """Every other role needs a policy, and no absent one may have any."""
    with pytest.raises(ConfigError, match=message):
        RoleEnv(CollabEnv(guess_task(), roles=("assistant", "checker")), **settings)


def test_a_role_without_turns_is_refused(guess_task: Any) -> None:
    """A checker without revisions, or one whose episode ends before it is asked, cannot learn."""
    with pytest.raises(ConfigError, match="max_revisions=0"):
        RoleEnv(
            CollabEnv(guess_task(), roles=("assistant", "checker"), max_revisions=0),
            role="checker",
            partners={"assistant": Says("")},
        )


def test_views_close_and_render_as_the_team_does(guess_task: Any) -> None:
    """They hand on what is not theirs."""
    team = CollabEnv(guess_task(), roles=("assistant",), render_mode="ansi")
    for view in (ParallelCollab(team), RoleEnv(team)):
        view.reset(seed=0)
        assert "[environment] Guess a number from 1 to 16." == view.render()
        view.close()
        view.close()
