"""From trajectories to training rows: which tokens learn, where a payment lands, and that packing changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning.rows import RoleBatch, Row, batches, gather, pack, role_batch, scatter
from cmat_env.types import Dialogue, Generation, Message, Payment, Step, Trajectory

MakePolicy = Callable[..., HFPolicy]
PlayTeam = Callable[..., list[Trajectory]]


def dialogue(*parts: list[int] | tuple[int, ...], role: str = "assistant") -> Dialogue:
    """Lists are what others say, tuples are replies; a token's log-probability is minus a tenth of its id."""
    result = Dialogue(role)
    for part in parts:
        if isinstance(part, list):
            result.say(Message("environment", "..."))
            result.encode(part)
        else:
            result.reply(Generation("...", part, tuple(-token / 10 for token in part)))
    return result


def episode(
    *dialogues: Dialogue,
    paid: Sequence[tuple[int, float]] = (),
    task: str = "t",
    success: bool = False,
    truncated: bool = False,
) -> Trajectory:
    """An episode of one role with these dialogues and payments (turn, amount)."""
    replies = [tuple(d.token_ids[start:end]) for d in dialogues for start, end in d.turns]
    role = dialogues[0].role if dialogues else "assistant"
    steps = [
        Step(index, f"{role}_0", role, index, {"message": "", "speaker": "user"}, Generation("", ids))
        for index, ids in enumerate(replies)
    ]
    return Trajectory(
        env_id="e",
        task_id=task,
        task_type="",
        seed=0,
        steps=tuple(steps),
        dialogues={role: dialogues} if dialogues else {},
        payments=tuple(Payment(role, amount, "task", turn) for turn, amount in paid),
        success=success,
        score=0.0,
        outcome="",
        terminated=not truncated,
        truncated=truncated,
    )


def test_a_row_holds_the_tokens_up_to_the_roles_last_one() -> None:
    """The mask is True on own tokens alone; what others said after them teaches nothing and is cut off."""
    (row,) = role_batch([episode(dialogue([1, 2], (3, 4), [5], (6,), [7, 8]))], "assistant").rows

    assert [1, 2, 3, 4, 5, 6] == row.token_ids.tolist()
    assert [False, False, True, True, False, True] == row.action_mask.tolist()
    assert (0, 0, 3) == (row.episode, row.start, row.actions)


def test_logprobs_and_turns_follow_the_action_tokens() -> None:
    """Foreign tokens are passed over: tokens 3, 4 of the first turn and 6 of the second."""
    batch = role_batch([episode(dialogue([1, 2], (3, 4), [5], (6,)))], "assistant")

    assert [[-0.3, -0.4, -0.6]] == batch.logprobs.tolist()
    assert [[0, 0, 1]] == batch.turns.tolist()
    assert [[True, True, True]] == batch.mask.tolist()


def rewards(*dialogues: Dialogue, paid: Sequence[tuple[int, float]]) -> list[float]:
    """What each action token is paid."""
    result: list[float] = role_batch([episode(*dialogues, paid=paid)], "assistant").rewards[0].tolist()
    return result


def test_a_payment_reaches_the_last_token_of_its_turn() -> None:
    """Two payments of one turn add up."""
    paid = [(0, 1.0), (1, 0.5), (1, 0.25)]

    assert [0.0, 1.0, 0.75] == rewards(dialogue([1], (3, 4), [5], (6,)), paid=paid)


def test_a_payment_for_a_turn_without_tokens_reaches_the_token_before_it() -> None:
    """A reward after the last trainable token is not lost: turn 1 wrote nothing, turn 2 did."""
    played = dialogue([1], (3, 4), [5], (), [6], (7,))

    assert [0.0, 2.0, 0.5] == rewards(played, paid=[(1, 2.0), (2, 0.5)])
    assert [0.0, 2.0] == rewards(dialogue([1], (3, 4), [5], ()), paid=[(1, 2.0)])


def test_a_payment_before_any_token_is_nobodys_credit() -> None:
    """Turn -1 is before the first; a first turn without tokens has done nothing either."""
    assert [0.0] == rewards(dialogue([1], (), [2], (3,)), paid=[(-1, 9.0), (0, 9.0)])


def test_payments_of_others_are_not_mine() -> None:
    """The checker's payment does not reach the assistant."""
    trajectory = episode(dialogue([1], (3,)))
    trajectory = Trajectory(
        **{name: getattr(trajectory, name) for name in Trajectory.__slots__ if name != "payments"},
        payments=(Payment("checker", 1.0, "verdict", 0), Payment("assistant", 0.5, "task", 0)),
    )

    assert [[0.5]] == role_batch([trajectory], "assistant").rewards.tolist()


def test_several_dialogues_of_an_episode_are_one_sequence() -> None:
    """Memory began a new dialogue: two rows, turns counted on, and a payment finds its turn in the second one."""
    batch = role_batch([episode(dialogue([1], (2,), [3], (4, 5)), dialogue([6], (7, 8)), paid=[(2, 1.0)])], "assistant")

    assert [(0, 0), (0, 3)] == [(row.episode, row.start) for row in batch.rows]
    assert [[0, 1, 1, 2, 2]] == batch.turns.tolist()
    assert [[0.0, 0.0, 0.0, 0.0, 1.0]] == batch.rewards.tolist()


def test_a_dialogue_without_own_tokens_is_no_row() -> None:
    """Nothing to learn; its episode stays in the batch, with an empty mask."""
    batch = role_batch([episode(dialogue([1, 2])), episode(dialogue([1], (2,))), episode()], "assistant")

    assert [1] == [row.episode for row in batch.rows]
    assert [[False], [True], [False]] == batch.mask.tolist()


def test_episodes_of_one_task_are_one_group() -> None:
    """Numbered in the order of first appearance; truncation and success are the episode's own."""
    batch = role_batch(
        [
            episode(dialogue([1], (2,)), task="a", success=True),
            episode(dialogue([1], (2,)), task="b", truncated=True),
            episode(dialogue([1], (2,)), task="a"),
        ],
        "assistant",
    )

    assert [0, 1, 0] == batch.groups.tolist() == [row.group for row in batch.rows]
    assert [False, True, False] == batch.truncated.tolist()
    assert [1.0, 0.0, 0.0] == batch.success.tolist()


def test_values_are_known_of_whole_episodes_or_not_at_all() -> None:
    """The first of two turns said what it expects, the second did not: NaN, so that the model is asked."""
    whole = episode(dialogue([1], (3, 4), [5], (6,)))
    steps = [
        replace(step, generation=replace(step.generation, values=values))
        for step, values in zip(whole.steps, [(0.5, 0.25), (-1.0,)], strict=True)
    ]
    known, half = replace(whole, steps=tuple(steps)), replace(whole, steps=(steps[0], whole.steps[1]))
    batch = role_batch([known, half], "assistant")

    assert [0.5, 0.25, -1.0] == batch.values[0].tolist()
    assert batch.values[1].isnan().all()


def test_a_batch_of_nothing_is_empty() -> None:
    """No episode at all, and a role that is not there."""
    assert () == role_batch([], "assistant").rows
    assert () == role_batch([episode(dialogue([1], (2,)))], "checker").rows


def row_of(number: int, length: int, *actions: int) -> Row:
    """A row of ids 10 * number, 10 * number + 1, ... with its own tokens at these positions."""
    return Row(number, np.arange(length) + 10 * number, np.isin(np.arange(length), actions), 0)


def test_packing_by_hand() -> None:
    """Longest first, first fit into lines of five: rows 1 and 0 share a line, row 2 has its own."""
    batch, order = pack([row_of(0, 2, 1), row_of(1, 3, 1, 2), row_of(2, 3, 2)], width=5)

    assert [1, 0, 2] == order
    assert [[10, 11, 12, 0, 1], [20, 21, 22, 0, 0]] == batch.token_ids.tolist()
    assert [[0, 1, 2, 0, 1], [0, 1, 2, 3, 4]] == batch.positions.tolist()
    assert [[0, 0, 0, 1, 1], [2, 2, 2, -1, -1]] == batch.segments.tolist()
    assert [[False, True, True, False, True], [False, False, True, False, False]] == batch.action_mask.tolist()
    assert batch.packed


def test_without_a_width_each_row_has_a_line() -> None:
    """And the batch says that nothing is packed."""
    batch, order = pack([row_of(0, 2, 1), row_of(1, 3, 1)], width=0)

    assert [1, 0] == order
    assert [[0, 0, 0], [1, 1, -1]] == batch.segments.tolist()
    assert not batch.packed


def test_a_row_longer_than_the_width_widens_the_lines() -> None:
    """Nothing is cut, ever."""
    batch, _ = pack([row_of(0, 2, 1), row_of(1, 7, 1)], width=5)

    assert 9 == int((batch.segments >= 0).sum())


def test_batches_hold_rows_of_like_length() -> None:
    """Longest first; rows times the longest of them is at most so many tokens, and a row alone may be longer."""
    rows = [row_of(0, 2, 1), row_of(1, 9, 1), row_of(2, 3, 2), row_of(3, 2, 1)]
    made = list(batches(rows, width=0, tokens=6))

    assert [[1], [2, 0], [3]] == [order for _, order in made]
    assert [(1, 9), (2, 3), (1, 2)] == [tuple(batch.token_ids.shape) for batch, _ in made]
    assert [] == list(batches([], width=0, tokens=6))


def test_batches_hold_rows_of_a_group_together() -> None:
    """The group with the longest row first; one that fits into a batch of its own is not divided."""
    rows = [replace(row_of(i, length, 1), group=i % 2) for i, length in enumerate((2, 5, 4, 3))]

    assert [[1, 2, 3, 0]] == [order for _, order in batches(rows, width=0, tokens=20)]
    assert [[1, 3], [2, 0]] == [order for _, order in batches(rows, width=0, tokens=19)]
    assert [[1], [3], [2, 0]] == [order for _, order in batches(rows, width=0, tokens=8)]
    assert [[1], [3], [2], [0]] == [order for _, order in batches(rows, width=0, tokens=7)]


def test_a_later_row_that_is_longer_counts_too() -> None:
    """A batch that begins with the end of a group is as wide as the next group's longest row."""
    rows = [replace(row_of(i, length, 1), group=group) for i, (length, group) in enumerate(((9, 0), (2, 0), (5, 1)))]

    assert [(1, 9), (2, 5)] == [tuple(batch.token_ids.shape) for batch, _ in batches(rows, width=0, tokens=10)]
    assert [(1, 9), (1, 2), (1, 5)] == [tuple(batch.token_ids.shape) for batch, _ in batches(rows, width=0, tokens=9)]


def test_gather_and_scatter_are_inverse() -> None:
    """In the order of the packed batch and back, over episodes with one row and with two."""
    batch = role_batch(
        [episode(dialogue([1], (2, 3))), episode(dialogue([1], (4,)), dialogue([1, 1, 1], (5, 6), [7], (8,)))],
        "assistant",
    )
    tokens, order = pack(batch.rows, width=9)
    flat = gather(batch.logprobs, batch.rows, order)
    back = torch.zeros_like(batch.logprobs)
    scatter(flat, back, batch.rows, order)

    assert (tokens.token_ids[tokens.action_mask] / -10).tolist() == pytest.approx(flat.tolist())
    assert batch.logprobs.tolist() == back.tolist()
    assert [] == gather(batch.logprobs, batch.rows, []).tolist()


def evaluated(policy: HFPolicy, batch: RoleBatch, *, width: int) -> list[torch.Tensor]:
    """(E, A) log-probabilities, values and entropies, and (R,) last values, computed in lines of this width."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in policy.weights.value_parameters("assistant"):
            torch.nn.init.normal_(parameter, std=0.3)
        tokens, order = pack(batch.rows, width=width)
        evaluation = policy.evaluate(tokens, "assistant")
        arrays = []
        for flat in (evaluation.logprobs, evaluation.values, evaluation.entropy):
            arrays.append(torch.zeros_like(batch.logprobs))
            scatter(flat, arrays[-1], batch.rows, order)
        last = torch.zeros(len(order), dtype=torch.float64)
        last[torch.tensor(order)] = evaluation.last_values.double()
    return [*arrays, last]


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_packing_changes_no_number(
    make_policy: MakePolicy, play_team: PlayTeam, family: str, dtype: torch.dtype, close: float
) -> None:
    """A token sees its own row alone: several rows a line give what one row a line gives, and what was sampled."""
    policy = make_policy(family=family, dtype=dtype)
    batch = role_batch(play_team(policy, episodes=6), "assistant")
    apart, packed = (evaluated(policy, batch, width=width) for width in (0, 400))

    assert 6 == len(batch.rows)
    # Value heads are float32 whatever the model is.
    for one, other, tolerance in zip(apart, packed, (close, 1e-5, close, 1e-5), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=tolerance)
    assert torch.allclose(packed[0], batch.logprobs, rtol=0, atol=close)
