"""Supervised training: it learns what the role said, and nothing else."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import pytest
import torch

from cmat_env.errors import ConfigError
from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning import sft
from cmat_env.tuning.settings import SFTSettings
from cmat_env.types import Dialogue, Message

MakePolicy = Callable[..., HFPolicy]
RULE = SFTSettings(steps=30, batch=4, learning_rate=1e-2, warmup=3)


def demonstrations(policy: HFPolicy, *, noise: str = "lower") -> list[Dialogue]:
    """Four dialogues whose replies are certain, and whose last message nobody answers."""
    dialogues = []
    for number in (3, 5, 7, 9):
        messages = [
            Message("user", f"Guess {number}."),
            Message("assistant", str(number)),
            Message("environment", noise),
        ]
        dialogues.append(policy.tokenize(Dialogue("assistant", messages=messages)))
    return dialogues


def losses(policy: HFPolicy, rule: SFTSettings, dialogues: list[Dialogue]) -> list[float]:
    """The loss of each step."""
    seen: list[float] = []
    sft.Imitation(policy, dialogues, rule, seed=0).finish(lambda step, loss: seen.append(loss))
    return seen


def test_the_loss_falls(make_policy: MakePolicy) -> None:
    """Thirty steps on four certain replies: under a tenth of where it began; returned is the mean of the last three."""
    policy = make_policy(adapter="shared")
    seen: list[float] = []
    result = sft.Imitation(policy, demonstrations(policy), RULE, seed=0).finish(lambda step, loss: seen.append(loss))

    assert 30 == len(seen)
    assert seen[-1] < seen[0] / 10
    assert result == pytest.approx(sum(seen[-3:]) / 3)


def test_what_was_imitated_is_said(make_policy: MakePolicy) -> None:
    """After training the policy answers as was demonstrated: nothing of before is left in its caches."""
    policy = make_policy(adapter="shared")
    asked = [Dialogue("assistant", messages=[Message("user", f"Guess {number}.")]) for number in (3, 5, 7, 9)]
    policy.generate(asked, seed=0)
    losses(policy, dataclasses.replace(RULE, steps=60), demonstrations(policy))

    assert ["3", "5", "7", "9"] == [generation.text for generation in policy.generate(asked, seed=0)]


def test_only_own_tokens_are_learned(make_policy: MakePolicy) -> None:
    """What others say after the last reply has no influence: other words there, the same losses."""
    seen = []
    for noise in ("lower", "higher"):
        policy = make_policy(adapter="shared", dtype=torch.float64)
        seen.append(losses(policy, RULE, demonstrations(policy, noise=noise)))

    assert seen[0] == pytest.approx(seen[1])


def test_packing_changes_nothing(make_policy: MakePolicy) -> None:
    """Several dialogues a line: the same losses."""
    seen = []
    for width in (0, 128):
        policy = make_policy(adapter="shared", dtype=torch.float64)
        seen.append(losses(policy, dataclasses.replace(RULE, line_width=width), demonstrations(policy)))

    assert seen[0] == pytest.approx(seen[1])


def test_the_seed_decides(make_policy: MakePolicy) -> None:
    """Equal seeds give bit-equal weights, other seeds another order and other weights."""
    weights = []
    for seed in (0, 0, 1):
        policy = make_policy(adapter="shared")
        sft.Imitation(policy, demonstrations(policy), dataclasses.replace(RULE, steps=3, batch=2), seed=seed).finish()
        weights.append(policy.weights.state_dict()["assistant"]["policy.0"])

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_an_imitation_goes_on_bit_for_bit(make_policy: MakePolicy) -> None:
    """Five steps, against two, their state on disk, and three by another object: losses and weights are the same."""
    rule = dataclasses.replace(RULE, steps=5, batch=3)
    whole, begun, other = (make_policy(adapter="shared") for _ in range(3))
    expected = sft.Imitation(whole, demonstrations(whole), rule, seed=3)
    expected.finish()
    first = sft.Imitation(begun, demonstrations(begun), rule, seed=3)
    first.step()
    first.step()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = sft.Imitation(other, demonstrations(other), rule, seed=3)
    second.load_state_dict(torch.load(file, weights_only=True))
    seen: list[int] = []
    second.finish(lambda step, loss: seen.append(step))

    assert [2, 3, 4] == seen
    assert expected.losses == second.losses
    for one, two in zip(whole.weights.base.parameters(), other.weights.base.parameters(), strict=True):
        assert torch.equal(one, two)


def test_an_imitation_of_other_demonstrations_is_not_gone_on_with(make_policy: MakePolicy) -> None:
    """Other words, or another learning rate: the state is refused, and nothing is changed."""
    policy = make_policy(adapter="shared")
    begun = sft.Imitation(policy, demonstrations(policy), RULE, seed=0)
    begun.step()
    fewer = sft.Imitation(policy, demonstrations(policy)[:-1], RULE, seed=0)
    faster = sft.Imitation(policy, demonstrations(policy), dataclasses.replace(RULE, learning_rate=1.0), seed=0)

    for other in (fewer, faster):
        with pytest.raises(ValueError, match="are other than they were"):
            other.load_state_dict(begun.state_dict())
        assert [] == other.losses


def test_a_batch_larger_than_the_data_repeats_them(make_policy: MakePolicy) -> None:
    """Nine of four: no wait, no error."""
    policy = make_policy(adapter="shared")

    assert 2 == len(losses(policy, dataclasses.replace(RULE, steps=2, batch=9), demonstrations(policy)))


def test_demonstrations_without_a_reply_are_refused(make_policy: MakePolicy) -> None:
    """There is nothing to learn from what only others said."""
    policy = make_policy(adapter="shared")

    with pytest.raises(ConfigError, match="none of the demonstrations"):
        sft.Imitation(policy, [policy.tokenize(Dialogue("assistant", messages=[Message("user", "a")]))], RULE, seed=0)


def test_the_learning_rate_rises_and_falls() -> None:
    """Linear to the peak in two steps, then half a cosine from 1 to 0.1: 0.55 in the middle."""
    rule = SFTSettings(steps=10, warmup=2)

    assert [0.5, 1.0, 1.0, 0.55] == pytest.approx([sft.schedule(step, rule) for step in (0, 1, 2, 6)])
    assert sft.schedule(10, rule) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("batch", 0), ("learning_rate", 0.0), ("warmup", -1), ("weight_decay", -0.1), ("line_width", -1)],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    """Each with its name."""
    with pytest.raises(ConfigError, match=name):
        SFTSettings(**{name: value})  # type: ignore[arg-type]
