"""What a case gives on a backend, in a form that can be stored, and where two backends disagree."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from cmat_env.envs.database.backend import Backend, Result
from cmat_env.envs.database.differential.cases import Case
from cmat_env.errors import ConfigError

_TOLERANCE = 1e-6

Value = str | float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the statements of one case gave.

    Attributes:
        statements: what was run.
        results: for each statement its rows, or the number of its error.
        final: a hash of each table's rows at the end; None = the table or a column is gone.
    """

    statements: tuple[str, ...]
    results: tuple[list[list[Value]] | int, ...]
    final: tuple[str | None, ...]


def play(case: Case, backend: Backend) -> Outcome:
    """Run a case."""
    backend.load(case.tables)
    results = tuple(_kept(backend.execute(sql)) for sql in case.statements)
    final = tuple(_state(backend.table_rows(table.name, table.columns)) for table in case.tables)
    return Outcome(case.statements, results, final)


def difference(ours: Outcome, theirs: Outcome, *, ordered: bool) -> str | None:
    """In one line where two outcomes of one case differ; None = they agree.

    Numbers agree within a millionth; a number and a text never do.
    """
    for sql, mine, other in zip(ours.statements, ours.results, theirs.results, strict=True):
        if isinstance(mine, int) or isinstance(other, int):
            same = mine == other
        else:
            same = _same_rows(mine, other, ordered=ordered)
        if not same:
            return f"{sql} gives {mine!r:.150}, wanted {other!r:.150}"
    if ours.final != theirs.final:
        return f"{' ; '.join(ours.statements)} leaves other rows"
    return None


def _kept(result: Result) -> list[list[Value]] | int:
    if result.error is not None:
        return result.error_code or 0
    return [[_value(cell) for cell in row] for row in result.rows]


def _value(cell: object) -> Value:
    if cell is None:
        return None
    if isinstance(cell, bool | int | float | Decimal):
        return float(cell)
    if isinstance(cell, bytes | bytearray):
        return bytes(cell).decode("utf-8", "replace")
    if isinstance(cell, datetime.timedelta):
        seconds, rest = divmod(abs(cell), datetime.timedelta(seconds=1))
        fraction = f".{rest.microseconds:06d}" if rest else ""
        return f"{'-' * (cell.days < 0)}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"
    return str(cell)


def _state(rows: Iterable[Sequence[object]] | None) -> str | None:
    if rows is None:
        return None
    texts = sorted(json.dumps([None if cell is None else str(cell) for cell in row]) for row in rows)
    return hashlib.md5("\n".join(texts).encode(), usedforsecurity=False).hexdigest()[:12]


def _same_rows(mine: list[list[Value]], other: list[list[Value]], *, ordered: bool) -> bool:
    if len(mine) != len(other):
        return False
    if not ordered:
        mine, other = sorted(mine, key=_sort_key), sorted(other, key=_sort_key)
    return all(
        len(row) == len(wanted) and all(map(_same_value, row, wanted)) for row, wanted in zip(mine, other, strict=True)
    )


def _sort_key(row: list[Value]) -> list[tuple[str, float, str]]:
    """Numbers by value, rounded, so that both sides sort alike."""
    return [
        ("number", float(f"{cell:.5g}"), "") if isinstance(cell, float) else (type(cell).__name__, 0.0, str(cell))
        for cell in row
    ]


def _same_value(mine: Value, other: Value) -> bool:
    if isinstance(mine, float) and isinstance(other, float):
        return math.isclose(mine, other, rel_tol=_TOLERANCE, abs_tol=1e-9)
    return type(mine) is type(other) and mine == other


def save(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write outcomes, a line a case; the same outcomes give the same bytes."""
    lines = [
        json.dumps([id, each.statements, each.results, each.final], ensure_ascii=False, separators=(",", ":"))
        for id, each in outcomes.items()
    ]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))


def read(path: Path) -> dict[str, Outcome]:
    """Read what `save` wrote.

    Raises:
        ConfigError: the file is missing or is none of ours.
    """
    try:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        entries: list[Any] = [json.loads(line) for line in lines]
        return {
            id: Outcome(tuple(statements), tuple(results), tuple(final)) for id, statements, results, final in entries
        }
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} holds no recorded outcomes ({error}); record them anew with --record") from error
