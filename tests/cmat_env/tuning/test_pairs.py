"""Preference pairs: from a file, and from proposals before and after a revision."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cmat_env.errors import TaskFileError
from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning import pairs
from cmat_env.tuning.pairs import encode, of_iteration, read, revisions
from cmat_env.tuning.rows import pack, role_batch
from cmat_env.tuning.settings import TunerSettings
from cmat_env.tuning.tuner import Tuner
from cmat_env.types import Dialogue, Generation, Judgement, Message, Step, Trajectory, Verdict

MakePolicy = Callable[..., HFPolicy]
USER = {"role": "user", "content": "1 to 16"}
TURN = [{"role": "assistant", "content": "say a number"}, {"role": "user", "content": "higher"}]


def reply(text: str) -> dict[str, str]:
    """A message of the role that learns."""
    return {"role": "assistant", "content": text}


def line(**changes: Any) -> dict[str, Any]:
    """A pair of replies to one message, but for these changes."""
    return {"prompt": [USER], "chosen": [reply("higher")], "rejected": [reply("lower")]} | changes


def written(path: Path, *lines: Any) -> Path:
    """A pairs file."""
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), encoding="utf-8")
    return path


def text_of(policy: HFPolicy, trajectory: Trajectory, *, own: bool) -> str:
    """What is learned from in a one-dialogue episode, or all the rest."""
    ((dialogue,),) = trajectory.dialogues.values()
    kept = [t for t, mine in zip(dialogue.token_ids, dialogue.action_mask, strict=True) if mine == own]
    return str(policy.chat.tokenizer.decode(kept))


# -- from a file -------------------------------------------------------------------------------------------------


def test_a_line_becomes_two_episodes_of_one_task(make_policy: MakePolicy, tmp_path: Path) -> None:
    """The reply alone is learned from, with the token that ends it; the preferred one is paid 1, the other 0."""
    policy = make_policy()
    (pair,) = encode(read(written(tmp_path / "p.jsonl", line()), ["assistant"]), policy)

    assert ("higher<|end|>", "lower<|end|>") == (
        text_of(policy, pair.chosen, own=True),
        text_of(policy, pair.rejected, own=True),
    )
    assert "<|user|>1 to 16<|end|><|assistant|>" == text_of(policy, pair.chosen, own=False)
    assert ({"assistant": 1.0}, {"assistant": 0.0}) == (pair.chosen.returns(), pair.rejected.returns())
    assert pair.chosen.task_id == pair.rejected.task_id == f"{tmp_path / 'p.jsonl'}:1"


def test_several_turns_count_and_those_of_the_prompt_do_not(make_policy: MakePolicy, tmp_path: Path) -> None:
    """The role's own words before the comparison are context; of what follows all its turns count, nobody else's do."""
    policy = make_policy()
    path = written(tmp_path / "p.jsonl", line(prompt=[USER, *TURN], chosen=[*TURN, reply("lower")]))
    (pair,) = encode(read(path, ["assistant"]), policy)
    batch = role_batch([pair.chosen, pair.rejected], "assistant")

    assert "say a number<|end|>lower<|end|>" == text_of(policy, pair.chosen, own=True)
    assert 2 == text_of(policy, pair.chosen, own=False).count("higher")
    assert [2, 1] == [int(turns[mask].max()) + 1 for turns, mask in zip(batch.turns, batch.mask, strict=True)]
    assert [1.0, 0.0] == batch.returns.tolist()


def test_a_line_may_be_of_another_role(make_policy: MakePolicy, tmp_path: Path) -> None:
    """Each role learns from its own lines."""
    path = written(tmp_path / "p.jsonl", line(), line(role="checker"))
    made = encode(read(path, ["assistant", "checker"]), make_policy())

    assert ["assistant", "checker"] == [role for pair in made for role in pair.chosen.dialogues]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{", ":2 is not JSON"),
        ("[]", ":2: wanted an object with prompt, chosen, rejected"),
        (line(chozen=[]), ":2: unknown field 'chozen'; did you mean 'chosen'"),
        (line(role="checker"), ":2: role 'checker' does not learn"),
        (line(prompt="1 to 16"), ":2: prompt: wanted a list of messages, got '1 to 16'"),
        (line(chosen=[{"role": "bot", "content": "8"}]), r":2: chosen: .* is no message; wanted role \(system, user"),
        (line(rejected=[{"role": "assistant", "content": 8}]), ":2: rejected: .* is no message"),
        (line(rejected=[]), ":2: rejected must end with a message of the assistant"),
        (line(chosen=TURN), ":2: chosen must end with a message of the assistant"),
        (line(prompt=[USER, reply("8")]), ":2: prompt ends with the assistant's own message"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    """File, line, field, what came and what was wanted."""
    with pytest.raises(TaskFileError, match=words):
        read(written(tmp_path / "p.jsonl", line(), bad), ["assistant"])


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    """Empty, or not there."""
    with pytest.raises(TaskFileError, match="holds no preference pairs"):
        read(written(tmp_path / "p.jsonl", "", " "), ["assistant"])
    with pytest.raises(TaskFileError, match=r"none\.jsonl cannot be read"):
        read(tmp_path / "none.jsonl", ["assistant"])


def test_a_pair_that_does_not_fit_is_refused(make_policy: MakePolicy, tmp_path: Path) -> None:
    """The model takes 400 tokens."""
    path = written(tmp_path / "p.jsonl", line(), line(chosen=[reply("lower " * 500)]))
    with pytest.raises(TaskFileError, match=r":2: \d+ tokens, but the model takes 400"):
        encode(read(path, ["assistant"]), make_policy())


def test_every_pair_comes_once_a_pass(make_policy: MakePolicy, tmp_path: Path) -> None:
    """Five pairs by two: ten come in five iterations, each twice, in another order, and the same for the same seed."""
    path = written(tmp_path / "p.jsonl", *[line()] * 5)
    made = encode(read(path, ["assistant"]), make_policy())

    def tasks(seed: int) -> list[str]:
        return [t.task_id[-1] for i in range(5) for t in list(of_iteration(made, i, each=2, seed=seed))[::2]]

    assert ["1", "2", "3", "4", "5"] == sorted(tasks(0)[:5]) == sorted(tasks(0)[5:])
    assert tasks(0)[:5] != tasks(0)[5:]
    assert tasks(0) == tasks(0) != tasks(1)
    assert 10 == len(list(of_iteration(made, 3, each=64, seed=0)))


def test_what_is_preferred_becomes_likelier(make_policy: MakePolicy, tmp_path: Path) -> None:
    """From a file alone, over two turns: after some updates the margin is positive for every pair."""
    policy = make_policy(dtype=torch.float64, adapter="lora")
    lines = [line(), line(prompt=[USER, *TURN], chosen=[*TURN, reply("lower")], rejected=[*TURN, reply("higher")])]
    made = encode(read(written(tmp_path / "p.jsonl", *lines), ["assistant"]), policy)
    settings = TunerSettings(algorithm="dpo", warmup=0, epochs=1, minibatch=0, learning_rate=1e-2)
    tuner = Tuner(policy, ["assistant"], settings)
    seen = [tuner.update([], preferences=list(of_iteration(made, i, each=2, seed=0)))["assistant"] for i in range(10)]

    assert seen[0]["preferred"] == 0.0
    assert (2.0, 1.0) == (seen[-1]["pairs"], seen[-1]["preferred"])
    assert seen[-1]["loss"] < seen[0]["loss"] < 0.6932


# -- before and after a revision ---------------------------------------------------------------------------------


def revised(
    *, approve: bool = False, bad: bool | None = True, judged: bool | None = None, success: bool = True
) -> Trajectory:
    """An assistant that says 40, is looked at, says 41, and says 42 at last; a checker's verdict after the first two.

    Args:
        approve: the first verdict.
        bad: what the task thinks of 40; None = nothing.
        judged: and of 41; None = it was executed without a look.
        success: of the episode.
    """
    dialogue = Dialogue("assistant", messages=[Message("user", "1 to 16")])
    steps: list[Step] = []

    def say(role: str, token: int | None, verdict: Verdict | None = None, good: bool | None = None) -> None:
        generation = Generation("", None if token is None else (token,), None if token is None else (-1.0,))
        if role == "assistant":
            dialogue.encode([1, 2])
            dialogue.reply(generation)
        judgement = None if good is None else Judgement(good)
        observation = {"message": "", "speaker": ""}
        turn = sum(step.role == role for step in steps)
        steps.append(
            Step(len(steps), f"{role}_0", role, turn, observation, generation, verdict=verdict, judgement=judgement)
        )

    say("assistant", 40)
    say("checker", None, Verdict(approve), None if bad is None else not bad)
    say("assistant", 41)
    if judged is not None:
        say("checker", None, Verdict(approve=True), judged)
    say("assistant", 42)
    return Trajectory(
        env_id="e", task_id="t", task_type="", seed=0, steps=tuple(steps), dialogues={"assistant": (dialogue,)},
        payments=(), success=success, score=0.0, outcome="", terminated=True, truncated=False,
    )  # fmt: skip


def spans(trajectories: Sequence[Trajectory]) -> list[tuple[list[int], list[bool], float]]:
    """Token ids, what is learned from, and pay."""
    return [
        (t.dialogues["assistant"][0].token_ids, t.dialogues["assistant"][0].action_mask, t.returns()["assistant"])
        for t in trajectories
    ]


@pytest.mark.parametrize(
    "changes",
    [{}, {"judged": True, "success": False}],
    ids=["executed unseen, and the episode was a success", "judged good"],
)
def test_a_better_revision_is_preferred_in_the_place_of_the_first(changes: dict[str, Any]) -> None:
    """What was said instead, after the same words: 41 over 40, both behind the two tokens of the question."""
    assert [([1, 2, 41], [False, False, True], 1.0), ([1, 2, 40], [False, False, True], 0.0)] == spans(
        list(revisions([revised(**changes)]))
    )


@pytest.mark.parametrize(
    "changes",
    [{"approve": True}, {"bad": False}, {"bad": None}, {"success": False}, {"judged": False}],
    ids=["it was approved", "it was good", "nobody judged it", "the episode failed", "the revision is bad too"],
)
def test_no_preference_without_a_reason(changes: dict[str, Any]) -> None:
    """A refusal alone says nothing: the first must be bad, the second good."""
    assert [] == list(revisions([revised(**changes)]))


def test_a_later_revision_keeps_what_was_said_before() -> None:
    """Earlier replies are context: they are read, and not learned from."""
    trajectory = revised(judged=True)
    steps = list(trajectory.steps)
    # 41 was judged bad and refused; 42 was executed.
    steps[3] = dataclasses.replace(steps[3], verdict=Verdict(approve=False), judgement=Judgement(good=False))
    made = spans(list(revisions([dataclasses.replace(trajectory, steps=tuple(steps))])))

    assert [
        ([1, 2, 40, 1, 2, 42], [False] * 5 + [True], 1.0),
        ([1, 2, 40, 1, 2, 41], [False] * 5 + [True], 0.0),
    ] == made


def test_the_refused_context_is_the_one_it_was_said_in(make_policy: MakePolicy) -> None:
    """The chosen and the rejected proposal have the same probability of all that comes before them: it cancels."""
    policy = make_policy(dtype=torch.float64)
    chosen, rejected = revisions([revised()])
    batch = role_batch([], "assistant", preferences=[chosen, rejected])
    tokens, _ = pack(batch.rows, width=0)

    assert [False, False] == batch.sampled.tolist()
    assert [1, 1] == batch.mask.sum(-1).tolist()
    assert tokens.token_ids[0, :2].tolist() == tokens.token_ids[1, :2].tolist()
    assert 2 == len(policy.evaluate(tokens, "assistant").logprobs)


def test_pairs_module_documents_its_format(tmp_path: Path) -> None:
    """The example at its head is a line that it reads."""
    assert pairs.__doc__ is not None
    example = pairs.__doc__[pairs.__doc__.index("{") : pairs.__doc__.rindex("}") + 1].replace("\n", " ")

    assert ["assistant"] == [each.role for each in read(written(tmp_path / "p.jsonl", example), ["assistant"])]
