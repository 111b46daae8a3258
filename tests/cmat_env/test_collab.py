"""CollabEnv: who sees what, who speaks next, who is paid, and PettingZoo's contract. `GuessTask` is the task."""

from __future__ import annotations

import copy
import pickle
from itertools import combinations
from typing import Any

import pytest
from pettingzoo.test.api_test import api_test
from pettingzoo.test.seed_test import seed_test

from cmat_env.collab import SPEAKERS, CollabEnv, Moment, RewardRule, TurnOrder, Wording
from cmat_env.errors import ConfigError, ContractError
from cmat_env.evaluate import evaluate
from cmat_env.ledger import explained
from cmat_env.registry import make
from cmat_env.types import Judgement, Payment, Verdict

TEAMS = [("assistant", *others) for n in range(3) for others in combinations(("user", "checker"), n)]
FIVE = {"task": 5}


def heard(env: CollabEnv) -> tuple[str, str, str]:
    """Whose turn it is, what it is told, and by whom."""
    observation, *_ = env.last()
    assert observation is not None
    return env.agent_selection, observation["message"], SPEAKERS[observation["speaker"]]


def played(env: CollabEnv, *actions: str | None) -> list[tuple[str, str, str]]:
    """What each agent was told before its action, and at last who comes next."""
    told = [heard(env)]
    for action in actions:
        env.step(action)
        told.append(heard(env))
    return told


@pytest.mark.parametrize("roles", TEAMS)
@pytest.mark.parametrize("dry_run", [False, True])
def test_passes_pettingzoos_own_tests(guess_task: Any, roles: tuple[str, ...], dry_run: bool) -> None:
    """Any team with an assistant is a proper AEC environment."""
    api_test(CollabEnv(guess_task(), roles=roles, render_mode="ansi"), num_cycles=100)  # type: ignore[no-untyped-call]
    seed_test(lambda: CollabEnv(guess_task(), roles=roles, dry_run=dry_run), num_cycles=100)  # type: ignore[no-untyped-call]


def test_a_whole_episode_of_the_full_team(guess_task: Any) -> None:
    """User, assistant, checker and task take turns, and each sees what it should."""
    env = CollabEnv(guess_task())
    env.reset(seed=0, options=FIVE)
    statement = "Guess a number from 1 to 16."

    told = played(env, "Find it!", "9", "Verdict: approve", "12", "Verdict: revise. too high", "5")

    assert [
        ("user_0", statement, "environment"),
        ("assistant_0", "Find it!", "user"),
        ("checker_0", "Find it!\nProposal:\n9", "assistant"),
        ("assistant_0", "lower", "environment"),
        ("checker_0", "Outcome: lower\nProposal:\n12", "assistant"),
        ("assistant_0", "Verdict: revise. too high", "checker"),
        ("user_0", "correct", "environment"),
    ] == told
    assert "Outcome: correct" == env.observe("checker_0")["message"]
    assert statement == env.statement
    expected = {"success": True, "score": 1.0, "outcome": "correct", "terminated": True, "truncated": False}
    assert expected == env.outcome


def test_a_user_without_words_states_the_task_verbatim(guess_task: Any) -> None:
    """Empty, blank and None all mean: as it is."""
    for silence in ("", " \n", None):
        env = CollabEnv(guess_task(), roles=("user", "assistant"))
        env.reset(seed=0)

        assert ("assistant_0", "Guess a number from 1 to 16.", "user") == played(env, silence)[-1]


def test_without_a_user_the_statement_is_still_the_users(guess_task: Any) -> None:
    """Who states a task does not depend on who is played."""
    env = CollabEnv(guess_task(), roles=("assistant",))
    env.reset(seed=0)

    assert ("assistant_0", "Guess a number from 1 to 16.", "user") == heard(env)


def test_nobody_hears_of_the_task_before_its_turn(guess_task: Any) -> None:
    """What the user has not said yet, the others cannot know."""
    env = CollabEnv(guess_task())
    env.reset(seed=0)

    assert {"message": "", "speaker": 0} == env.observe("assistant_0") == env.observe("checker_0")


def test_after_the_last_revision_a_proposal_executes_unreviewed(guess_task: Any) -> None:
    """max_revisions bounds the talk of one turn; the next turn has its own."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), max_revisions=2)
    env.reset(seed=0, options=FIVE)

    speakers = [agent for agent, *_ in played(env, "1", "revise", "2", "revise", "3", "4", "revise")]

    a, c = "assistant_0", "checker_0"
    assert [a, c, a, c, a, a, c, a] == speakers


def test_no_revisions_means_no_reviews(guess_task: Any) -> None:
    """With max_revisions=0 the checker never has a turn, and is paid as a member of the team."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), max_revisions=0)
    env.reset(seed=0, options=FIVE)
    env.step("5")

    assert [Payment("assistant", 1.0, "task", 0), Payment("checker", 0.7, "team", -1)] == env.ledger.entries


def test_an_unreadable_verdict_approves(guess_task: Any) -> None:
    """Junk from the checker executes the proposal, and the info says that it was junk."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"))
    env.reset(seed=0, options=FIVE)

    assert ("assistant_0", "higher", "environment") == played(env, "2", "\ud800 whatever")[-1]
    assert Verdict(approve=True, parsed=False) == env.last_verdict
    assert {"approve": True, "confidence": 1.0, "parsed": False} == env.infos["checker_0"]["verdict"]
    env.step("3")
    assert env.last_verdict is None


def test_every_payment_is_in_the_ledger(guess_task: Any) -> None:
    """Literal payments of an episode in which the checker is right, then wrong."""
    env = CollabEnv(guess_task())
    env.reset(seed=0, options=FIVE)
    played(env, "go", "9", "approve", "12", "approve, confidence 0.5", "5", "no")
    assert Judgement(good=True, reason="1 to 8 are left") == env.last_judgement
    played(env, "5")

    assert [
        Payment("checker", 1.0, "verdict", 0),
        Payment("checker", 0.5, "verdict", 1),
        Payment("checker", -1.0, "verdict", 2),
        Payment("assistant", 1.0, "task", 3),
        Payment("checker", 0.7, "team", 2),
        Payment("user", 1.0, "team", 0),
    ] == env.ledger.entries


def test_rewards_accumulate_until_the_agent_acts(guess_task: Any) -> None:
    """`last()` gives what was earned since that agent's previous turn, `rewards` what this step paid."""
    env = CollabEnv(guess_task())
    env.reset(seed=0, options=FIVE)
    played(env, "go", "9", "approve")
    assert {"user_0": 0.0, "assistant_0": 0.0, "checker_0": 1.0} == env.rewards
    env.step("5")
    assert ("checker_0", 1.0) == (env.agent_selection, env.last()[1])
    env.step("approve")

    assert {"user_0": 1.0, "assistant_0": 1.0, "checker_0": 1.7} == env.rewards
    earned = {}
    for agent in env.agent_iter():
        _, earned[agent], terminated, truncated, _ = env.last()
        assert (True, False) == (terminated, truncated)
        env.step(None)
    assert {"user_0": 1.0, "assistant_0": 1.0, "checker_0": 1.7} == earned
    assert [] == env.agents


def test_weights_of_zero_pay_nothing(guess_task: Any) -> None:
    """A rule of zeros leaves the task's own reward alone."""
    env = CollabEnv(guess_task(), rewards=RewardRule(verdict=0.0, team=0.0, user=0.0))
    env.reset(seed=0, options=FIVE)
    played(env, "go", "5", "approve")

    assert [Payment("assistant", 1.0, "task", 0)] == env.ledger.entries


def test_a_limit_truncates_all_agents(guess_task: Any) -> None:
    """A time limit is not an end: truncated, not terminated."""
    env = CollabEnv(guess_task(max_rounds=1), roles=("assistant", "checker"))
    env.reset(seed=0, options=FIVE)
    played(env, "9", "approve")

    assert {"assistant_0": True, "checker_0": True} == env.truncations
    assert {"assistant_0": False, "checker_0": False} == env.terminations
    assert env.outcome is not None
    assert "round limit" == env.outcome["outcome"]


def test_a_dry_run_shows_what_would_come_and_changes_nothing(guess_task: Any) -> None:
    """The checker reads the outcome of the proposal; of an end it learns only that it would come."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), dry_run=True, max_revisions=2)
    env.reset(seed=0, options=FIVE)
    before = env.task.snapshot()  # type: ignore[attr-defined]

    told = [message for _, message, _ in played(env, "9", "revise", "5")]

    assert "Guess a number from 1 to 16.\nProposal:\n9\nDry run: lower" == told[1]
    assert "Proposal:\n5\nDry run: the episode would end" == told[3]
    assert before == env.task.snapshot()  # type: ignore[attr-defined]


@pytest.mark.parametrize("action", [None, "", "x" * 1_000_000, "東京 🦊 \x00", "\ud800"])
def test_any_string_is_legal_and_messages_stay_in_their_space(guess_task: Any, action: str | None) -> None:
    """Junk of every role survives, and what is too long is cut to the space's length."""
    env = CollabEnv(guess_task(), max_message=1000, max_revisions=2)
    env.reset(seed=0)
    while env.agents:
        for agent in env.agents:
            assert env.observation_space(agent).contains(env.observe(agent))
        agent = env.agent_selection
        env.step(None if env.terminations[agent] or env.truncations[agent] else action)


def test_a_long_message_says_that_it_was_cut(guess_task: Any) -> None:
    """The cut message is as long as the space allows and ends with the mark."""
    env = CollabEnv(guess_task(), roles=("user", "assistant"), max_message=64)
    env.reset(seed=0)
    _, message, _ = played(env, "y" * 65)[-1]

    assert "y" * 58 + " [cut]" == message


@pytest.mark.parametrize("action", [3, b"5", ["5"]])
def test_an_action_that_is_no_string_is_the_callers_mistake(guess_task: Any, action: Any) -> None:
    """The error names agent and type, and the turn is not taken."""
    env = CollabEnv(guess_task(), roles=("assistant",))
    env.reset(seed=0)

    with pytest.raises(ContractError, match=f"assistant_0 acted with {type(action).__name__}"):
        env.step(action)
    assert -1 == env.episode.turns["assistant"]


def test_steps_outside_an_episode_say_to_reset(guess_task: Any) -> None:
    """Before the first reset and after the last dead step there is no turn to take."""
    env = CollabEnv(guess_task(), roles=("assistant",))
    for look in (lambda: env.step("5"), lambda: env.ledger, lambda: env.observe("assistant_0"), env.snapshot):
        with pytest.raises(ContractError, match=r"call reset\(\)"):
            look()
    env.reset(seed=0, options=FIVE)
    env.step("5")
    with pytest.raises(ValueError, match="only valid action is None"):
        env.step("5")
    env.step(None)
    with pytest.raises(ContractError, match=r"call reset\(\)"):
        env.step("5")


def test_an_episode_can_be_left_at_any_turn(guess_task: Any) -> None:
    """Reset begins anew also in the middle of the dead steps."""
    env = CollabEnv(guess_task())
    env.reset(seed=0, options=FIVE)
    played(env, "go", "5", "approve", None)
    env.reset(seed=0, options=FIVE)

    assert ["user_0", "assistant_0", "checker_0"] == env.agents
    assert "user_0" == env.agent_selection
    assert 0 == len(env.ledger)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"roles": ("assistant", "cheker")}, "no role 'cheker'; did you mean 'checker'"),
        ({"roles": ("user", "checker")}, "no assistant"),
        ({"roles": "assistant"}, r"one string; write a tuple, such as roles=\('assistant',\)"),
        ({"roles": ("assistant", "assistant")}, "names a role twice"),
        ({"max_revisions": -1}, "max_revisions=-1 .* at least 0"),
        ({"max_revisions": True}, "max_revisions=True"),
        ({"max_message": 10}, "max_message=10 .* at least 64"),
        ({"render_mode": "humna"}, "did you mean 'human'"),
    ],
)
def test_wrong_settings_are_named(guess_task: Any, settings: dict[str, Any], message: str) -> None:
    """What came, what was wanted, what to do."""
    with pytest.raises(ConfigError, match=message):
        CollabEnv(guess_task(), **settings)


def test_forks_go_on_alike(guess_task: Any) -> None:
    """A snapshot, restored here or elsewhere and more than once, a pickle and a deep copy have the same future."""
    env = CollabEnv(guess_task())
    env.reset(seed=0, options=FIVE)
    played(env, "go", "9", "revise")
    state = pickle.loads(pickle.dumps(env.snapshot()))
    forks = [CollabEnv(guess_task()), CollabEnv(guess_task()), pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
    for fork in forks[:2]:
        fork.restore(state)
    rest = ("3", "4", "approve", "5", "approve", None, None)
    expected = played(env, *rest), env.ledger
    for fork in forks:
        assert expected == (played(fork, *rest), fork.ledger)
    env.restore(state)
    assert expected == (played(env, *rest), env.ledger)


def test_a_snapshot_fits_its_own_team_only(guess_task: Any) -> None:
    """Another team, or a task that cannot be forked, is refused with the reason."""
    env, other = CollabEnv(guess_task()), CollabEnv(guess_task(), roles=("assistant",))
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="roles="):
        other.restore(env.snapshot())

    plain = CollabEnv(Unforkable())
    plain.reset(seed=0)
    with pytest.raises(ConfigError, match=r"Unforkable cannot be forked; give it snapshot\(\)"):
        plain.snapshot()
    with pytest.raises(ConfigError, match="dry_run=True needs a task with"):
        CollabEnv(Unforkable(), dry_run=True)


class Unforkable:
    """The least that is a task."""

    closed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin."""
        return "go", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """End."""
        return "end", 2.0, True, False, {}

    def close(self) -> None:
        """Count."""
        self.closed += 1


def test_the_least_task_will_do() -> None:
    """No judge, no info, no spaces: success is a positive return, and closing twice closes the task once."""
    env = CollabEnv(Unforkable())
    env.reset()
    played(env, "go", "a", "approve")
    env.close()
    env.close()

    assert env.outcome is not None
    assert (True, 2.0, "success") == (env.outcome["success"], env.outcome["score"], env.outcome["outcome"])
    assert ["task", "team", "team"] == [entry.reason for entry in env.ledger.entries]
    assert 1 == env.task.closed  # type: ignore[attr-defined]


def test_a_task_that_crashes_crashes_the_step(guess_task: Any) -> None:
    """The exception comes out as it is; the rollout decides what to do with it."""

    class Crashing(guess_task):  # type: ignore[misc]
        def step(self, action: str) -> Any:
            raise OSError("disk")

    env = CollabEnv(Crashing(), roles=("assistant",))
    env.reset(seed=0)
    with pytest.raises(OSError, match="disk"):
        env.step("5")


def test_render_shows_the_latest_turns(guess_task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Mode "ansi" returns text, mode "human" prints each turn, also what no terminal can show."""
    env = CollabEnv(guess_task(), roles=("assistant",), render_mode="ansi")
    assert "" == env.render()
    env.reset(seed=0, options=FIVE)
    env.step("9")
    assert "[environment] Guess a number from 1 to 16.\n[assistant] 9\n[environment] lower" == env.render()

    human = CollabEnv(guess_task(), roles=("assistant",), render_mode="human")
    human.reset(seed=0, options=FIVE)
    human.step("\ud800")
    assert human.render() is None
    printed = capsys.readouterr().out.splitlines()
    turns = ["[environment] Guess a number from 1 to 16.", "[assistant] \ufffd", "[environment] say a number"]
    assert turns * 2 == printed


def test_render_without_a_mode_warns(guess_task: Any) -> None:
    """As everywhere in PettingZoo."""
    env = CollabEnv(guess_task())
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode="):
        assert env.render() is None


def test_the_task_type_and_id_are_at_hand(guess_task: Any) -> None:
    """They come from the info of the task's reset, and every agent's info has them."""
    env = CollabEnv(guess_task(), env_id="test/Guess-v0")
    env.reset(seed=0, options=FIVE)

    assert ("guess-5", "odd", "test/Guess-v0") == (env.task_id, env.task_type, str(env))
    assert {"task_id": "guess-5", "task_type": "odd"} == env.infos["user_0"] == env.infos["checker_0"]
    assert env.infos["user_0"] is not env.infos["checker_0"]
    assert "checker" == env.role_of("checker_0")


def test_an_adviser_is_scored_and_stops_nothing(guess_task: Any) -> None:
    """A row of the turn order turns the checker's veto into advice."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), order=TurnOrder(revise=("task",)))
    env.reset(seed=0, options=FIVE)

    assert ("assistant_0", "higher", "environment") == played(env, "2", "revise")[-1]
    assert -1.0 == env.ledger.total("checker")


def test_a_user_may_comment_on_every_outcome(guess_task: Any) -> None:
    """A row of the turn order brings the user back in, and both others read what it says."""
    env = CollabEnv(guess_task(), order=TurnOrder(outcome=("user", "assistant")))
    env.reset(seed=0, options=FIVE)

    told = played(env, "go", "9", "approve", "try less", "7", "approve", "", "6")

    assert ("user_0", "lower", "environment") == told[3]
    assert ("assistant_0", "lower\ntry less", "environment") == told[4]
    assert ("checker_0", "Outcome: lower\ntry less\nProposal:\n7", "assistant") == told[5]
    assert ("assistant_0", "lower", "environment") == told[7]
    assert ("checker_0", "Outcome: lower\nProposal:\n6", "assistant") == told[8]


def test_an_order_may_be_any_object(guess_task: Any) -> None:
    """What decides is `next(moment)`; an answer that cannot be is the order's mistake."""

    class FirstReviewOnly:
        def next(self, moment: Moment) -> str:
            if moment.event == "proposal":
                return "checker" if not moment.executed and not moment.revisions else "task"
            return "assistant"

    env = CollabEnv(guess_task(), order=FirstReviewOnly())
    env.reset(seed=0, options=FIVE)
    assert ["assistant_0", "checker_0", "assistant_0", "assistant_0"] == [a for a, *_ in played(env, "1", "ok", "2")]

    class Wrong:
        def next(self, moment: Moment) -> str:
            return "checker"

    with pytest.raises(ContractError, match=r"Wrong answered 'checker' .* wanted one of \['user', 'assistant'\]"):
        CollabEnv(guess_task(), order=Wrong()).reset(seed=0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"start": ("checker", "assistant")}, r"TurnOrder\.start names 'checker'"),
        ({"proposal": ("cheker", "task")}, "did you mean 'checker'"),
        ({"proposal": ("checker",)}, "let it end in 'task'"),
        ({"outcome": ()}, "let it end in 'assistant'"),
    ],
)
def test_a_turn_order_that_can_get_stuck_is_refused(rows: dict[str, Any], message: str) -> None:
    """Every row must lead on, whoever is absent."""
    with pytest.raises(ConfigError, match=message):
        TurnOrder(**rows)


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"outcome": "Outcome"}, "must name exactly {observation}"),
        ({"proposal": "{action} {secret}"}, "must name exactly {action}"),
        ({"dry_run": "{observation"}, "no template"),
        ({"outcome": "{observation.__class__}"}, "must name exactly"),
    ],
)
def test_wrong_templates_are_refused(templates: dict[str, str], message: str) -> None:
    """A template names its own fields, all of them and nothing else."""
    with pytest.raises(ConfigError, match=message):
        Wording(**templates)


def test_wording_is_the_users(guess_task: Any) -> None:
    """Templates are used as given, and braces in messages are just braces."""
    wording = Wording(proposal="<{action}>", outcome="= {observation}")
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), wording=wording)
    env.reset(seed=0, options=FIVE)

    assert "= say a number\n<7>" == played(env, "{0} {x}", "ok", "7")[-1][1]


def revised(guess_task: Any, first: str, second: str, **rules: float) -> list[tuple[str, float, int]]:
    """What was paid for the revision of `first` to `second`: role, amount and the role's turn."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), rewards=RewardRule(**rules))
    env.reset(seed=0, options=FIVE)
    played(env, first, "Verdict: revise. Think again.", second)
    return [(each.role, each.amount, each.turn) for each in env.ledger.entries if each.reason == "revision"]


def test_a_revision_that_helps_is_an_entry_of_its_own(guess_task: Any) -> None:
    """The checker is paid for the turn in which it asked, the assistant for the one in which it revised."""
    assert [("checker", 0.5, 0), ("assistant", 0.25, 1)] == revised(guess_task, "17", "5", revision=0.5, reviser=0.25)
    assert [("checker", -0.5, 0)] == revised(guess_task, "5", "17", revision=0.5)
    assert [] == revised(guess_task, "17", "18", revision=0.5, reviser=0.25)
    assert [] == revised(guess_task, "17", "5")


def test_an_approved_proposal_is_no_revision_of_an_earlier_one(guess_task: Any) -> None:
    """What comes after an approval is judged by itself."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), rewards=RewardRule(revision=1.0))
    env.reset(seed=0, options=FIVE)
    played(env, "9", "Verdict: approve", "5", "Verdict: approve")

    assert "revision" not in {each.reason for each in env.ledger.entries}


def test_the_assistant_may_see_the_dry_run_of_what_it_revises(guess_task: Any) -> None:
    """Shared on request, after the checker's words, and without a grade."""
    for share, expected in ((True, "Verdict: revise. no\nDry run: lower"), (False, "Verdict: revise. no")):
        env = CollabEnv(guess_task(), roles=("assistant", "checker"), dry_run=True, share_dry_run=share)
        env.reset(seed=0, options=FIVE)
        played(env, "9", "Verdict: revise. no")

        assert ("assistant_0", expected, "checker") == heard(env)


def test_a_refusal_may_be_told_in_words_that_are_always_the_same(guess_task: Any) -> None:
    """Who revises does not stumble over what a small checker says besides its verdict."""
    env = CollabEnv(guess_task(), roles=("assistant", "checker"), feedback="verdict")
    env.reset(seed=0, options=FIVE)
    played(env, "9", "Verdict: revise.', 'wolf', 1, 1")

    assert ("assistant_0", "Verdict: revise. Try again.", "checker") == heard(env)
    with pytest.raises(ConfigError, match="did you mean 'verdict'"):
        CollabEnv(guess_task(), feedback="verdicts")  # type: ignore[arg-type]


def test_every_payment_is_explained() -> None:
    """A log says of each payment who, how much and what earned it."""
    lines: list[tuple[int, list[str]]] = []
    evaluate(
        lambda: make("cmat/DB-v0", rewards=RewardRule(revision=0.5)),
        {"user": "echo", "assistant": "demonstrator", "checker": "oracle"},
        episodes=20,
        on_end=lambda _, episode: lines.append((len(episode.payments), list(explained(episode)))),
    )

    assert all(count == len(said) for count, said in lines)
    said = [line for _, episode in lines for line in episode]
    assert "checker turn 1: +1.000 verdict: asked to revise, confidence 1; the proposal was bad (wrong rows)" in said
    assert any("+0.500 revision: the revision made a bad proposal good" in line for line in said)
    assert any("assistant turn" in line and "task: what the task paid" in line for line in said)
    assert any("team: its share of the team's result (correct)" in line for line in said)
