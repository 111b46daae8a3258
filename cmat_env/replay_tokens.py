"""Tokens under a lens: each shaded by its advantage, with log-probability and ratio, and whether it was trained on.

tokens_of(record, index, pieces)   the data, for the terminal and for HTML alike
shaded(tokens)                     the renderable: the text in colour, and the figures of every token of the reply
lens(log)                          both in one, for `replay_view.whole`
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cmat_env.errors import MissingExtraError
from cmat_env.log_lines import EpisodeRecord
from cmat_env.terminal import printable

Pieces = Callable[[Sequence[int]], list[str]]
"""Token ids -> the text of each."""

_WINDOW = 6
_COLUMN = 46
LEGEND = "green: advantage above 0, red: below; underlined: trained on; dim: written by others"


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a dialogue.

    Attributes:
        place: position in the dialogue, from 0.
        token_id: of the tokenizer.
        text: what it spells.
        written: did the role itself write it?
        logprob: as sampled, in nats; None if unknown, or not written by the role.
        advantage: see `TokenCredit`; None where no update was recorded.
        ratio: likewise.
        trained: likewise; False for everything that others wrote.
    """

    place: int
    token_id: int
    text: str
    written: bool
    logprob: float | None = None
    advantage: float | None = None
    ratio: float | None = None
    trained: bool = False


def tokens_of(record: EpisodeRecord, index: int, pieces: Pieces) -> list[Token]:
    """The tokens of a step: those encoded for it, then those of the reply; none if the policy hides them.

    Args:
        record: the episode.
        index: of the step, from 0.
        pieces: spells token ids.
    """
    step = record.trajectory.steps[index]
    if step.generation.token_ids is None:
        return []
    dialogue = record.trajectory.dialogues[step.role][step.dialogue]
    same = (s for s in record.trajectory.steps[:index] if (s.role, s.dialogue) == (step.role, step.dialogue))
    turn = sum(s.generation.token_ids is not None for s in same)
    start = dialogue.turns[turn - 1][1] if turn else 0
    first, end = dialogue.turns[turn]
    ids = dialogue.token_ids[start:end]
    texts = pieces(ids)
    tokens = [Token(start + i, ids[i], texts[i], written=False) for i in range(first - start)]
    logprobs, credit = step.generation.logprobs, record.credit.get(step.index)
    for i in range(end - first):
        known = (credit.advantages[i], credit.ratios[i], credit.trained[i]) if credit else (None, None, False)
        logprob = logprobs[i] if logprobs is not None else None
        place = first - start + i
        tokens.append(Token(first + i, ids[place], texts[place], True, logprob, *known))
    return tokens


def lens(log: Path) -> Callable[[EpisodeRecord, int], RenderableType | None]:
    """What shows a step's tokens, None for a step without; models are looked for beside the log too."""
    find = finder(log)

    def look(record: EpisodeRecord, index: int) -> RenderableType | None:
        tokens = find(record, index)
        return shaded(tokens) if tokens else None

    return look


def finder(log: Path) -> Callable[[EpisodeRecord, int], list[Token]]:
    """`tokens_of`, spelled by the model that the step's policy names."""
    speller = Speller(log)

    def find(record: EpisodeRecord, index: int) -> list[Token]:
        role = record.trajectory.steps[index].role
        return tokens_of(record, index, speller.pieces(record.policies.get(role, "")))

    return find


def shaded(tokens: Sequence[Token]) -> RenderableType:
    """Tokens in colour, what they sum up to, and the figures of the reply's tokens."""
    flow = Text()
    top = strongest(tokens)
    for token in tokens:
        flow.append(visible(token.text).replace("⏎", "⏎\n"), style=_style(token, top))
    written = [token for token in tokens if token.written]
    return Group(flow, Text(summary(tokens), style="dim"), _Figures(written))


def summary(tokens: Sequence[Token]) -> str:
    """The step's tokens in one line."""
    written = [token for token in tokens if token.written]
    parts = [f"{len(tokens) - len(written)} tokens heard, {len(written)} written"]
    parts[0] += f", {sum(token.trained for token in tokens)} trained on"
    for name, values in (
        ("log p", [token.logprob for token in written]),
        ("ratio", [token.ratio for token in written]),
        ("advantage", [token.advantage for token in written]),
    ):
        known = [value for value in values if value is not None]
        if known:
            parts.append(f"{name} {sum(known) / len(known):.3f} ({min(known):.3f} to {max(known):.3f})")
    return " · ".join(parts)


def strongest(tokens: Sequence[Token]) -> float:
    """The largest advantage in absolute value, at least a little above 0."""
    known = [abs(token.advantage) for token in tokens if token.advantage is not None and math.isfinite(token.advantage)]
    return max(known, default=0.0) or 1.0


def visible(text: str) -> str:
    """A token's text with its line ends and outer spaces to be seen, and nothing that steers a terminal."""
    return printable(text).replace("\n", "⏎").replace("\t", "⇥") or "∅"


def figures(token: Token) -> tuple[str, str, str, str, str]:
    """Place, log-probability, ratio, advantage and the mark of training, as text."""
    return (
        str(token.place),
        "" if token.logprob is None else f"{token.logprob:.3f}",
        "" if token.ratio is None else f"{token.ratio:.3f}",
        "" if token.advantage is None else f"{token.advantage:+.2f}",
        "●" if token.trained else "○",
    )


class Speller:
    """Spells token ids by the tokenizer of the model that a role's policy names.

    Args:
        log: the log's file: a model that is not where it was is looked for in the folder of the log.
    """

    def __init__(self, log: Path) -> None:
        self._folder = log.parent
        self._tokenizers: dict[str, Any] = {}

    def pieces(self, spec: str) -> Pieces:
        """How the model of a policy's specification spells; ids in brackets where its tokenizer is not to be found."""
        if spec not in self._tokenizers:
            file = self._file(spec)
            self._tokenizers[spec] = _read(file) if file else None
        tokenizer = self._tokenizers[spec]
        return (lambda ids: _spell(tokenizer, ids)) if tokenizer else (lambda ids: [f"<{each}>" for each in ids])

    def _file(self, spec: str) -> Path | None:
        if not spec.startswith("hf:"):
            return None
        argument = spec.removeprefix("hf:")
        folder = Path(argument.rpartition("@")[0] or argument)
        places = (folder / "tokenizer.json", self._folder / folder.name / "tokenizer.json")
        return next((place for place in places if place.is_file()), None)


def _read(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - comes with the extra "train"
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("tokenizers", "train") from error
    try:
        return Tokenizer.from_file(str(file))
    except Exception:  # tokenizers raises Exception itself; the ids are shown instead
        return None


def _spell(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Each token as what it adds to the text of those before it, so that spaces and split letters come out right."""
    texts = []
    for place in range(len(ids)):
        window = ids[max(0, place - _WINDOW) : place]
        before = tokenizer.decode(list(window), skip_special_tokens=False) if window else ""
        whole = tokenizer.decode([*window, ids[place]], skip_special_tokens=False)
        texts.append(whole[len(before.rstrip("\ufffd")) :])
    return texts


class _Figures:
    """A table of tokens, in as many columns as there is room for."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._tokens:
            return
        columns = min(max(1, options.max_width // _COLUMN), len(self._tokens))
        rows = -(-len(self._tokens) // columns)
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
        for _ in range(columns):
            for name in ("#", "token", "log p", "ratio", "adv", ""):
                table.add_column(name, justify="left" if name in ("token", "") else "right", overflow="fold")
        top = strongest(self._tokens)
        for row in range(rows):
            cells: list[Text] = []
            for token in self._tokens[row::rows]:
                place, *numbers, mark = figures(token)
                cells.append(Text(place, style="dim"))
                cells.append(Text(visible(token.text).replace(" ", "·")[:14], style=_style(token, top)))
                cells.extend(Text(number) for number in numbers)
                cells.append(Text(mark, style="bold" if token.trained else "dim"))
            table.add_row(*cells)
        yield table


def _style(token: Token, top: float) -> Style:
    if not token.written:
        return Style(dim=True)
    if token.advantage is None or not math.isfinite(token.advantage):
        return Style(underline=token.trained)
    depth = min(1.0, abs(token.advantage) / top)
    strong, weak = int(40 + 130 * depth), int(40 - 10 * depth)
    colour = (weak, strong, weak) if token.advantage > 0 else (strong, weak, weak)
    shade = "" if token.advantage == 0 else f"#{colour[0]:02x}{colour[1]:02x}{colour[2]:02x}"
    return Style(underline=token.trained, color="#ffffff" if shade else None, bgcolor=shade or None)
