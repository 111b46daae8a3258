"""Reflections: what is asked, what is read, what is told."""

from __future__ import annotations

import time

import pytest

from cmat_env.agents.agent import Agent
from cmat_env.agents.reflection import LONGEST, parse_reflection, request, requests_of, told
from cmat_env.types import Recalled


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("I used 3.5. I will use 4. And more.", "I used 3.5. I will use 4."),
        ("**Reflection:** quote\n names!", "quote names!"),
        ("<think>hm. hm. hm.</think> lesson: no end", "no end"),
        (" \n", ""),
        ("Wait... I see?! Yes. No.", "Wait... I see?!"),
        ("x" * 1000, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_two_sentences_are_read(text: str, read: str) -> None:
    """Without thinking aloud, label and line ends."""
    assert read == parse_reflection(text)


@pytest.mark.parametrize("text", [". " * 200_000, "a " * 200_000, "!" * 400_000, "*" * 400_000])
def test_reading_takes_linear_time(text: str) -> None:
    """Whatever a model writes."""
    started = time.process_time()
    parse_reflection(text)

    assert time.process_time() - started < 2.0


def test_a_request_shows_the_end_and_asks() -> None:
    """A model's braces are no templates; without an end to show, only the question stands there."""
    asked = requests_of("names")["assistant"]

    assert "{x} no\nNot solved: wrong. Reflect." == request(asked, outcome="wrong", observation="{x} no")
    assert "Not solved: turn limit. Reflect." == request(asked, outcome="turn limit", observation=" ")
    assert "one or two sentences" in requests_of("paper")["checker"]


def test_a_prompt_ends_with_what_is_recalled() -> None:
    """Memories of other tasks, then of this one; without any, the prompt is as it was."""
    agent = Agent("assistant", "Be brief.")
    recalled = (Recalled("Quote names.", 3), Recalled("It was 7."))
    [message] = agent.begin(seed=0, recalled=recalled).messages

    earlier = "From your work on earlier tasks:\n- Quote names.\nFrom your earlier trials of this task:\n- It was 7."
    assert f"Be brief.\n\n{earlier}" == message.content
    assert ["Be brief."] == [each.content for each in agent.begin(seed=0).messages]
    assert [] == Agent("assistant").begin(seed=0).messages
    assert "" == told(())
