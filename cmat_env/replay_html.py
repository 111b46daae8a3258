"""Episodes as one HTML page that needs nothing beside it: no script, no request, safe whatever a model wrote."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from cmat_env.episode_html import pieces
from cmat_env.html_page import write_page
from cmat_env.log_lines import EpisodeRecord
from cmat_env.look_html import text
from cmat_env.replay_tokens import LEGEND, Token, figures, strongest, summary, visible

TokensOf = Callable[[EpisodeRecord, int], Sequence[Token]]
_SHADES = 5
FILTERS = "".join(
    f'<label><input type="radio" name="show" id="show-{name}"{" checked" if name == "all" else ""}> {name}</label>'
    for name in ("all", "solved", "unsolved")
)
"""Choices of the episodes that are shown, which the style sheet obeys."""


def write_html(
    records: Iterable[EpisodeRecord], to: Path, *, title: str, first: int = 1, tokens: TokensOf | None = None
) -> int:
    """Write a page, and say how many episodes are on it.

    Args:
        records: the episodes.
        to: the page's file.
        title: of the page.
        first: the number of the first episode.
        tokens: gives a step's tokens; None = they are not shown.

    Raises:
        LogError: the page cannot be written.
    """
    heard = '<label><input type="checkbox" id="heard" checked> tokens heard</label>' if tokens else ""
    legend = f"<p class=legend>{text(LEGEND)}; point at a token for its figures</p>" if tokens else ""
    count = 0

    def parts() -> Iterator[str]:
        nonlocal count
        yield f"<header><h1>{text(title)}</h1><nav>{FILTERS}{heard}</nav>{legend}</header><main>"
        for count, record in enumerate(records, start=1):
            yield from episode_of(record, number=first + count - 1, tokens=tokens, opened=count == 1)
        yield "</main>"

    write_page(to, title=title, parts=parts())
    return count


def episode_of(
    record: EpisodeRecord, *, number: int, tokens: TokensOf | None = None, opened: bool = False
) -> Iterator[str]:
    """One episode of a log as pieces of a page.

    Args:
        record: the episode.
        number: its place in the log, from 1.
        tokens: gives a step's tokens; None = they are not shown.
        opened: is it unfolded?
    """
    shown = None if tokens is None else lambda index: "".join(_tokens(tokens(record, index)))
    yield from pieces(
        record.trajectory,
        title=f"episode {number}",
        policies=record.policies,
        notes=record.notes,
        tokens=shown,
        opened=opened,
    )


def _tokens(tokens: Sequence[Token]) -> Iterator[str]:
    """The text in shades, the summary, and a table of the reply's tokens."""
    if not tokens:
        return
    top = strongest(tokens)
    yield "<div class=tokens>"
    for token in tokens:
        yield f'<span class="{_classes(token, top)}" title="{_title(token)}">{_flowing(token)}</span>'
    yield f"</div><details class=figures><summary>{text(summary(tokens))}</summary><table>"
    yield "<tr><th>#<th>id<th>token<th>log p<th>ratio<th>advantage<th>trained</tr>"
    for token in tokens:
        if token.written:
            place, *numbers, mark = figures(token)
            cells = "".join(f"<td>{number}" for number in numbers)
            shade = f'<td><span class="{_classes(token, top)}">{text(visible(token.text))}</span>'
            yield f"<tr><td>{place}<td>{token.token_id}{shade}{cells}<td>{mark}</tr>"
    yield "</table></details>"


def _flowing(token: Token) -> str:
    """A token's text with its line ends as signs and as line ends."""
    return text(visible(token.text)).replace("⏎", "⏎<br>")


def _classes(token: Token, top: float) -> str:
    if not token.written:
        return "h"
    shade = ""
    if token.advantage is not None and math.isfinite(token.advantage) and token.advantage:
        level = max(1, math.ceil(_SHADES * min(1.0, abs(token.advantage) / top)))
        shade = f" {'g' if token.advantage > 0 else 'r'}{level}"
    return f"w{' t' if token.trained else ''}{shade}"


def _title(token: Token) -> str:
    place, logprob, ratio, advantage, _ = figures(token)
    parts = [f"#{place}", f"id {token.token_id}"]
    if logprob and token.logprob is not None:
        parts.append(f"log p {logprob} (p {math.exp(min(token.logprob, 0.0)):.3f})")
    parts += [f"{name} {value}" for name, value in (("ratio", ratio), ("advantage", advantage)) if value]
    parts.append("trained on" if token.trained else "not trained on" if token.written else "written by others")
    return text(" · ".join(parts))
