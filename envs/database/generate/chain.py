"""Composite database tasks: two to four linked parts on one table.

The first part finds a row; each later one speaks of that row ("it"), or of what a change has made of the table. Every
ending is worked out in plain Python, with the changes of the parts before.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cmat_env.envs.composite.tasks import Composite
from cmat_env.envs.database.backend import Table
from cmat_env.envs.database.generate.draft import slips
from cmat_env.envs.database.generate.sheet import Sheet, draw_sheet
from cmat_env.envs.database.generate.words import SPLITS, Split
from cmat_env.envs.database.tasks import DBTask, Slip
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

Cells = tuple[str, str, int, int]
LENGTHS = (2, 3, 4)


@dataclass(frozen=True, slots=True)
class World:
    """The table as the parts so far leave it.

    Attributes:
        sheet: names, and rows as they were at first.
        rows: as they are now.
        it: the key of the row that is spoken of; "" = it is gone.
        changed: has a part changed the table?
    """

    sheet: Sheet
    rows: tuple[Cells, ...]
    it: str = ""
    changed: bool = False

    @property
    def row(self) -> Cells:
        """The row that is spoken of."""
        return next(row for row in self.rows if row[0] == self.it)


@dataclass(frozen=True, slots=True)
class Link:
    """One part.

    Attributes:
        wordings: ways to say it.
        sql: the reference.
        after: the world after it.
        answers: of a question; () = it is a change.
        slips: systematic errors.
        vague, fact: ways to say it without a detail, and the detail.
    """

    wordings: tuple[str, ...]
    sql: str
    after: World
    answers: tuple[object, ...] = ()
    slips: tuple[Slip, ...] = ()
    vague: tuple[str, ...] = ()
    fact: str = ""


def _found(w: World, *, highest: bool) -> Link:
    s = w.sheet
    row = (max if highest else min)(w.rows, key=lambda row: row[2])
    word, order, other = ("highest", "DESC", "ASC") if highest else ("lowest", "ASC", "DESC")
    query = f"SELECT {s.key} FROM {s.table} ORDER BY {s.num}"
    now = " now" if w.changed else ""
    return Link(
        (f"which {s.key} has the {word} {s.num}{now}", f"find the {s.key} with the {word} {s.num}{now}"),
        f"{query} {order} LIMIT 1",
        dataclasses.replace(w, it=row[0]),
        (row[0],),
        slips(f"{query} {other} LIMIT 1"),
    )


def _value(w: World) -> Link:
    s, row = w.sheet, w.row
    query = f"FROM {s.table} WHERE {s.key} = '{w.it}'"
    return Link(
        (f"what is its {s.alt}", f"find the {s.alt} of that {s.key}"),
        f"SELECT {s.alt} {query}",
        w,
        (row[3],),
        slips(f"SELECT {s.num} {query}"),
    )


def _its_group(w: World) -> str:
    """A condition that can be written by whoever knows the row alone; what its category is, nobody has been shown."""
    s = w.sheet
    return f"{s.cat} = (SELECT {s.cat} FROM {s.table} WHERE {s.key} = '{w.it}')"


def _group(w: World) -> Link:
    s, row = w.sheet, w.row
    query = f"SELECT COUNT(*) FROM {s.table}"
    return Link(
        (f"how many {s.table} have the same {s.cat} as it", f"count the {s.table} with its {s.cat}"),
        f"{query} WHERE {_its_group(w)}",
        w,
        (sum(each[1] == row[1] for each in w.rows),),
        slips(query),
    )


def _group_sum(w: World) -> Link:
    s, row = w.sheet, w.row
    query = f"SELECT SUM({s.alt}) FROM {s.table}"
    return Link(
        (
            f"what is the total {s.alt} of the {s.table} with its {s.cat}",
            f"add up the {s.alt} where {s.cat} is its own",
        ),
        f"{query} WHERE {_its_group(w)}",
        w,
        (sum(each[3] for each in w.rows if each[1] == row[1]),),
        slips(query),
    )


def _update(w: World) -> Link:
    s, number = w.sheet, w.sheet.spare[3]
    changed = tuple((*row[:3], number) if row[0] == w.it else row for row in w.rows)
    return Link(
        (f"change its {s.alt} to {number}", f"set the {s.alt} of that {s.key} to {number}"),
        f"UPDATE {s.table} SET {s.alt} = {number} WHERE {s.key} = '{w.it}'",
        dataclasses.replace(w, rows=changed, changed=True),
        slips=slips(
            f"UPDATE {s.table} SET {s.num} = {number} WHERE {s.key} = '{w.it}'",
            f"UPDATE {s.table} SET {s.alt} = {number}",
        ),
        vague=(f"change its {s.alt} to the new {s.alt}", f"set the {s.alt} of that {s.key} to the new {s.alt}"),
        fact=f"The new {s.alt} is {number}.",
    )


def _delete(w: World) -> Link:
    s = w.sheet
    return Link(
        (f"delete it from {s.table}", f"remove that {s.key} from {s.table}"),
        f"DELETE FROM {s.table} WHERE {s.key} = '{w.it}'",
        dataclasses.replace(w, rows=tuple(row for row in w.rows if row[0] != w.it), it="", changed=True),
        slips=slips(f"DELETE FROM {s.table} WHERE {s.key} != '{w.it}'"),
    )


def _total(w: World) -> Link:
    s = w.sheet
    return Link(
        (f"what is the total {s.alt} of all {s.table} now", f"add up the {s.alt} of all {s.table} again"),
        f"SELECT SUM({s.alt}) FROM {s.table}",
        w,
        (sum(row[3] for row in w.rows),),
        slips(f"SELECT SUM({s.num}) FROM {s.table}"),
    )


def _left(w: World) -> Link:
    s = w.sheet
    return Link(
        (f"how many {s.table} are there now", f"count the {s.table} again"),
        f"SELECT COUNT(*) FROM {s.table}",
        w,
        (len(w.rows),),
        slips(f"SELECT COUNT(DISTINCT {s.cat}) FROM {s.table}"),
    )


def _of_it(w: World) -> bool:
    return bool(w.it)


def _of_change(w: World) -> bool:
    return w.changed


def _of_new_top(w: World) -> bool:
    return w.changed and not w.it


FIRST: Mapping[str, Callable[[World], Link]] = {
    "find_highest": lambda w: _found(w, highest=True),
    "find_lowest": lambda w: _found(w, highest=False),
}
LATER: Mapping[str, tuple[Callable[[World], Link], Callable[[World], bool]]] = {
    "its_value": (_value, _of_it),
    "its_group": (_group, _of_it),
    "its_group_sum": (_group_sum, _of_it),
    "update_it": (_update, _of_it),
    "delete_it": (_delete, _of_it),
    "total_now": (_total, _of_change),
    "left_now": (_left, _of_change),
    "highest_now": (FIRST["find_highest"], _of_new_top),
}
"""Each with what the world must be for it: that is what links it to the parts before."""


def generate_chain(
    split: Split, *, seed: int, lengths: Sequence[int] = LENGTHS, vague: bool = False
) -> Composite[DBTask]:
    """Draw one composite task: a pure function of all arguments.

    Args:
        split: whose words, as for single tasks.
        seed: any whole number; neighbours are unrelated.
        lengths: numbers of parts to draw from.
        vague: leave the new number of an update out of its goal; the user knows it.

    Raises:
        UnknownNameError: there is no such split.
        ConfigError: there is no such length.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(split, SPLITS)}")
    if not lengths or not set(lengths) <= set(LENGTHS):
        raise ConfigError(f"parts={lengths!r}: wanted some of {', '.join(map(str, LENGTHS))}")
    rng = random.Random(f"chain/{split}/{seed}")
    sheet = draw_sheet(rng, split)
    length = rng.choice(tuple(lengths))
    world = World(sheet, sheet.rows)
    names: list[str] = []
    links: list[Link] = []
    worlds: list[World] = []
    for place in range(length):
        name, make = _drawn(rng, world, names, first=place == 0)
        link = make(world)
        names.append(name)
        links.append(link)
        worlds.append(world)
        world = link.after
    said = [link.vague if vague and link.vague else link.wordings for link in links]
    table = Table(sheet.table, sheet.order, sheet.arrange(sheet.rows))
    tasks = [
        _task(f"composite-{split}-{seed}/{place}", name, link, before, table=table, split=split)
        for place, (name, link, before) in enumerate(zip(names, links, worlds, strict=True))
    ]
    return Composite(
        id=f"composite-{split}-{seed}",
        family=f"{length} parts",
        parts=tuple(tasks),
        families=tuple(names),
        opening=f"Table {sheet.table} ({', '.join(sheet.order)}).",
        goals=tuple(rng.choice(wordings) for wordings in said),
        wordings=tuple(said),
        facts=tuple(link.fact for link in links if vague and link.fact),
    )


def _drawn(
    rng: random.Random, world: World, names: Sequence[str], *, first: bool
) -> tuple[str, Callable[[World], Link]]:
    if first:
        name = rng.choice(tuple(FIRST))
        return name, FIRST[name]
    name = rng.choice([name for name, (_, fits) in LATER.items() if name not in names and fits(world)])
    return name, LATER[name][0]


def _task(id: str, family: str, link: Link, before: World, *, table: Table, split: Split) -> DBTask:
    write = not link.answers
    rows = before.sheet.arrange(link.after.rows) if write else None
    return DBTask(
        id=id,
        family=family,
        description=link.wordings[0],
        add_description="",
        tables=(table,),
        write=write,
        answers=tuple(map(str, link.answers)),
        gold_rows=rows,
        reference=link.sql,
        slips=link.slips,
        split=split,
    )
