"""Level 1: sixteen families of questions about one table, after the prototype's.

Each family gives its wordings, the reference SQL, the exact ending by plain Python, and the systematic errors of the
imperfect demonstrator. The data are drawn so that none of these errors ends right by accident.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from cmat_env.envs.database.backend import Row
from cmat_env.envs.database.generate.draft import Draft, slips
from cmat_env.envs.database.generate.sheet import Sheet


def _count_all(rng: random.Random, s: Sheet) -> Draft:
    return Draft(
        (f"how many {s.table} are there", f"count all {s.table}"),
        f"SELECT COUNT(*) FROM {s.table}",
        [len(s.rows)],
    )


def _count_where(rng: random.Random, s: Sheet) -> Draft:
    value = s.focus[1]
    return Draft(
        (f"how many {s.table} have {s.cat} {value}", f"count the {s.table} where {s.cat} is {value}"),
        f"SELECT COUNT(*) FROM {s.table} WHERE {s.cat} = '{value}'",
        [sum(row[1] == value for row in s.rows)],
        slips=slips(f"SELECT COUNT(*) FROM {s.table}", f"SELECT COUNT(*) FROM {s.table} WHERE {s.key} = '{value}'"),
    )


def _threshold(rng: random.Random, s: Sheet) -> int:
    """A number of a row with different numbers of rows above and below it, and neither of them 0."""
    ranked = sorted(row[2] for row in s.rows)
    last = len(ranked) - 1
    return ranked[rng.choice([rank for rank in range(1, last) if rank != last - rank])]


def _count_above(rng: random.Random, s: Sheet) -> Draft:
    limit = _threshold(rng, s)
    return Draft(
        (f"how many {s.table} have {s.num} above {limit}", f"count the {s.table} where {s.num} is over {limit}"),
        f"SELECT COUNT(*) FROM {s.table} WHERE {s.num} > {limit}",
        [sum(row[2] > limit for row in s.rows)],
    )


def _count_below(rng: random.Random, s: Sheet) -> Draft:
    limit = _threshold(rng, s)
    return Draft(
        (f"how many {s.table} have {s.num} below {limit}", f"count the {s.table} where {s.num} is under {limit}"),
        f"SELECT COUNT(*) FROM {s.table} WHERE {s.num} < {limit}",
        [sum(row[2] < limit for row in s.rows)],
        slips=slips(f"SELECT COUNT(*) FROM {s.table} WHERE {s.num} > {limit}"),
    )


def _max(rng: random.Random, s: Sheet) -> Draft:
    return Draft(
        (f"what is the highest {s.num}", f"find the largest {s.num} of all {s.table}"),
        f"SELECT MAX({s.num}) FROM {s.table}",
        [max(row[2] for row in s.rows)],
    )


def _min(rng: random.Random, s: Sheet) -> Draft:
    return Draft(
        (f"what is the lowest {s.num}", f"find the smallest {s.num} of all {s.table}"),
        f"SELECT MIN({s.num}) FROM {s.table}",
        [min(row[2] for row in s.rows)],
        slips=slips(f"SELECT MAX({s.num}) FROM {s.table}", f"SELECT MIN({s.alt}) FROM {s.table}", weights=(0.6, 0.4)),
    )


def _sum(rng: random.Random, s: Sheet) -> Draft:
    return Draft(
        (f"what is the total {s.num}", f"add up the {s.num} of all {s.table}"),
        f"SELECT SUM({s.num}) FROM {s.table}",
        [sum(row[2] for row in s.rows)],
        slips=slips(f"SELECT COUNT({s.num}) FROM {s.table}"),
    )


def _lookup(rng: random.Random, s: Sheet) -> Draft:
    wanted, answer = rng.choice(((s.cat, s.focus[1]), (s.num, s.focus[2])))
    return Draft(
        (f"what is the {wanted} where {s.key} is {s.focus[0]}", f"find the {wanted} of {s.key} {s.focus[0]}"),
        f"SELECT {wanted} FROM {s.table} WHERE {s.key} = '{s.focus[0]}'",
        [answer],
    )


def _argmax(rng: random.Random, s: Sheet) -> Draft:
    return Draft(
        (f"which {s.key} has the highest {s.num}", f"find the {s.key} with the largest {s.num}"),
        f"SELECT {s.key} FROM {s.table} ORDER BY {s.num} DESC LIMIT 1",
        [max(s.rows, key=lambda row: row[2])[0]],
        slips=slips(
            f"SELECT {s.key} FROM {s.table} ORDER BY {s.num} ASC LIMIT 1",
            f"SELECT {s.key} FROM {s.table} ORDER BY {s.alt} DESC LIMIT 1",
            weights=(0.4, 0.6),
        ),
    )


def _argmin(rng: random.Random, s: Sheet) -> Draft:
    return Draft(
        (f"which {s.key} has the lowest {s.num}", f"find the {s.key} with the smallest {s.num}"),
        f"SELECT {s.key} FROM {s.table} ORDER BY {s.num} ASC LIMIT 1",
        [min(s.rows, key=lambda row: row[2])[0]],
        slips=slips(
            f"SELECT {s.key} FROM {s.table} ORDER BY {s.num} DESC LIMIT 1",
            f"SELECT {s.cat} FROM {s.table} ORDER BY {s.num} ASC LIMIT 1",
            weights=(0.4, 0.6),
        ),
    )


def _distinct(rng: random.Random, s: Sheet) -> Draft:
    return Draft(
        (f"how many different {s.cat} are there", f"count the distinct {s.cat} of {s.table}"),
        f"SELECT COUNT(DISTINCT {s.cat}) FROM {s.table}",
        [len({row[1] for row in s.rows})],
    )


def _max_where(rng: random.Random, s: Sheet) -> Draft:
    value = s.focus[1]
    return Draft(
        (f"what is the highest {s.num} where {s.cat} is {value}", f"find the largest {s.num} of {s.cat} {value}"),
        f"SELECT MAX({s.num}) FROM {s.table} WHERE {s.cat} = '{value}'",
        [max(row[2] for row in s.rows if row[1] == value)],
        slips=slips(
            f"SELECT MAX({s.num}) FROM {s.table}",
            f"SELECT MAX({s.alt}) FROM {s.table} WHERE {s.cat} = '{value}'",
            weights=(0.6, 0.4),
        ),
    )


def _sum_where(rng: random.Random, s: Sheet) -> Draft:
    value = s.focus[1]
    return Draft(
        (f"what is the total {s.num} where {s.cat} is {value}", f"add up the {s.num} of {s.cat} {value}"),
        f"SELECT SUM({s.num}) FROM {s.table} WHERE {s.cat} = '{value}'",
        [sum(row[2] for row in s.rows if row[1] == value)],
        slips=slips(
            f"SELECT SUM({s.num}) FROM {s.table}",
            f"SELECT MAX({s.num}) FROM {s.table} WHERE {s.cat} = '{value}'",
            weights=(0.6, 0.4),
        ),
    )


def _update(rng: random.Random, s: Sheet) -> Draft:
    name, number = s.focus[0], s.spare[2]
    return Draft(
        (f"change {s.num} to {number} where {s.key} is {name}", f"set the {s.num} of {s.key} {name} to {number}"),
        f"UPDATE {s.table} SET {s.num} = {number} WHERE {s.key} = '{name}'",
        rows=[(row[0], row[1], number, row[3]) if row[0] == name else row for row in s.rows],
        slips=slips(
            f"UPDATE {s.table} SET {s.alt} = {number} WHERE {s.key} = '{name}'",
            f"UPDATE {s.table} SET {s.num} = {number}",
        ),
    )


def _delete(rng: random.Random, s: Sheet) -> Draft:
    name = s.focus[0]
    return Draft(
        (f"delete the {s.table} where {s.key} is {name}", f"remove {s.key} {name} from {s.table}"),
        f"DELETE FROM {s.table} WHERE {s.key} = '{name}'",
        rows=[row for row in s.rows if row[0] != name],
    )


def _insert(rng: random.Random, s: Sheet) -> Draft:
    """The new numbers have one digit, so that the row can be copied by a model that reads numbers digit by digit."""
    row = (*s.spare[:2], rng.randint(1, 9), rng.randint(1, 9))
    (new,) = s.arrange([row])
    listed = ", ".join(map(str, new))
    return Draft(
        (f"add the row {listed} to {s.table}", f"insert {listed} into {s.table}"),
        f"INSERT INTO {s.table} VALUES ({_literals(new)})",
        rows=[*s.rows, row],
        slips=slips(f"INSERT INTO {s.table} VALUES ({_literals(new[:-1])}, NULL)"),
    )


def _literals(row: Row) -> str:
    return ", ".join(f"'{cell}'" if isinstance(cell, str) else str(cell) for cell in row)


SINGLE: Mapping[str, Callable[[random.Random, Sheet], Draft]] = {
    "count_all": _count_all,
    "count_where": _count_where,
    "count_above": _count_above,
    "count_below": _count_below,
    "max": _max,
    "min": _min,
    "sum": _sum,
    "lookup": _lookup,
    "argmax": _argmax,
    "argmin": _argmin,
    "distinct": _distinct,
    "max_where": _max_where,
    "sum_where": _sum_where,
    "update": _update,
    "delete": _delete,
    "insert": _insert,
}
