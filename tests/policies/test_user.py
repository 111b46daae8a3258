"""The scripted user: what it says, what it tells, when it ends, and that a whole dialogue needs no human."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import pytest

from cmat_env.envs.database.generate.chain import generate_chain
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.scripted import GoldPolicy
from cmat_env.policies.spec import parse_spec
from cmat_env.policies.tiny import TinyConfig, make_model
from cmat_env.policies.user import FAREWELL, UNKNOWN, ScriptedUser
from cmat_env.registry import make
from cmat_env.rollout import Episode
from cmat_env.types import Brief, Dialogue, Generation, Message, Trajectory

ID = "cmat/DB-Composite-v0"


class Asks:
    """Gold, but it asks first."""

    def __init__(self, *questions: str) -> None:
        self.questions = questions
        self.gold = GoldPolicy()

    def begin(self, dialogue: Dialogue, task: Any) -> None:
        """Meet the task."""
        self.gold.begin(dialogue, task)

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Ask what is left to ask, then play on."""
        replies = []
        for dialogue in dialogues:
            own = dialogue.replies
            if own < len(self.questions):
                replies.append(Generation(self.questions[own]))
                continue
            later = Dialogue(
                dialogue.role, messages=[Message("user", "")] + [Message("assistant", "")] * (own - len(self.questions))
            )
            self.gold._solutions[later] = self.gold._solutions[dialogue]
            replies += self.gold.generate([later], seed=seed)
        return replies


def dialogue_of(style: str, assistant: Any, **settings: Any) -> Trajectory:
    """One episode of the full team on a composite task."""
    kept: list[Trajectory] = []
    evaluate(
        functools.partial(make, ID, roles=("user", "assistant", "checker"), **settings),
        {"user": f"user:{style}", "assistant": assistant, "checker": "oracle"},
        episodes=1,
        seed=3,
        on_end=lambda _, episode: kept.append(episode),
    )
    return kept[0]


@pytest.mark.parametrize("style", ["verbatim", "paraphrase", "split"])
@pytest.mark.parametrize("closing", ["answers", "user"])
def test_a_full_dialogue_runs_without_a_human(style: str, closing: str) -> None:
    """However it is said and whoever ends it, gold solves every task."""
    report = evaluate(
        functools.partial(make, ID, closing=closing, tasks="generated:heldout"),
        {"user": f"user:{style}", "assistant": "gold", "checker": "oracle"},
        episodes=60,
    )

    assert {"correct": 60} == report.outcomes


def test_a_split_task_is_told_part_by_part_and_ended_by_the_user() -> None:
    """The assistant hears of no part before the one in front is answered."""
    episode = dialogue_of("split", "gold", parts=(3,), closing="user")
    said = [step.generation.text for step in episode.steps if step.role == "user"]

    assert 4 == len(said)
    assert "Part" not in said[0]
    assert said[1].startswith("Next: ")
    assert said[2].startswith("Next: ")
    assert FAREWELL == said[3]
    told = next(step for step in episode.steps if step.role == "assistant")
    assert said[1].removeprefix("Next: ") not in told.observation["message"]


def test_a_question_goes_to_the_user_and_is_no_action() -> None:
    """The answer comes back, the checker hears both, nobody is paid, and the task has not moved."""
    seed = next(s for s in range(100) if "update_it" in chain(s))
    kept: list[Trajectory] = []
    evaluate(
        functools.partial(make, ID, roles=("user", "assistant", "checker"), vague=True, questions=1, parts=(3,)),
        {"user": "user", "assistant": Asks("Ask: what is the new number?"), "checker": "oracle"},
        episodes=[Episode(seed)],
        on_end=lambda _, episode: kept.append(episode),
    )
    steps = kept[0].steps

    assert ["user", "assistant", "user", "assistant", "checker"] == [step.role for step in steps[:5]]
    assert ("what is the new number?", "assistant") == tuple(steps[2].observation.values())
    assert steps[2].generation.text.startswith("The new ")
    assert steps[2].generation.text == steps[3].observation["message"]
    assert "Question: what is the new number?\nAnswer: The new " in steps[4].observation["message"]
    assert () == steps[1].payments
    assert kept[0].success


def chain(seed: int) -> tuple[str, ...]:
    """Families of a task's parts."""
    return generate_chain("train", seed=seed, lengths=(3,)).families


def test_questions_are_bounded() -> None:
    """A question above the limit is an action like any other: here one that the checker refuses as malformed."""
    episode = dialogue_of("verbatim", Asks("Ask: what?", "Ask: and what else?"), questions=1)
    speakers = [step.role for step in episode.steps[:5]]

    assert ["user", "assistant", "user", "assistant", "checker"] == speakers
    assert UNKNOWN == episode.steps[2].generation.text
    assert episode.steps[4].judgement is not None
    assert "format" == episode.steps[4].judgement.reason


def test_without_a_user_nobody_is_asked() -> None:
    """The question is an action like any other."""
    report = evaluate(
        functools.partial(make, ID, questions=3, roles=("assistant",)), {"assistant": Asks("Ask: what?")}, episodes=1
    )

    assert {"format": 1} == report.outcomes


def test_a_paraphrase_says_the_same_in_other_words() -> None:
    """Each goal is said in one of its own wordings, and not in the task's."""
    user, dialogue = ScriptedUser("paraphrase"), Dialogue("user", messages=[Message("environment", "x")])

    class Told:
        brief = Brief(
            "Table t (a, b).", ("count all t", "find b"), (("count all t", "how many t are there"), ("find b",))
        )

    user.begin(dialogue, Told())  # type: ignore[arg-type]
    said = user.generate([dialogue], seed=0)[0].text

    assert "Part 1: how many t are there\nPart 2: find b\nTable t (a, b)." in said


def test_a_task_without_a_brief_is_stated_word_for_word() -> None:
    """Any task can be played with it; a paraphrase is a polite frame then."""
    for style in ("verbatim", "paraphrase", "split"):
        report = evaluate("cmat/DB-v0", {"user": f"user:{style}", "assistant": "gold"}, episodes=5)
        assert report.success_rate == 1.0


def test_wrong_styles_and_roles_are_named() -> None:
    """A typo says what was meant."""
    with pytest.raises(ConfigError, match="verbatim"):
        parse_spec("user:verbatin", role="user")
    with pytest.raises(ConfigError, match="is a user"):
        parse_spec("user", role="assistant")


def test_a_user_that_talks_nonsense_breaks_nothing() -> None:
    """A model as the user may say anything at any time."""
    for user in ("random", "echo"):
        report = evaluate(
            functools.partial(make, ID, closing="user", vague=True, questions=2),
            {"user": user, "assistant": "gold", "checker": "coin:0.5"},
            episodes=30,
        )
        assert report.episodes == 30


def test_a_model_as_the_user_ends_every_dialogue_somehow(tokenizer: Any) -> None:
    """Random weights say anything: the episode is played to an end, and its user's tokens are kept."""
    model = make_model(tokenizer, TinyConfig(len(tokenizer), 16, 1, 2, 16, 2048), seed=0)
    user = HFPolicy(model, tokenizer, roles=("user",), sampling=Sampling(max_new_tokens=8))
    kept: list[Trajectory] = []
    evaluate(
        functools.partial(make, ID, parts=(2,), closing="user", roles=("user", "assistant")),
        {"user": user, "assistant": "gold"},
        episodes=4,
        on_end=lambda _, episode: kept.append(episode),
    )

    assert 4 == len(kept)
    said = [step.generation.token_ids for episode in kept for step in episode.steps if step.role == "user"]
    assert len(said) >= 4
    assert all(said)
