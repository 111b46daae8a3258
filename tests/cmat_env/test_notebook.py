"""Notebooks: episodes and results show themselves, and what an agent wrote stays text."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from cmat_env.agentbench import PARTS
from cmat_env.comparison import compare
from cmat_env.log_lines import EpisodeRecord
from cmat_env.report import EvalReport
from cmat_env.scores import EpisodeRow
from cmat_env.statistics import Interval
from cmat_env.suite_report import Entry, PartReport, SuiteReport
from cmat_env.types import Dialogue, Generation, Payment, Recalled, Step, Trajectory, Verdict

EVIL = "</pre></style><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e"


def hostile() -> Trajectory:
    """An episode with markup in every place that a model, a task or a plug-in writes to."""
    said = [
        ("user", EVIL),
        ("assistant", f"```sql\nSELECT '{EVIL}'\n```"),
        ("checker", EVIL),
        ("assistant", f"The output of the OS:\n\n{EVIL}"),
    ]
    steps = tuple(
        Step(
            i, f"{role}_0", role, i, {"message": f"{EVIL}{i}", "speaker": EVIL}, Generation(words),
            payments=(Payment(EVIL, 1.0, EVIL, 0),), verdict=Verdict(False, EVIL, 0.5) if role == "checker" else None,
        )
        for i, (role, words) in enumerate(said)
    )  # fmt: skip
    dialogues = {role: (Dialogue(role),) for role in ("user", "assistant", "checker")}
    recalled = {"assistant": (Recalled(EVIL, 3),)}
    return Trajectory(EVIL, EVIL, EVIL, 0, steps, dialogues, (), False, 0.0, EVIL, True, False, recalled=recalled)


class _Page(HTMLParser):
    """Tags, attributes and text of a piece of HTML."""

    def __init__(self, piece: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(piece)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def pieces() -> dict[str, str]:
    """What each thing gives to a notebook."""
    episode = hostile()
    report = EvalReport.of(EVIL, [episode, replace(episode, success=True)], seconds=1.0, dropped=[EVIL])
    part = PartReport(Entry(PARTS["db"], EVIL, {}), report, Interval(0.5, 0.1, 0.9, 0.95), 1.0)
    rows = [EpisodeRow(f"{EVIL}{i}", EVIL, success, 1.0, 1, EVIL) for i, success in enumerate((True, False))]
    won = [replace(row, success=not row.success) for row in rows]
    shown: dict[str, Any] = {
        "Trajectory": episode,
        "EpisodeRecord": EpisodeRecord(episode, {"assistant": EVIL}, notes={EVIL: EVIL}),
        "EvalReport": report,
        "SuiteReport": SuiteReport({EVIL: EVIL}, (part,)),
        "Comparison": compare({EVIL: rows}, {EVIL: won})[0],
    }
    return {name: each._repr_html_() for name, each in shown.items()}


@pytest.mark.parametrize("name", ["Trajectory", "EpisodeRecord", "EvalReport", "SuiteReport", "Comparison"])
def test_what_a_stranger_wrote_stays_text(name: str) -> None:
    """No script, picture, link or handler, and one style sheet; the words are there to be read."""
    page = _Page(pieces()[name])

    assert {"div", "style"} <= set(page.tags)
    assert 1 == page.tags.count("style")
    assert not {"script", "img", "a", "iframe", "form", "input", "object", "link"} & set(page.tags)
    assert page.attributes <= {"class", "open"}
    assert "<script>alert(1)</script>" in page.text
    assert not set(page.text) & set("\x1b\u202e")


def test_the_style_is_for_the_piece_alone() -> None:
    """Every rule of the sheet begins with `.cmat`, so that the notebook around it keeps its looks."""
    sheet = pieces()["Trajectory"].partition("<style>")[2].partition("</style>")[0]
    depth, outer, rule = 0, [], ""
    for sign in sheet:
        if sign == "{":
            if depth == 0:
                outer.append(rule.strip())
            rule, depth = "", depth + 1
        elif sign == "}":
            rule, depth = "", depth - 1
        else:
            rule += sign

    assert 0 == depth
    assert [] == [each for each in outer if not each.startswith((".cmat", "body.cmat", "@media"))]


def test_results_hold_their_figures() -> None:
    """Success with its interval."""
    assert "50.0" in pieces()["EvalReport"]
    assert "9.5 to 90.5" in pieces()["EvalReport"]
