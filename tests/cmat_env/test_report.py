"""What a report counts: tokens of models that show their ids, and of endpoints that say what they took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gymnasium
import pytest

from cmat_env import CollabEnv
from cmat_env.cli import main
from cmat_env.evaluate import evaluate
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.types import Dialogue, Generation, Usage


class TokenPolicy:
    """Guesses 16, then 8, ...; encodes what it hears as one token a message, and writes two a reply."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Two tokens each."""
        for dialogue in dialogues:
            dialogue.encode([1] * len(dialogue.pending))
        return [Generation(str(16 // 2**dialogue.replies), (1, 2), (0.0, 0.0)) for dialogue in dialogues]


class PaidPolicy:
    """Says at once what costs 0.5."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Ten tokens in, one out."""
        return [Generation("1", usage=Usage(10, 1, 0.5)) for _ in dialogues]


def test_what_an_endpoint_said_of_a_reply_is_in_the_log(
    guess_task: type[gymnasium.Env[str, str]], tmp_path: Path
) -> None:
    """Tokens as text, log-probabilities without ids, usage: written, read back, and shown by a replay."""
    said = Generation("8", None, (-0.1, -0.2), tokens=("8", ""), usage=Usage(10, 2, None, cached=True))

    class Said:
        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            return [said for _ in dialogues]

    with EpisodeWriter(tmp_path / "episodes.jsonl") as log:
        evaluate(
            lambda: CollabEnv(guess_task(), roles=("assistant",)), {"assistant": Said()}, episodes=2,
            on_end=lambda _, episode: log.write(episode),
        )  # fmt: skip
    records = list(read_episodes(tmp_path))

    assert {said} == {step.generation for record in records for step in record.trajectory.steps}
    assert 0 == main(["replay", str(tmp_path), "--tokens", "--episode", "1"])
    with pytest.raises(ValueError, match="1 tokens but 2 logprobs"):
        Generation("8", None, (-0.1, -0.2), tokens=("8",))


class FailingPolicy:
    """Cannot answer some dialogues."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Odd seeds fail."""
        return [Generation("down", finish_reason="error") if each.seed % 2 else Generation("1") for each in dialogues]


def test_tokens_are_counted_as_a_reply_is_given_them(guess_task: type[gymnasium.Env[str, str]]) -> None:
    """What was read before each reply adds up over turns: 2 messages, then those, 2 of its own and 1 more, ..."""
    from cmat_env.plan import Episode  # noqa: PLC0415

    report = evaluate(
        lambda: CollabEnv(guess_task(), roles=("assistant",)), {"assistant": TokenPolicy()},
        episodes=[Episode(0, {"task": 4})],
    )  # fmt: skip
    row = report.per_episode[0]
    first = row.prompt_tokens // 3 - 3

    assert (3, 6) == (row.turns, row.reply_tokens)
    assert first + (first + 3) + (first + 6) == row.prompt_tokens
    assert (row.prompt_tokens, 6) == report.tokens
    assert report.cost is None


def test_costs_of_endpoints_add_up(guess_task: type[gymnasium.Env[str, str]]) -> None:
    """Eight guesses at 0.5."""
    from cmat_env.plan import Episode  # noqa: PLC0415

    report = evaluate(
        lambda: CollabEnv(guess_task(), roles=("assistant",)), {"assistant": PaidPolicy()},
        episodes=[Episode(0, {"task": 16})],
    )  # fmt: skip

    assert ((80, 8), 4.0) == (report.tokens, report.cost)
    assert report == type(report).from_json(report.to_json())


def test_what_a_policy_cannot_answer_is_dropped_not_scored(guess_task: type[gymnasium.Env[str, str]]) -> None:
    """The report names the error, and the others are played to their end."""
    report = evaluate(lambda: CollabEnv(guess_task(), roles=("assistant",)), {"assistant": FailingPolicy()}, episodes=6)

    assert (3, 3) == (report.episodes, len(report.dropped))
    assert "seed 1: PolicyError: down" == report.dropped[0]
