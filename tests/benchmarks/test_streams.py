"""Streams side by side: all are answered at once, in an order that no clock decides."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cmat_env.types import Dialogue, Generation, Policy

ROOT = Path(__file__).resolve().parents[2]


class Counter:
    """Answers with how often it was asked; keeps who asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.over: list[str] = []

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """The number of the batch."""
        self.asked.append([dialogue.role for dialogue in dialogues])
        return [Generation(f"{len(self.asked)} {dialogue.role} {seed}") for dialogue in dialogues]

    def release(self, dialogues: Sequence[Dialogue]) -> None:
        """Whose dialogues are over."""
        self.over += [dialogue.role for dialogue in dialogues]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module; `benchmarks` is a folder of the checkout."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    return importlib.import_module("benchmarks.cmat_streams")


def test_streams_of_any_length_are_answered_together(streams: Any) -> None:
    """Whoever is slow is waited for, and whoever has left is not."""
    policy, heard = Counter(), dict[int, list[str]]()

    def play(number: int, model: Policy) -> None:
        dialogue = Dialogue("abc"[number])
        for _ in range(number + 1):
            time.sleep(0.02 * (2 - number))  # the first is the slowest
            heard.setdefault(number, []).extend(reply.text for reply in model.generate([dialogue], seed=7))
        model.release([dialogue])  # type: ignore[attr-defined]

    streams.together(policy, 3, play)

    assert [["a", "b", "c"], ["b", "c"], ["c"]] == policy.asked
    assert {0: ["1 a 7"], 1: ["1 b 7", "2 b 7"], 2: ["1 c 7", "2 c 7", "3 c 7"]} == heard
    assert ["a", "b", "c"] == sorted(policy.over)


def test_a_policy_that_fails_fails_every_stream(streams: Any) -> None:
    """And nobody waits for ever."""

    class Broken(Counter):
        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            raise MemoryError("no room")

    failed = []

    def play(number: int, model: Policy) -> None:
        try:
            model.generate([Dialogue("a")], seed=0)
        except MemoryError:
            failed.append(number)
            raise

    with pytest.raises(MemoryError, match="no room"):
        streams.together(Broken(), 4, play)
    assert [0, 1, 2, 3] == sorted(failed)


def test_a_stream_that_fails_is_not_waited_for(streams: Any) -> None:
    """The others play to their end, and its error is told."""
    policy = Counter()

    def play(number: int, model: Policy) -> None:
        for turn in range(3):
            if number == turn == 1:
                raise ValueError("stream 1")
            model.generate([Dialogue("ab"[number])], seed=0)

    with pytest.raises(ValueError, match="stream 1"):
        streams.together(policy, 2, play)
    assert [["a", "b"], ["a"], ["a"]] == policy.asked
