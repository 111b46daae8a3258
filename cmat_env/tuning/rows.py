"""From trajectories to training rows, and from rows to packed token batches.

A row is one dialogue of one role: its ids as they were sampled, with a mask of the tokens that the role wrote. An
episode's action tokens, over all its rows of the role, form one sequence for credit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from cmat_env.types import Dialogue, TokenBatch, Trajectory


@dataclass(frozen=True, slots=True)
class Row:
    """One dialogue with at least one token that the role wrote.

    Attributes:
        episode: position of its episode in the batch.
        token_ids: (T,) int64, cut behind the last token the role wrote.
        action_mask: (T,) True = the role wrote it.
        start: where its action tokens begin in the episode's sequence of action tokens.
        group: rows of one number probably begin alike.
    """

    episode: int
    token_ids: npt.NDArray[np.int64]
    action_mask: npt.NDArray[np.bool_]
    start: int
    group: int = 0

    @property
    def actions(self) -> int:
        """How many tokens the role wrote."""
        return int(self.action_mask.sum())


@dataclass(frozen=True, slots=True)
class RoleBatch:
    """Everything that one role's update needs to know of a batch of episodes.

    Shapes: E episodes, A action tokens of the longest episode. Numbers are float64, so that rounding here never
    shows in a ratio; they are cast to the model's precision where they meet it.

    Attributes:
        rows: all dialogues.
        mask: (E, A) True = the token exists.
        logprobs: (E, A) as sampled, in nats.
        values: (E, A) before each token, as the value head said while sampling; NaN where nothing is known.
        rewards: (E, A) paid after each token.
        turns: (E, A) int64, which turn each token belongs to.
        truncated: (E,) True = a limit ended the episode: bootstrap.
        groups: (E,) int64; episodes of one task, and one trial of it, have one number.
        success: (E,) 1.0 or 0.0.
        sampled: (E,) True = the policy itself said it, so that `logprobs` count.
    """

    rows: tuple[Row, ...]
    mask: torch.Tensor
    logprobs: torch.Tensor
    values: torch.Tensor
    rewards: torch.Tensor
    turns: torch.Tensor
    truncated: torch.Tensor
    groups: torch.Tensor
    success: torch.Tensor
    sampled: torch.Tensor

    @property
    def returns(self) -> torch.Tensor:
        """(E,) what the role was paid in all."""
        return (self.rewards * self.mask).sum(-1)


def role_batch(trajectories: Sequence[Trajectory], role: str, *, preferences: Sequence[Trajectory] = ()) -> RoleBatch:
    """Gather what one role saw, wrote and was paid.

    Args:
        trajectories: that the policy played.
        role: whose.
        preferences: further ones, behind them, that it did not.

    A payment reaches the last token of the turn that earned it; if that turn has no token, the last one before it.
    What a role is paid before it has written anything is nobody's credit and is left out.
    """
    rows: list[Row] = []
    columns: list[tuple[list[float], list[int], list[float], list[float]]] = []
    episodes = (*trajectories, *preferences)
    keys: dict[tuple[str, int], int] = {}
    groups = [keys.setdefault((each.task_id, each.trial), len(keys)) for each in episodes]
    for episode, trajectory in enumerate(episodes):
        logprobs: list[float] = []
        turns: list[int] = []
        for dialogue in trajectory.dialogues.get(role, ()):
            _add_row(rows, dialogue, episode, len(logprobs), groups[episode])
            for start, end in dialogue.turns:
                turns.extend([turns[-1] + 1 if turns else 0] * (end - start))
                logprobs.extend(dialogue.logprobs[start:end])
        rewards, values = _token_rewards(trajectory, role, turns), _token_values(trajectory, role, len(turns))
        columns.append((logprobs, turns, rewards, values))
    width = max((len(column[0]) for column in columns), default=0)
    return RoleBatch(
        rows=tuple(rows),
        mask=torch.tensor([[i < len(c[0]) for i in range(width)] for c in columns], dtype=torch.bool),
        logprobs=_pad([c[0] for c in columns], width),
        values=_pad([c[3] for c in columns], width),
        rewards=_pad([c[2] for c in columns], width),
        turns=_pad([c[1] for c in columns], width).long(),
        truncated=torch.tensor([t.truncated for t in episodes], dtype=torch.bool),
        groups=torch.tensor(groups),
        success=torch.tensor([float(t.success) for t in episodes], dtype=torch.float64),
        sampled=torch.arange(len(episodes)) < len(trajectories),
    )


def _add_row(rows: list[Row], dialogue: Dialogue, episode: int, start: int, group: int) -> None:
    if not any(dialogue.action_mask):
        return
    end = len(dialogue.action_mask) - dialogue.action_mask[::-1].index(True)
    ids = np.array(dialogue.token_ids[:end], dtype=np.int64)
    rows.append(Row(episode, ids, np.array(dialogue.action_mask[:end]), start, group))


def _token_rewards(trajectory: Trajectory, role: str, turns: Sequence[int]) -> list[float]:
    rewards = [0.0] * len(turns)
    spoken = [bool(step.generation.token_ids) for step in trajectory.steps if step.role == role]
    for payment in trajectory.payments:
        if payment.role != role or payment.turn < 0:
            continue
        written = sum(spoken[: payment.turn + 1]) - 1
        position = _last_position(turns, written)
        if position is not None:
            rewards[position] += payment.amount
    return rewards


def _token_values(trajectory: Trajectory, role: str, count: int) -> list[float]:
    """What each token's state promised when it was sampled, if that is known of every one of them."""
    replies = [step.generation for step in trajectory.steps if step.role == role]
    values = [value for generation in replies for value in generation.values or ()]
    return values if len(values) == count else [math.nan] * count


def _last_position(turns: Sequence[int], turn: int) -> int | None:
    """Where the last token of this turn stands."""
    for position in range(len(turns) - 1, -1, -1):
        if turns[position] <= turn:
            return position
    return None


def _pad(lists: Sequence[Sequence[float]], width: int) -> torch.Tensor:
    padded = np.zeros((len(lists), width))
    for line, values in enumerate(lists):
        padded[line, : len(values)] = values
    return torch.from_numpy(padded)


def pack(rows: Sequence[Row], *, width: int, device: torch.device | str = "cpu") -> tuple[TokenBatch, list[int]]:
    """Lay rows side by side into lines of `width` tokens, or of the longest row where that is longer.

    First fit, longest first: padding is what does not fit.

    Returns:
        the batch, and the order of the rows in it: the batch's action tokens are those of rows[order[0]],
        rows[order[1]], ..., one after the other.
    """
    lines: list[list[int]] = []
    lengths: list[int] = []
    if width:
        width = max(width, *(len(row.token_ids) for row in rows))
    for index in sorted(range(len(rows)), key=lambda i: -len(rows[i].token_ids)):
        size = len(rows[index].token_ids)
        place = next((line for line, used in enumerate(lengths) if used + size <= width), None)
        if place is None:
            lines.append([index])
            lengths.append(size)
        else:
            lines[place].append(index)
            lengths[place] += size
    shape = (len(lines), max(lengths))
    ids, positions = np.zeros(shape, dtype=np.int64), np.tile(np.arange(shape[1]), (shape[0], 1))
    segments, mask = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
    order = [index for line in lines for index in line]
    segment = 0
    for line, members in enumerate(lines):
        start = 0
        for index in members:
            row, end = rows[index], start + len(rows[index].token_ids)
            ids[line, start:end], mask[line, start:end] = row.token_ids, row.action_mask
            positions[line, start:end], segments[line, start:end] = np.arange(end - start), segment
            start, segment = end, segment + 1
    packed = any(len(members) > 1 for members in lines)
    token_ids, places, owners, actions = (torch.from_numpy(a).to(device) for a in (ids, positions, segments, mask))
    return TokenBatch(token_ids, places, owners, actions, packed), order


def gather(values: torch.Tensor, rows: Sequence[Row], order: Sequence[int]) -> torch.Tensor:
    """(N,) the entries of an (E, A) array that belong to a packed batch's action tokens, in its order."""
    parts = [values[rows[i].episode, rows[i].start : rows[i].start + rows[i].actions] for i in order]
    return torch.cat(parts) if parts else values.new_zeros(0)


def scatter(flat: torch.Tensor, into: torch.Tensor, rows: Sequence[Row], order: Sequence[int]) -> None:
    """The inverse of `gather`: write a packed batch's (N,) values into an (E, A) array."""
    start = 0
    for index in order:
        row = rows[index]
        into[row.episode, row.start : row.start + row.actions] = flat[start : start + row.actions]
        start += row.actions


def minibatches(units: Sequence[Sequence[Row]], size: int, rng: np.random.Generator) -> Iterator[list[Row]]:
    """The rows of random parts of about `size` units, all of them once; sizes differ by at most one unit."""
    if not units:
        return
    count = max(1, round(len(units) / size)) if size else 1
    for part in np.array_split(rng.permutation(len(units)), count):
        yield [row for i in part for row in units[i]]


def batches(
    rows: Sequence[Row], *, width: int, tokens: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[TokenBatch, list[int]]]:
    """Rows in packed batches of at most this many tokens, padding included; at least one row each.

    Rows of a group come together, since a policy may compute what they have in common but once; then groups and rows
    of like length, so that little is padding also where each has a line of its own.

    Yields:
        what `pack` gives, the order being that of positions among all rows.
    """
    for piece in _pieces(rows, tokens):
        batch, order = pack([rows[i] for i in piece], width=width, device=device)
        yield batch, [piece[i] for i in order]


def _pieces(rows: Sequence[Row], tokens: int) -> Iterator[list[int]]:
    """Positions of rows in parts whose number times their longest is at most so many tokens.

    A group that would fit into a part of its own is not divided.
    """
    lengths = [len(row.token_ids) for row in rows]
    groups: dict[int, list[int]] = {}
    for index in sorted(range(len(rows)), key=lambda i: -lengths[i]):
        groups.setdefault(rows[index].group, []).append(index)
    piece: list[int] = []
    width = 0
    for group in groups.values():  # the one with the longest row first
        longest = lengths[group[0]]
        if piece and max(width, longest) * (len(piece) + len(group)) > tokens >= longest * len(group):
            yield piece
            piece, width = [], 0
        for index in group:
            if piece and max(width, lengths[index]) * (len(piece) + 1) > tokens:
                yield piece
                piece, width = [], 0
            piece.append(index)
            width = max(width, lengths[index])
    if piece:
        yield piece
