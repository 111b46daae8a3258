"""Level 2: sixteen families over two tables: joins, grouping, nesting, top-k.

Every ending is worked out in plain Python, not by the reference SQL; the data are drawn so that none of the systematic
errors ends right by accident.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cmat_env.envs.database.generate.draft import Draft, slips
from cmat_env.envs.database.generate.pair import Pair, any_sizes
from cmat_env.envs.database.generate.shape import (
    close_race,
    fullest_place,
    most_elsewhere,
    most_hidden,
    named_place,
    no_majority,
    three_groups,
    top_elsewhere,
    total_hidden,
)


def _join(p: Pair) -> str:
    n = p.names
    return f"{n.left} JOIN {n.right} ON {n.left}.{n.link} = {n.right}.{n.link}"


def _nums_at(p: Pair, place: str) -> list[int]:
    place_of = p.place_of
    return [num for _, link, num in p.rows if place_of[link] == place]


def _join_lookup(rng: random.Random, p: Pair) -> Draft:
    n, name = p.names, p.focus[0]
    return Draft(
        (f"what is the {n.size} of the {n.link} of {n.key} {name}", f"find the {n.size} where {n.key} is {name}"),
        f"SELECT {n.size} FROM {_join(p)} WHERE {n.key} = '{name}'",
        [p.size_of[p.focus[1]]],
        slips=slips(f"SELECT {n.link} FROM {n.left} WHERE {n.key} = '{name}'"),
    )


def _join_count(rng: random.Random, p: Pair) -> Draft:
    n, place = p.names, named_place(p)
    return Draft(
        (
            f"how many {n.left} have a {n.link} with {n.place} {place}",
            f"count the {n.left} whose {n.link} has {n.place} {place}",
        ),
        f"SELECT COUNT(*) FROM {_join(p)} WHERE {n.place} = '{place}'",
        [len(_nums_at(p, place))],
        slips=slips(f"SELECT COUNT(*) FROM {_join(p)}"),
    )


def _join_sum(rng: random.Random, p: Pair) -> Draft:
    n, place = p.names, named_place(p)
    return Draft(
        (
            f"what is the total {n.num} of {n.left} whose {n.link} has {n.place} {place}",
            f"add up the {n.num} where {n.place} is {place}",
        ),
        f"SELECT SUM({n.num}) FROM {_join(p)} WHERE {n.place} = '{place}'",
        [sum(_nums_at(p, place))],
        slips=slips(
            f"SELECT SUM({n.num}) FROM {_join(p)}",
            f"SELECT COUNT({n.num}) FROM {_join(p)} WHERE {n.place} = '{place}'",
        ),
    )


def _join_max(rng: random.Random, p: Pair) -> Draft:
    n, place = p.names, named_place(p)
    return Draft(
        (
            f"what is the highest {n.num} of {n.left} whose {n.link} has {n.place} {place}",
            f"find the largest {n.num} where {n.place} is {place}",
        ),
        f"SELECT MAX({n.num}) FROM {_join(p)} WHERE {n.place} = '{place}'",
        [max(_nums_at(p, place))],
        slips=slips(
            f"SELECT MAX({n.num}) FROM {_join(p)}",
            f"SELECT MIN({n.num}) FROM {_join(p)} WHERE {n.place} = '{place}'",
            f"SELECT MAX({n.size}) FROM {_join(p)} WHERE {n.place} = '{place}'",
        ),
    )


def _join_most(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    grouped = f"SELECT {n.place} FROM {_join(p)} GROUP BY {n.place} ORDER BY COUNT(*)"
    return Draft(
        (f"which {n.place} has the most {n.left}", f"find the {n.place} with the largest number of {n.left}"),
        f"{grouped} DESC LIMIT 1",
        [fullest_place(p)],
        slips=slips(f"{grouped} ASC LIMIT 1"),
    )


def _group_most(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    grouped = f"SELECT {n.link} FROM {n.left} GROUP BY {n.link} ORDER BY COUNT(*)"
    return Draft(
        (f"which {n.link} has the most {n.left}", f"find the {n.link} with the largest number of {n.left}"),
        f"{grouped} DESC LIMIT 1",
        [p.counts.most_common(1)[0][0]],
        slips=slips(f"{grouped} ASC LIMIT 1"),
    )


def _group_total(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    grouped = f"SELECT {n.link} FROM {n.left} GROUP BY {n.link} ORDER BY SUM({n.num})"
    return Draft(
        (f"which {n.link} has the highest total {n.num}", f"find the {n.link} with the largest sum of {n.num}"),
        f"{grouped} DESC LIMIT 1",
        [p.totals.most_common(1)[0][0]],
        slips=slips(f"{grouped} ASC LIMIT 1"),
    )


def _having_count(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    ranked = sorted(p.counts.values())
    last = len(ranked) - 1
    limit = ranked[rng.choice([rank for rank in range(last) if rank != last - rank])]
    grouped = f"SELECT {n.link} FROM {n.left} GROUP BY {n.link} HAVING COUNT(*)"
    return Draft(
        (
            f"how many {n.link} have more than {limit} {n.left}",
            f"count the {n.link} with over {limit} {n.left}",
        ),
        f"SELECT COUNT(*) FROM ({grouped} > {limit}) AS g",
        [sum(count > limit for count in ranked)],
        slips=slips(f"SELECT COUNT(*) FROM ({grouped} < {limit}) AS g"),
    )


def _having_total(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    limit = rng.choice(sorted(p.totals.values())[:-1])
    grouped = f"SELECT {n.link} FROM {n.left} GROUP BY {n.link} HAVING SUM({n.num})"
    return Draft(
        (f"which {n.link} have a total {n.num} above {limit}", f"list the {n.link} with a sum of {n.num} over {limit}"),
        f"{grouped} > {limit}",
        [link for link, total in p.totals.items() if total > limit],
        slips=slips(f"{grouped} < {limit}"),
    )


def _above_average(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    total = sum(num for _, _, num in p.rows)
    count = f"SELECT COUNT(*) FROM {n.left} WHERE {n.num}"
    return Draft(
        (f"how many {n.left} have {n.num} above the average", f"count the {n.left} over the mean {n.num}"),
        f"{count} > (SELECT AVG({n.num}) FROM {n.left})",
        [sum(num * len(p.rows) > total for _, _, num in p.rows)],
        slips=slips(f"{count} < (SELECT AVG({n.num}) FROM {n.left})"),
    )


def _size_limit(rng: random.Random, p: Pair) -> int:
    """A size with some but not all rows of the left table above it, and another number of them below."""
    sizes = [p.size_of[link] for _, link, _ in p.rows]
    limits = []
    for limit in sorted(set(sizes)):
        above, below = sum(size > limit for size in sizes), sum(size < limit for size in sizes)
        if 0 < above < len(sizes) and above != below:
            limits.append(limit)
    return rng.choice(limits)


def _nested_count(rng: random.Random, p: Pair) -> Draft:
    n, limit = p.names, _size_limit(rng, p)
    count = f"SELECT COUNT(*) FROM {n.left} WHERE {n.link} IN (SELECT {n.link} FROM {n.right} WHERE {n.size}"
    return Draft(
        (
            f"how many {n.left} have a {n.link} with {n.size} above {limit}",
            f"count the {n.left} whose {n.link} has {n.size} over {limit}",
        ),
        f"{count} > {limit})",
        [sum(p.size_of[link] > limit for _, link, _ in p.rows)],
        slips=slips(f"{count} < {limit})"),
    )


def _unmatched(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    (link,) = set(p.place_of) - set(p.counts)
    query, inner = f"SELECT {n.link} FROM {n.right} WHERE {n.link}", f"(SELECT {n.link} FROM {n.left})"
    return Draft(
        (f"which {n.link} of {n.right} has no {n.left}", f"find the {n.link} of {n.right} without any {n.left}"),
        f"{query} NOT IN {inner}",
        [link],
        slips=slips(f"{query} IN {inner}"),
    )


def _top(rng: random.Random, p: Pair) -> Draft:
    n, k = p.names, rng.choice((2, 3))
    ranked = sorted(p.rows, key=lambda row: -row[2])
    query = f"SELECT {n.key} FROM {n.left} ORDER BY {n.num}"
    return Draft(
        (f"which {k} {n.key} have the highest {n.num}", f"list the top {k} {n.key} by {n.num}"),
        f"{query} DESC LIMIT {k}",
        [row[0] for row in ranked[:k]],
        slips=slips(f"{query} ASC LIMIT {k}"),
    )


def _second(rng: random.Random, p: Pair) -> Draft:
    n = p.names
    query = f"SELECT {n.key} FROM {n.left} ORDER BY {n.num}"
    return Draft(
        (f"which {n.key} has the second highest {n.num}", f"find the {n.key} with the second largest {n.num}"),
        f"{query} DESC LIMIT 1 OFFSET 1",
        [sorted(p.rows, key=lambda row: -row[2])[1][0]],
        slips=slips(f"{query} DESC LIMIT 1", f"{query} ASC LIMIT 1 OFFSET 1"),
    )


def _update_nested(rng: random.Random, p: Pair) -> Draft:
    n, place = p.names, named_place(p)
    change = f"UPDATE {n.left} SET {n.num} = {p.spare}"
    return Draft(
        (
            f"change {n.num} to {p.spare} for all {n.left} whose {n.link} has {n.place} {place}",
            f"set the {n.num} of {n.left} to {p.spare} where {n.place} is {place}",
        ),
        f"{change} WHERE {n.link} IN (SELECT {n.link} FROM {n.right} WHERE {n.place} = '{place}')",
        rows=[(key, link, p.spare if p.place_of[link] == place else num) for key, link, num in p.rows],
        slips=slips(change),
    )


def _delete_nested(rng: random.Random, p: Pair) -> Draft:
    n, limit = p.names, _size_limit(rng, p)
    delete = f"DELETE FROM {n.left} WHERE {n.link} IN (SELECT {n.link} FROM {n.right} WHERE {n.size}"
    return Draft(
        (
            f"delete the {n.left} whose {n.link} has {n.size} above {limit}",
            f"remove all {n.left} of a {n.link} with {n.size} over {limit}",
        ),
        f"{delete} > {limit})",
        rows=[row for row in p.rows if p.size_of[row[1]] <= limit],
        slips=slips(f"{delete} < {limit})"),
    )


@dataclass(frozen=True, slots=True)
class Family:
    """How a question is made.

    Attributes:
        draft: makes it from the data.
        shape: which sizes the groups of rows may have.
        fits: what else the data must be for it.
    """

    draft: Callable[[random.Random, Pair], Draft]
    shape: Callable[[Sequence[int]], bool] = any_sizes
    fits: Callable[[Pair], bool] = lambda pair: True


JOINED: Mapping[str, Family] = {
    "join_lookup": Family(_join_lookup),
    "join_count": Family(_join_count),
    "join_sum": Family(_join_sum),
    "join_max": Family(_join_max, fits=top_elsewhere),
    "join_most": Family(_join_most, no_majority, most_elsewhere),
    "group_most": Family(_group_most, three_groups, most_hidden),
    "group_total": Family(_group_total, close_race, total_hidden),
    "having_count": Family(_having_count),
    "having_total": Family(_having_total),
    "above_average": Family(_above_average),
    "nested_count": Family(_nested_count),
    "unmatched": Family(_unmatched),
    "top": Family(_top),
    "second": Family(_second),
    "update_nested": Family(_update_nested),
    "delete_nested": Family(_delete_nested),
}
