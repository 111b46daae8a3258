"""Agents: the prompt at the beginning, observations in between, and the action in a reply."""

from __future__ import annotations

import pytest

from cmat_env.agents.agent import Agent
from cmat_env.agents.memory import ShortTermMemory
from cmat_env.types import Generation, Message


def test_a_dialogue_begins_with_the_prompt() -> None:
    """The task's own instructions stand where the prompt says so."""
    dialogue = Agent("assistant", "You act.\n\n{instructions}").begin(seed=3, instructions="Find {x}.")

    assert [Message("system", "You act.\n\nFind {x}.")] == dialogue.messages
    assert ("assistant", 3) == (dialogue.role, dialogue.seed)


@pytest.mark.parametrize("prompt", ["", "  \n", "{instructions}"])
def test_an_empty_prompt_says_nothing(prompt: str) -> None:
    """No system message, rather than an empty one."""
    assert [] == Agent("assistant", prompt).begin(seed=0).messages


def test_a_prompt_without_a_place_ignores_the_instructions() -> None:
    """A checker need not read what the assistant is told."""
    assert "You check." == Agent("checker", "You check.").begin(seed=0, instructions="Act.").messages[0].content


def test_observing_appends_what_was_said() -> None:
    """Word for word, with who said it."""
    agent = Agent("assistant")
    dialogue = agent.begin(seed=0)
    same = agent.observe(dialogue, speaker="environment", message=" higher\n")

    assert same is dialogue
    assert [Message("environment", " higher\n")] == dialogue.messages


def test_a_full_memory_begins_a_new_dialogue() -> None:
    """The agent goes on with the shorter one."""
    agent = Agent("assistant", memory=ShortTermMemory(16, lambda text: len(text.split())))
    dialogue = agent.begin(seed=0)
    for message in ("the task", "one " * 9, "two " * 9):
        last = agent.observe(dialogue, speaker="environment", message=message)

    assert last is not dialogue
    assert "two " * 9 == last.messages[-1].content


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("8", "8"),
        (" 8\n", "8"),
        ("<think>4 or 12?</think>\n8", "8"),
        ("a</think>b</think> 8", "8"),
        ("<think>never ended", "<think>never ended"),
        ("<think>all thought</think>", ""),
        ("", ""),
    ],
)
def test_the_action_stands_behind_the_thinking(text: str, action: str) -> None:
    """Without the white space around it; a reply without thinking is the action itself."""
    assert action == Agent("assistant").act(Generation(text))
