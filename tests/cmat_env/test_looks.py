"""Texts of tasks: each is drawn as its own domain looks, on a terminal and on a page, and hostile ones harm neither."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from cmat_env import look_html, look_rich
from cmat_env.graph_path import path_at
from cmat_env.looks import Block, Board, Call, Code, Element, Markup, Menu, Page, Rows, Screen, Words, blocks_of
from cmat_env.types import Generation, Step

SHOP = (
    "Observation:\nInstruction: [SEP] a lamp [SEP] Back to Search [SEP] B00AZ7HSYL [SEP] «Lamp» [SEP] $30.49\n\n"
    "Available Actions:\n{'has_search_bar': True, 'clickables': ['back to search', 'b00az7hsyl']}"
)
SHOP_PAGE = Page(
    (("Instruction:", "a lamp"), ("Back to Search",), ("B00AZ7HSYL", "«Lamp»", "$30.49")),
    "can search, click back to search · b00az7hsyl",
)
HTML = "'''\n<html> <body> <p> Hi <a id=1> News </a> </p> <input id=4 type=\"text\"> </body> </html>\n'''"
ELEMENTS = (
    Element(0, "p", "", "", "Hi"),
    Element(1, "a", "1", "", "News"),
    Element(0, "input", "4", 'type="text"', ""),
)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", []),
        (" \n ", []),
        ("[(1, 'a')]", [Rows(((1, "a"),))]),
        ("SELECT 1", [Code("SELECT 1", "sql")]),
        ("Act: bash\n\n```bash\nls -a\n```", [Words("Act: bash"), Code("ls -a", "bash")]),
        ("The output of the OS:\n\na\n\n b", [Screen("a\n\n b")]),
        ("The output of the OS is empty.\n[the shell has ended]", [Screen(""), Words("[the shell has ended]")]),
        ("Observation: [town.crops, town.isle]", [Menu(("town.crops", "town.isle"))]),
        ("Observation: []", [Menu(())]),
        (SHOP, [SHOP_PAGE]),
        (f"{SHOP}\nPart 1 of 2 is answered.\n{SHOP}", [SHOP_PAGE, Words("Part 1 of 2 is answered."), SHOP_PAGE]),
        (f"{HTML}\n\nTask: go", [Markup(ELEMENTS), Words("Task: go")]),
        ("Go\n. . X\nO . .\n. . .\nNext: 1", [Words("Go"), Board((". . X", "O . .", ". . .")), Words("Next: 1")]),
        ("X O X", [Words("X O X")]),
        ('{"name": "bash_action", "arguments": {"script": "ls"}}', [Call("bash_action"), Code("ls", "bash")]),
        ('{"name": "count", "arguments": {"variable": "#1"}}', [Call("count(#1)")]),
        ('{"name": 1', [Code('{"name": 1', "json")]),
    ],
)  # fmt: skip
def test_a_text_is_known_by_its_form(text: str, blocks: list[Block]) -> None:
    """Tables, statements, terminals, pages, menus, boards, calls; anything else is words."""
    assert blocks == blocks_of(text)


def on_a_terminal(text: str) -> str:
    """What a screen without colour shows."""
    screen = StringIO()
    console = Console(file=screen, width=60, color_system=None)
    for part in look_rich.content(text):
        console.print(part)
    return screen.getvalue()


@pytest.mark.parametrize("draw", [on_a_terminal, look_html.content])
@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("```bash\nls -a\n```", ["$ ", "ls -a"]),
        ("The output of the OS:\n\ntotal 0\n  x", ["total 0", "  x"]),
        ("The output of the OS is empty.", ["(no output)"]),
        (SHOP, ["B00AZ7HSYL", "$30.49", "can search, click back to search"]),
        (HTML, ["p Hi", "  [1] a News", "[4] input"]),
        ("Observation: [town.crops]", ["1 offered", "town.crops"]),
        ("[(7, 'Ulm')]", ["7", "Ulm"]),
    ],
)
def test_facts_are_on_terminal_and_page(draw: Callable[[str], str], text: str, facts: list[str]) -> None:
    """The same ones, with markup between them on a page."""
    shown = draw(text)
    if draw is look_html.content:
        parsed = _Parsed()
        parsed.feed(shown)
        shown = "".join(parsed.text)

    assert [] == [fact for fact in facts if fact not in shown]


def test_keywords_strings_and_comments_are_coloured() -> None:
    """On a page, by class; what is in a string is no keyword."""
    shown = look_html.content("SELECT 'from' FROM t -- where\nLIMIT 3")

    assert (
        '<span class="k">SELECT</span> <span class="s">&#x27;from&#x27;</span> <span class="k">FROM</span> t '
        '<span class="c">-- where</span>\n<span class="k">LIMIT</span> <span class="n">3</span>'
    ) in shown


class _Parsed(HTMLParser):
    """Tags and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e"


@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        f"[('{EVIL}',)]".replace("\x1b", "\\x1b"),
        f"```sql\n'{EVIL}' -- {EVIL}\n```",
        f"```bash\n{EVIL}\n```",
        f"```{EVIL}\n{EVIL}\n```",
        f"The output of the OS:\n\n{EVIL}",
        f"Observation: [{EVIL}]".replace("[2J", ""),
        SHOP.replace("«Lamp»", EVIL).replace("b00az7hsyl", "<script>"),
        f"'''\n<p {EVIL}>{EVIL}</p>\n'''",
        f'{{"name": "{EVIL}", "arguments": {{"query": "{EVIL}"}}}}'.replace("\x1b", ""),
        f'{{"name": "f", "arguments": {{"a": "{EVIL}"}}}}'.replace("\x1b", ""),
    ],
)
def test_markup_in_a_text_stays_text(text: str) -> None:
    """In every form that a text can have: no script, no request, no handler; no control character on a terminal."""
    parsed = _Parsed()
    parsed.feed(look_html.content(text))

    assert not parsed.tags & {"script", "img", "a", "input", "style"}
    assert parsed.attributes <= {"class"}
    assert not set("".join(parsed.text) + on_a_terminal(text)) & set("\x1b\u202e")


@pytest.mark.parametrize(
    "text",
    [
        "'''\n" + "<" * 60_000 + ">\n'''",
        "'''\n" + "<a>" * 30_000 + "\n'''",
        "X O X\n" * 20_000,
        "X O X\nX\n" * 20_000,
        "Available Actions:\n{'" * 4_000 + " [SEP] ",
        "Observation: [" * 20_000,
        "```" * 30_000,
        "SELECT " + "'" * 60_000,
        "The output of the OS:\n\n" + "[(" * 50_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_long_text_takes_no_long_time(text: str) -> None:
    """Of 100,000 characters and absurd: well under two seconds of processor time, also on a busy machine."""
    started = time.process_time()
    look_html.content(text)

    assert time.process_time() - started < 2.0


BOTH = 'call:\n{"name": "intersection", "arguments": {"a": "#0", "b": "#1"}}'


def test_a_way_through_the_graph_is_told() -> None:
    """After each new variable, from the entity on; refused proposals, menus and sets are no steps astray."""
    talk = [
        ("Name them.", "Action: get_relations(Ulm)"),
        ("Observation: [town.natives, town.isle]", "Action: get_neighbors(Ulm, town.isle)"),
        ("look closer", "Action: get_neighbors(Ulm, town.natives)"),
        ("Observation: variable #0, which are instances of person", "Action: get_neighbors(#0, person.guild)"),
        ("Observation: variable #1, which are instances of guild", BOTH),
        ("Observation: variable #2, which are instances of person", "Action: argmax(#2, person.age)"),
        ("Observation: variable #3, which are instances of person", "Action: count(#3)"),
        ("Observation: variable #4, which is a number", "Final Answer: #4"),
    ]  # fmt: skip
    steps = [
        Step(i, "assistant_0", "assistant", i, {"message": heard, "speaker": "environment"}, Generation(said))
        for i, (heard, said) in enumerate(talk)
    ]
    ways = [path_at(steps, index) for index in range(len(steps))]

    natives = "Ulm ─town.natives→ #0 person"
    guild = f"{natives} ─person.guild→ #1 guild"
    both = f"({natives}) ∩ ({guild}) = #2 person"
    oldest = f"{both} ─argmax person.age→ #3 person"
    assert ["", "", "", natives, guild, both, oldest, f"{oldest} ─count→ #4 number"] == ways
    assert "" == path_at([replace(steps[3], role="checker")], 0)
