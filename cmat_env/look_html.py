"""What a text of a task looks like on a page: `cmat_env.looks` as HTML that is text and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from cmat_env import looks
from cmat_env.terminal import printable

_MOST_ROWS = 50
_MOST_OFFERED = 200
_STRING = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_SQL_WORDS = (
    "ADD ALL ALTER AND AS ASC BETWEEN BY CASE COLUMN CREATE CROSS DEFAULT DELETE DESC DISTINCT DROP ELSE END EXISTS "
    "FROM FULL GROUP HAVING IF IN INDEX INNER INSERT INTERVAL INTO IS JOIN KEY LEFT LIKE LIMIT NOT NULL OFFSET ON OR "
    "ORDER OUTER OVER PARTITION PRIMARY REGEXP REPLACE RIGHT ROLLUP SELECT SET SHOW TABLE THEN UNION UPDATE USING "
    "VALUES WHEN WHERE WITH"
)
_SHELL_WORDS = "case do done elif else esac fi for function if in return then until while"
_LANGUAGES = {
    "sql": re.compile(
        rf"(?P<s>{_STRING})|(?P<c>--[^\n]*)|(?P<k>\b(?i:{'|'.join(_SQL_WORDS.split())})\b)|(?P<n>\b\d+(?:\.\d+)?\b)"
    ),
    "bash": re.compile(
        rf"(?P<s>{_STRING})|(?P<c>(?<!\S)#[^\n]*)|(?P<k>\b(?:{'|'.join(_SHELL_WORDS.split())})\b)|(?P<n>\$\w+)"
    ),
    "json": re.compile(rf"(?P<s>{_STRING})|(?P<k>\b(?:true|false|null)\b)|(?P<n>-?\b\d+(?:\.\d+)?\b)"),
}
_LANGUAGES["sh"] = _LANGUAGES["bash"]


def text(words: str) -> str:
    """Text as HTML that is nothing but text."""
    return escape(printable(words))


def content(words: str) -> str:
    """What somebody wrote, as its domain looks; "(nothing)" for a text of blanks."""
    return "".join(map(_drawn, looks.blocks_of(words))) or "<pre class=nothing>(nothing)</pre>"


def _drawn(block: looks.Block) -> str:
    match block:
        case looks.Words(words):
            return f"<pre>{_words(words)}</pre>"
        case looks.Rows(rows):
            return _table(rows)
        case looks.Code(code, language):
            prompt = f"<i>{looks.PROMPTS[language]}</i>" if language in looks.PROMPTS else ""
            return f"<pre class=code>{prompt}{''.join(_coloured(code, language))}</pre>"
        case looks.Call(words):
            return f"<pre><b>{text(words)}</b></pre>"
        case looks.Screen(words):
            return f"<pre class=screen>{text(words) if words.strip() else '<i>(no output)</i>'}</pre>"
        case looks.Menu(items):
            return _menu(items)
        case looks.Page():
            return _page(block)
        case looks.Markup(elements):
            return f"<pre class=markup>{''.join(map(_element, elements))}</pre>"
        case looks.Board(rows):
            board = "\n".join(map(_squares, rows))
            return f"<pre class=board>{board}</pre>"


def _words(words: str) -> str:
    """Plain text, with what it does set off."""
    lines = (text(line) for line in words.split("\n"))
    return "\n".join(f"<b>{line}</b>" if line.startswith(looks.SET_OFF) else line for line in lines)


def _table(rows: Sequence[tuple[object, ...]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{text(str(cell))}</td>' for cell in row)}</tr>" for row in rows[:_MOST_ROWS])
    more = f"<p class=nothing>... {len(rows) - _MOST_ROWS} more rows</p>" if len(rows) > _MOST_ROWS else ""
    return f"<table class=rows>{lines}</table>{more}"


def _coloured(code: str, language: str) -> Iterator[str]:
    """Keywords, strings, numbers and comments of a language that is known."""
    pattern = _LANGUAGES.get(language)
    end = 0
    for found in pattern.finditer(code) if pattern else ():
        yield f'{text(code[end : found.start()])}<span class="{found.lastgroup}">{text(found[0])}</span>'
        end = found.end()
    yield text(code[end:])


def _menu(items: Sequence[str]) -> str:
    if not items:
        return "<p class=nothing>nothing offered</p>"
    left = f", the first {_MOST_OFFERED}" if len(items) > _MOST_OFFERED else ""
    shown = "".join(f"<li>{text(item)}</li>" for item in items[:_MOST_OFFERED])
    return f"<p class=nothing>{len(items)} offered{left}</p><ul class=menu>{shown}</ul>"


def _page(page: looks.Page) -> str:
    lines = []
    for line in page.lines:
        parts = (f"<b>{text(part)}</b>" if looks.is_product(part) else text(part) for part in line)
        lines.append(f"<p>{' · '.join(parts)}</p>")
    return f"<div class=page>{''.join(lines)}<p class=nothing>{text(page.possible)}</p></div>"


def _element(element: looks.Element) -> str:
    number = f"<b>[{text(element.number)}]</b> " if element.number else ""
    attributes = f" <i>{text(element.attributes)}</i>" if element.attributes else ""
    tag = f'<span class="k">{text(element.tag)}</span>' if element.tag else ""
    gap = " " if tag and element.text else ""
    return f"{'  ' * min(element.depth, 12)}{number}{tag}{attributes}{gap}{text(element.text)}\n"


def _squares(row: str) -> str:
    signs = {"X": '<b class="s">X</b>', "O": '<b class="n">O</b>', ".": "<i>.</i>"}
    return " ".join(signs[sign] for sign in row.split())
