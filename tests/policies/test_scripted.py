"""Scripted policies: what each rule answers, and that it depends on the dialogue, seed and turn alone."""

from __future__ import annotations

import json
import pickle
import random
import re
from typing import Any

import numpy as np
import pytest

from cmat_env.errors import ConfigError, ContractError
from cmat_env.policies.scripted import (
    REFUSAL,
    ApprovePolicy,
    CoinPolicy,
    DemonstratorPolicy,
    EchoPolicy,
    GoldPolicy,
    OracleChecker,
    RandomPolicy,
    refused_proposals,
)
from cmat_env.policies.shopper import FirstResult, RandomReader
from cmat_env.testing import check_policy
from cmat_env.types import Dialogue, Generation, Judgement, Message, Oracle, Policy, Task


class TwoSteps:
    """A task with every optional method: first "look", then "answer"."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Never used here."""
        return "", {}

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        """Never used here."""
        return "", 0.0, True, False, {}

    def close(self) -> None:
        """Nothing to close."""

    def solution(self) -> list[str]:
        """Two actions."""
        return ["look", "answer"]

    def demonstrate(self, rng: random.Random, rejected: list[str]) -> str:
        """Says what it was told was refused."""
        return f"try after {rejected}"

    def judge(self, action: str) -> Judgement | None:
        """Only "answer" is good; no opinion on "look"."""
        return None if action == "look" else Judgement(action == "answer")


class Bare(TwoSteps):
    """A task without the optional methods."""

    solution = None  # type: ignore[assignment]
    demonstrate = None  # type: ignore[assignment]
    judge = None  # type: ignore[assignment]


def dialogue(role: str, *messages: tuple[str, str], seed: int = 0) -> Dialogue:
    """A dialogue with these (speaker, content) messages."""
    return Dialogue(role, seed=seed, messages=[Message(speaker, content) for speaker, content in messages])


def answer(policy: Policy, of: Dialogue, seed: int = 0) -> str:
    """The policy's text, also appended to the dialogue."""
    [generation] = policy.generate([of], seed=seed)
    of.reply(generation)
    return generation.text


def test_gold_plays_the_solution_and_stays_at_its_end() -> None:
    """Each turn brings the next action; past the end the last one is repeated."""
    policy, talk = GoldPolicy(), dialogue("assistant", ("user", "find it"))
    policy.begin(talk, TwoSteps())
    said = []
    for _ in range(3):
        said.append(answer(policy, talk))
        talk.say(Message("environment", "ok"))

    assert ["look", "answer", "answer"] == said


def test_gold_asks_a_task_that_knows_the_next_action() -> None:
    """`solve` comes before `solution`, at every turn anew."""

    class Asked(TwoSteps):
        """Its answer depends on what it has shown."""

        shown = ""

        def solve(self) -> str:
            """What was shown, else "look"."""
            return self.shown or "look"

    policy, talk, task = GoldPolicy(), dialogue("assistant", ("user", "find it")), Asked()
    policy.begin(talk, task)
    first = answer(policy, talk)
    task.shown = "7"

    assert ("look", "7") == (first, answer(policy, talk))


def test_gold_proposes_a_refused_action_again() -> None:
    """A refusal does not advance the solution: the action was not executed."""
    policy, talk = GoldPolicy(), dialogue("assistant", ("user", "find it"))
    policy.begin(talk, TwoSteps())
    first = answer(policy, talk)
    talk.say(Message("checker", "Verdict: revise"))

    assert (first, "look") == ("look", answer(policy, talk))


def test_gold_as_user_states_the_task_word_for_word() -> None:
    """The user of an upper bound changes nothing."""
    policy, talk = GoldPolicy(), dialogue("user", ("environment", "find\nit"))
    policy.begin(talk, TwoSteps())

    assert "find\nit" == answer(policy, talk)


@pytest.mark.parametrize(
    ("proposal", "approve"), [("answer", True), ("wrong", False), ("look", True), ("answer\nDry run: 1 row", True)]
)
def test_oracles_judge_the_proposal_in_the_message(proposal: str, *, approve: bool) -> None:
    """Gold, demonstrator and oracle checkers give the task's judgement; no opinion is an approval."""
    for policy in (GoldPolicy(), DemonstratorPolicy(), OracleChecker()):
        talk = dialogue("checker", ("assistant", f"find it\n\nProposal:\n{proposal}"))
        policy.begin(talk, TwoSteps())

        assert approve == answer(policy, talk).startswith("Verdict: approve")


def test_an_oracle_approves_where_the_task_cannot_judge() -> None:
    """A task without judge() has no opinion."""
    policy, talk = OracleChecker(), dialogue("checker", ("assistant", "Proposal:\nx"))
    policy.begin(talk, Bare())

    assert "Verdict: approve" == answer(policy, talk)


def test_an_oracle_may_err() -> None:
    """It refuses these shares of bad and of good proposals, drawn for each dialogue by its seed."""
    policy, refused = OracleChecker(refuse_bad=0.75, refuse_good=0.25), {}
    for proposal in ("answer", "wrong"):
        talks = [dialogue("checker", ("assistant", f"Proposal:\n{proposal}"), seed=n) for n in range(400)]
        for talk in talks:
            policy.begin(talk, TwoSteps())
        refused[proposal] = sum("revise" in verdict.text for verdict in policy.generate(talks, seed=0))

    assert 60 < refused["answer"] < 140
    assert 260 < refused["wrong"] < 340


@pytest.mark.parametrize("shares", [{"refuse_bad": 1.5}, {"refuse_good": -0.1}])
def test_an_oracle_that_errs_needs_probabilities(shares: dict[str, float]) -> None:
    """Anything outside [0, 1] is refused."""
    with pytest.raises(ConfigError, match="no probability"):
        OracleChecker(**shares)  # type: ignore[arg-type]


def test_scripted_checkers_refuse_in_the_same_words() -> None:
    """A small model that was taught by one understands the others: the words are a part of what it conditions on."""
    talk = dialogue("checker", ("assistant", "Proposal:\nwrong"))
    checkers = (CoinPolicy(1.0), OracleChecker(), GoldPolicy(), DemonstratorPolicy())
    for policy in checkers[1:]:
        policy.begin(talk, TwoSteps())

    assert {REFUSAL} == {answer(policy, talk) for policy in checkers}


def test_demonstrator_hears_what_was_refused_in_this_turn() -> None:
    """Refusals of earlier turns are forgotten; those of this turn are listed oldest first."""
    policy, talk = DemonstratorPolicy(), dialogue("assistant", ("user", "find it"))
    policy.begin(talk, TwoSteps())
    said = [answer(policy, talk)]
    talk.say(Message("checker", "no"))
    said.append(answer(policy, talk))
    talk.say(Message("environment", "ok"))
    said.append(answer(policy, talk))

    assert ["try after []", "try after ['try after []']", "try after []"] == said


def test_refused_proposals_are_in_order() -> None:
    """Two refusals in a row: oldest first."""
    talk = dialogue(
        "assistant", ("user", "q"), ("assistant", "a"), ("checker", "no"), ("assistant", "b"), ("checker", "no")
    )

    assert ["a", "b"] == refused_proposals(talk)


def test_oracles_say_what_a_task_lacks() -> None:
    """A task without solution() is named, with the method it lacks; a demonstrator can do with that one."""
    talk = dialogue("assistant", ("user", "q"))
    with pytest.raises(ConfigError, match=r"Bare has no solution\(\)"):
        GoldPolicy().begin(talk, Bare())
    with pytest.raises(ConfigError, match=r"Bare has no solution\(\)"):
        DemonstratorPolicy().begin(talk, Bare())


def test_a_task_without_a_demonstrator_is_demonstrated_by_its_solution() -> None:
    """One warm start plays tasks of both kinds; a refused action is proposed again."""

    class Solved(TwoSteps):
        demonstrate = None  # type: ignore[assignment]

    policy = DemonstratorPolicy()
    talk = dialogue("assistant", ("user", "q"))
    policy.begin(talk, Solved())
    said = []
    for speaker, message in (("checker", "Verdict: revise"), ("environment", "seen"), ("environment", "")):
        [reply] = policy.generate([talk], seed=0)
        talk.reply(reply)
        talk.say(Message(speaker, message))
        said.append(reply.text)

    assert ["look", "look", "answer"] == said


def test_an_oracle_that_never_met_its_task_says_so() -> None:
    """Generate before begin is a broken contract, not a wrong answer."""
    with pytest.raises(ContractError, match="before begin"):
        GoldPolicy().generate([dialogue("assistant")], seed=0)


def test_echo_repeats_the_last_message() -> None:
    """And says nothing in an empty dialogue."""
    talks = [dialogue("user", ("system", "be brief"), ("environment", "task")), dialogue("user")]

    assert ["task", ""] == [generation.text for generation in EchoPolicy().generate(talks, seed=0)]


def test_fixed_checkers() -> None:
    """Approve always approves; a coin of 0 and of 1 is certain; a fair one is neither."""
    talks = [dialogue("checker", seed=seed) for seed in range(200)]

    def revisions(policy: Policy) -> int:
        return sum("revise" in generation.text for generation in policy.generate(talks, seed=0))

    assert [0, 0, 200] == [revisions(policy) for policy in (ApprovePolicy(), CoinPolicy(0.0), CoinPolicy(1.0))]
    assert 70 < revisions(CoinPolicy(0.5)) < 130


@pytest.mark.parametrize("p_revise", [-0.1, 1.5, float("nan")])
def test_a_coin_needs_a_probability(p_revise: float) -> None:
    """Anything outside [0, 1] is refused."""
    with pytest.raises(ConfigError, match="no probability"):
        CoinPolicy(p_revise)


def test_random_takes_what_is_offered() -> None:
    """Where an observation lists what can be done, each of that comes up; a broken list is no list."""
    page = "A page.\n\nAvailable Actions:\n{}"
    shown = page.format("{'has_search_bar': False, 'clickables': ['next >', 'b01']}")
    said = {answer(RandomPolicy(), dialogue("assistant", ("environment", shown), seed=n)) for n in range(30)}
    assert {"Action: click[next >]", "Action: click[b01]"} == said
    bar = dialogue("assistant", ("environment", page.format("{'has_search_bar': True, 'clickables': ['search']}")))
    assert re.fullmatch(r"Action: search\[\w+ \w+\]", answer(RandomPolicy(), bar))
    for broken in ("{", "7", "[]", "{'clickables'"):
        assert "click[" not in answer(RandomPolicy(), dialogue("assistant", ("environment", page.format(broken))))
    assert "Action: click[back to search]" == answer(
        RandomPolicy(), dialogue("assistant", ("environment", page.format("{'clickables': 3}")))
    )


@pytest.mark.parametrize("policy", [RandomPolicy(), RandomReader(), FirstResult()])
def test_shoppers_write_tool_calls_where_they_are_told_to(policy: Policy) -> None:
    """The instructions decide how an action is written, not the observation; both ways are the same action."""
    calls = ("system", 'Use these tools: {"name": "search_action", ...}, {"name": "click_action", ...}')
    bar = ("environment", "x [SEP] Instruction: [SEP] a lamp [SEP] y\n\nAvailable Actions:\n{'has_search_bar': True}")
    page = ("environment", "A page.\n\nAvailable Actions:\n{'clickables': ['a \"b\" [c]']}")

    for shown, name, argument in ((bar, "search_action", "keywords"), (page, "click_action", "value")):
        call = json.loads(answer(policy, dialogue("assistant", calls, shown)))
        verb, _, value = answer(policy, dialogue("assistant", shown)).removeprefix("Action: ").partition("[")
        assert {"name": name, "arguments": {argument: value.removesuffix("]")}} == call
        assert f"{verb}_action" == name


@pytest.mark.parametrize("policy", [RandomPolicy(), CoinPolicy(0.5)])
@pytest.mark.parametrize("role", ["assistant", "checker"])
def test_random_replies_do_not_depend_on_the_batch(policy: Policy, role: str) -> None:
    """Alone or among others, a dialogue gets the same reply; other seeds and turns get others."""
    talks = [dialogue(role, ("user", "q"), seed=seed) for seed in range(40)]
    together = policy.generate(talks, seed=1)
    alone = [policy.generate([talk], seed=1)[0] for talk in reversed(talks)][::-1]
    for talk in talks:
        talk.reply(Generation("said"))

    assert together == alone
    assert together != policy.generate(talks, seed=1)


def test_random_leaves_global_random_state_alone() -> None:
    """Neither read nor touched."""
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    for policy in (RandomPolicy(), CoinPolicy(0.5)):
        policy.generate([dialogue("assistant")], seed=0)

    assert before == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]


def test_every_scripted_policy_is_a_policy_and_the_oracles_are_oracles() -> None:
    """The protocols of cmat_env.types hold."""
    oracles = [GoldPolicy(), DemonstratorPolicy(), OracleChecker(), RandomPolicy()]
    others = [EchoPolicy(), ApprovePolicy(), CoinPolicy(0.5)]

    assert all(isinstance(policy, Policy) for policy in (*oracles, *others))
    assert [True] * 4 + [False] * 3 == [isinstance(policy, Oracle) for policy in (*oracles, *others)]


@pytest.mark.parametrize("policy", [EchoPolicy(), ApprovePolicy(), CoinPolicy(0.5)])
def test_scripted_policies_keep_the_contract(policy: Policy) -> None:
    """Batch, order, odd messages, second turns, global random state."""
    check_policy(policy)


def test_random_draws_from_what_the_task_says_can_be_done() -> None:
    """Any of its candidates, again the same for the same seed, in another process too; else it goes on as ever."""

    class Listing(TwoSteps):
        listed: list[str] = ["left", "right"]  # noqa: RUF012 - a test changes it

        def candidates(self) -> list[str]:
            return self.listed

    def said(policy: RandomPolicy, task: Task, role: str = "assistant") -> list[str]:
        talks = [dialogue(role, ("environment", "where to?"), seed=seed) for seed in range(20)]
        for talk in talks:
            policy.begin(talk, task)
        return [reply.text for reply in policy.generate(talks, seed=1)]

    task, bare = Listing(), said(RandomPolicy(), TwoSteps())
    drawn = said(RandomPolicy(), task)

    assert {"left", "right"} == set(drawn)
    assert drawn == said(pickle.loads(pickle.dumps(RandomPolicy())), task)
    assert all(text.startswith("Verdict: ") for text in said(RandomPolicy(), task, "checker"))
    task.listed = []
    assert bare == said(RandomPolicy(), task)


@pytest.mark.parametrize("policy", [GoldPolicy(), DemonstratorPolicy(), OracleChecker(), RandomPolicy()])
def test_oracles_keep_the_contract(policy: Policy, guess_task: type[Task]) -> None:
    """The same, after they have met a task."""

    def task() -> Task:
        made = guess_task()
        made.reset(seed=3)
        return made

    check_policy(policy, task=task)
