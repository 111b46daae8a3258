"""Reflections: how they are asked for after a trial that failed, how they are read, and how they are told to the next.

Source: one or two sentences of plain text after a failed trajectory, CMAT (arXiv:2404.01663, case study); trials that
are told earlier reflections, Shinn et al. 2023 (arXiv:2303.11366). The authors of CMAT published no prompt: the wording
is ours. A request says what the role itself saw, that the task was not solved, and the outcome's name: no answer key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cmat_env.lessons import TASKS, TRIALS
from cmat_env.types import Recalled

PAPER: Mapping[str, str] = {
    "assistant": (
        "The task was not solved ({outcome}). Do not act now. In one or two sentences, say what went wrong and what "
        "you will do otherwise when you try again."
    ),
    "checker": (
        "The task was not solved ({outcome}). Give no verdict now. In one or two sentences, say what you overlooked or "
        "refused wrongly, and what you will look for when the assistant tries again."
    ),
}
SHORT: Mapping[str, str] = {
    "assistant": "Not solved: {outcome}. Reflect.",
    "checker": "Not solved: {outcome}. Reflect.",
}
"""For models too small to read more."""

LONGEST = 400
"""Characters of a reflection that are told to the next trial."""

_THINK_END = "</think>"
_LABEL = re.compile(r"[\s*_`#>]*+(?:reflection|lesson)[\s*_`]*+:[\s*_`]*+", re.IGNORECASE)
_TWO_SENTENCES = re.compile(r"(?:[^.!?]|[.!?](?!\s|$))*+[.!?]++(?:\s++(?:[^.!?]|[.!?](?!\s|$))*+[.!?]++)?+(?=\s|$)")


def requests_of(style: str) -> Mapping[str, str]:
    """What each role is asked, in the style of its prompts; see `cmat_env.agents.prompts.STYLES`."""
    return PAPER if style == "paper" else SHORT


def request(template: str, *, outcome: str, observation: str) -> str:
    """What a role hears after a trial that failed: the end as the environment showed it, then what is asked."""
    asked = template.replace("{outcome}", outcome)
    return f"{observation}\n{asked}" if observation.strip() else asked


def parse_reflection(text: str) -> str:
    """The first two sentences of a reply, in one line, without thinking aloud and a label; empty if it says nothing."""
    words = " ".join(text.rpartition(_THINK_END)[2].split())
    label = _LABEL.match(words)
    words = words[label.end() if label else 0 :]
    first = _TWO_SENTENCES.match(words)
    words = first[0] if first else words
    return words if len(words) <= LONGEST else words[: LONGEST - 1].rstrip() + "…"


def told(recalled: Sequence[Recalled]) -> str:
    """What is recalled as text for a prompt; empty if nothing is."""
    parts = []
    for title, own in ((TASKS, False), (TRIALS, True)):
        lines = [f"- {item.text}" for item in recalled if (item.memory is None) == own]
        parts += [title, *lines] if lines else []
    return "\n".join(parts)
