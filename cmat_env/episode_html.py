"""One episode as a piece of HTML: every turn, safe whatever a model wrote; for pages and for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from cmat_env.episode_text import HIDDEN, heard, is_right, is_verbatim, origin
from cmat_env.graph_path import path_at
from cmat_env.look_html import content, text
from cmat_env.types import Payment, Step, Trajectory

TokensHtml = Callable[[int], str]
"""A step's position -> its tokens as HTML; "" = it shows none."""
_STYLE_FILE = "replay.css"


def style() -> str:
    """The style sheet of pages and pieces; everything in it is for what is in an element of the class `cmat`."""
    return files("cmat_env").joinpath(_STYLE_FILE).read_text(encoding="utf-8")


def notebook(piece: str) -> str:
    """A piece of HTML with its style, to stand in a page of somebody else's."""
    return f'<div class="cmat"><style>{style()}</style>{piece}</div>'


def pieces(
    episode: Trajectory,
    *,
    title: str = "episode",
    policies: Mapping[str, str] | None = None,
    notes: Mapping[str, Any] | None = None,
    tokens: TokensHtml | None = None,
    opened: bool = True,
) -> Iterator[str]:
    """An episode from first to last, as HTML in the class `cmat`.

    Args:
        episode: what happened.
        title: of the episode.
        policies: by role, who played.
        notes: what the recorder wanted to say.
        tokens: gives a step's tokens; None = they are not shown.
        opened: is the episode unfolded?
    """
    mark, sign = ("solved", "✔") if episode.success else ("unsolved", "✘")
    facts = f"{episode.env_id} · task {episode.task_id} · {episode.task_type} · seed {episode.seed}"
    facts += f" · trial {episode.trial + 1}" if episode.trial else ""
    yield (
        f'<details class="episode {mark}"{" open" if opened else ""}><summary><b>{text(title)}</b> {text(facts)} '
        f"<span class=mark>{sign} {text(episode.outcome)}</span></summary>"
    )
    team = [f"{role} {(policies or {}).get(role, '')}".strip() for role in episode.dialogues]
    team += [f"{name} {value}" for name, value in (notes or {}).items() if name not in HIDDEN]
    yield f"<p class=team>{text(' · '.join(team))}</p>"
    for role, items in episode.recalled.items():
        yield from (f"<p class=team>{text(f'{role} recalls, {origin(item)}: {item.text}')}</p>" for item in items)
    paid: dict[str, float] = {}
    for index, step in enumerate(episode.steps):
        kind = " reflection" if step.kind == "reflect" else ""
        yield f'<section class="step {_role(step.role)}"><h2>{index + 1} <span>{text(step.role)}</span>{kind}</h2>'
        yield _heard(episode.steps, index)
        yield _said(step)
        yield tokens(index) if tokens is not None else ""
        yield _payments(step.payments, paid)
        yield "</section>"
    returns = ", ".join(f"{role} {amount:+.2f}" for role, amount in episode.returns().items())
    cut = ", cut off by a limit" if episode.truncated else ""
    yield (
        f"<p class=end><span class=mark>{sign} {text(episode.outcome)}</span> score {episode.score:g}{cut} · returns "
        f"{text(returns)}</p></details>"
    )


def _heard(steps: Sequence[Step], index: int) -> str:
    """What a role heard; what a checker was asked is folded, since it repeats the proposal."""
    step, (speaker, message), way = steps[index], heard(steps, index), path_at(steps, index)
    asked = content(step.observation["message"]) if step.role == "checker" else ""
    folded = f"<details class=asked><summary>what it was asked</summary>{asked}</details>" if asked else ""
    seen = f"<div class=heard><i>{text(speaker)}</i>{content(message)}</div>" if message else ""
    return f"{folded}{seen}{f'<p class=way>{text(way)}</p>' if way else ''}"


def _said(step: Step) -> str:
    same = "<pre class=nothing>(the same, word for word)</pre>"
    words = f"<div class=said>{same if is_verbatim(step) else content(step.generation.text)}</div>"
    if step.verdict is None:
        return words
    verdict = "approve" if step.verdict.approve else "revise"
    notes = [f"confidence {step.verdict.confidence:.2f}"] if step.verdict.confidence != 1.0 else []
    notes += [] if step.verdict.parsed else ["no verdict in the text"]
    if step.judgement is not None:
        opinion = "good" if step.judgement.good else "bad"
        notes.append(f"the task says {opinion}: {'rightly' if is_right(step) else 'wrongly'}")
    return f'{words}<p class="verdict {verdict}"><b>{verdict}</b> {text(", ".join(notes))}</p>'


def _payments(payments: Sequence[Payment], paid: dict[str, float]) -> str:
    lines = []
    for payment in payments:
        paid[payment.role] = paid.get(payment.role, 0.0) + payment.amount
        sign = "plus" if payment.amount > 0 else "minus"
        lines.append(
            f"<li>{text(payment.role)} <b class={sign}>{payment.amount:+.2f}</b> {text(payment.reason)} "
            f"<small>total {paid[payment.role]:+.2f}</small></li>"
        )
    return f"<ul class=ledger>{''.join(lines)}</ul>" if lines else ""


def _role(role: str) -> str:
    return role if role in ("user", "assistant", "checker") else "other"
