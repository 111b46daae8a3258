"""Episodes as one HTML page that needs nothing beside it: no script, no request, safe whatever a model wrote.

A content security policy allows the page's own style sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from cmat_env.errors import LogError
from cmat_env.log_lines import EpisodeRecord
from cmat_env.replay_tokens import LEGEND, Token, figures, strongest, summary, visible
from cmat_env.replay_view import DRY_RUN, HIDDEN, origin, rows_of
from cmat_env.terminal import printable
from cmat_env.types import Payment, Step

TokensOf = Callable[[EpisodeRecord, int], Sequence[Token]]
_SHADES = 5
_MOST_ROWS = 50
_STYLE_FILE = "replay.css"


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
    count = 0
    partial = to.with_name(to.name + ".partial")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as page:
            page.write(_head(title, with_tokens=tokens is not None))
            for count, record in enumerate(records, start=1):
                page.writelines(_episode(record, first + count - 1, tokens, opened=count == 1))
            page.write("</main></body></html>\n")
        os.replace(partial, to)
    except OSError as error:
        raise LogError(f"{to}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return count


def _head(title: str, *, with_tokens: bool) -> str:
    style = files("cmat_env").joinpath(_STYLE_FILE).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    filters = "".join(
        f'<label><input type="radio" name="show" id="show-{name}"{" checked" if name == "all" else ""}> {name}</label>'
        for name in ("all", "solved", "unsolved")
    )
    heard = '<label><input type="checkbox" id="heard" checked> tokens heard</label>' if with_tokens else ""
    legend = f"<p class=legend>{_text(LEGEND)}; point at a token for its figures</p>" if with_tokens else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{_text(title)}</h1><nav>{filters}{heard}</nav>{legend}</header><main>"
    )


def _episode(record: EpisodeRecord, number: int, tokens: TokensOf | None, *, opened: bool) -> Iterator[str]:
    episode = record.trajectory
    mark = "solved" if episode.success else "unsolved"
    team = " · ".join(f"{role} {record.policies.get(role, '')}".strip() for role in episode.dialogues)
    notes = " · ".join(f"{name} {value}" for name, value in record.notes.items() if name not in HIDDEN)
    facts = f"{episode.env_id} · task {episode.task_id} · {episode.task_type} · seed {episode.seed}"
    facts += f" · trial {episode.trial + 1}" if episode.trial else ""
    sign = "✔" if episode.success else "✘"
    yield (
        f'<details class="episode {mark}"{" open" if opened else ""}><summary><b>episode {number}</b> {_text(facts)} '
        f"<span class=mark>{sign} {_text(episode.outcome)}</span></summary>"
        f"<p class=team>{_text(team)}{_text(' · ' + notes) if notes else ''}</p>"
    )
    for role, items in episode.recalled.items():
        yield from (f"<p class=team>{_text(f'{role} recalls, {origin(item)}: {item.text}')}</p>" for item in items)
    paid: dict[str, float] = {}
    for index, step in enumerate(episode.steps):
        role, kind = _role(step.role), " reflection" if step.kind == "reflect" else ""
        yield f'<section class="step {role}"><h2>{index + 1} <span>{_text(step.role)}</span>{kind}</h2>'
        yield _heard(step)
        yield _said(step)
        if tokens is not None:
            yield from _tokens(tokens(record, index))
        yield _payments(step.payments, paid)
        yield "</section>"
    returns = ", ".join(f"{role} {amount:+.2f}" for role, amount in episode.returns().items())
    cut = ", cut off by a limit" if episode.truncated else ""
    yield (
        f"<p class=end><span class=mark>{sign} {_text(episode.outcome)}</span> score {episode.score:g}{cut} · returns "
        f"{_text(returns)}</p></details>"
    )


def _heard(step: Step) -> str:
    message, speaker = step.observation["message"], step.observation["speaker"]
    dry_run = ""
    if step.role == "checker":
        message, mark, dry_run = message.rpartition(DRY_RUN) if DRY_RUN in message else (message, "", "")
        dry_run = f"<div class=heard><i>dry run</i>{_content(dry_run)}</div>" if mark else ""
    return f"<div class=heard><i>{_text(speaker)}</i>{_content(message)}</div>{dry_run}"


def _said(step: Step) -> str:
    words = f"<div class=said>{_content(step.generation.text)}</div>"
    if step.verdict is None:
        return words
    verdict = "approve" if step.verdict.approve else "revise"
    notes = [f"confidence {step.verdict.confidence:.2f}"] if step.verdict.confidence != 1.0 else []
    notes += [] if step.verdict.parsed else ["no verdict in the text"]
    if step.judgement is not None:
        right = "rightly" if step.judgement.good == step.verdict.approve else "wrongly"
        notes.append(f"the task says {'good' if step.judgement.good else 'bad'}: {right}")
    return f'{words}<p class="verdict {verdict}"><b>{verdict}</b> {_text(", ".join(notes))}</p>'


def _content(text: str) -> str:
    """Rows as a table, anything else as it was written."""
    rows = rows_of(text)
    if rows is None:
        return f"<pre>{_text(text)}</pre>" if text.strip() else "<pre class=nothing>(nothing)</pre>"
    lines = "".join(f"<tr>{''.join(f'<td>{_text(str(cell))}</td>' for cell in row)}</tr>" for row in rows[:_MOST_ROWS])
    more = f"<p class=nothing>... {len(rows) - _MOST_ROWS} more rows</p>" if len(rows) > _MOST_ROWS else ""
    return f"<table class=rows>{lines}</table>{more}"


def _tokens(tokens: Sequence[Token]) -> Iterator[str]:
    """The text in shades, the summary, and a table of the reply's tokens."""
    if not tokens:
        return
    top = strongest(tokens)
    yield "<div class=tokens>"
    for token in tokens:
        yield f'<span class="{_classes(token, top)}" title="{_title(token)}">{_flowing(token)}</span>'
    yield f"</div><details class=figures><summary>{_text(summary(tokens))}</summary><table>"
    yield "<tr><th>#<th>id<th>token<th>log p<th>ratio<th>advantage<th>trained</tr>"
    for token in tokens:
        if token.written:
            place, *numbers, mark = figures(token)
            cells = "".join(f"<td>{number}" for number in numbers)
            shade = f'<td><span class="{_classes(token, top)}">{_text(visible(token.text))}</span>'
            yield f"<tr><td>{place}<td>{token.token_id}{shade}{cells}<td>{mark}</tr>"
    yield "</table></details>"


def _flowing(token: Token) -> str:
    """A token's text with its line ends as signs and as line ends."""
    return _text(visible(token.text)).replace("⏎", "⏎<br>")


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
    return _text(" · ".join(parts))


def _payments(payments: Sequence[Payment], paid: dict[str, float]) -> str:
    lines = []
    for payment in payments:
        paid[payment.role] = paid.get(payment.role, 0.0) + payment.amount
        sign = "plus" if payment.amount > 0 else "minus"
        lines.append(
            f"<li>{_text(payment.role)} <b class={sign}>{payment.amount:+.2f}</b> {_text(payment.reason)} "
            f"<small>total {paid[payment.role]:+.2f}</small></li>"
        )
    return f"<ul class=ledger>{''.join(lines)}</ul>" if lines else ""


def _role(role: str) -> str:
    return role if role in ("user", "assistant", "checker") else "other"


def _text(text: str) -> str:
    """Text as HTML that is nothing but text."""
    return escape(printable(text))
