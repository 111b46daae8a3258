"""What the data of some families must be, so that a wrong column or a missing clause does not end right by accident."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cmat_env.envs.database.generate.pair import Pair


def named_place(p: Pair) -> str:
    """The place that a question names: the one of the focus, whose link has at least two rows."""
    return p.place_of[p.focus[1]]


def top_elsewhere(p: Pair) -> bool:
    """Does the largest number stand at another place than the question names?"""
    return p.place_of[max(p.rows, key=lambda row: row[2])[1]] != named_place(p)


def most_elsewhere(p: Pair) -> bool:
    """Does the place with the most rows differ from that of the link with the most rows?"""
    (link, _), *_ = p.counts.most_common(1)
    return fullest_place(p) != p.place_of[link]


def fullest_place(p: Pair) -> str:
    """The place with the most rows."""
    place_of = p.place_of
    (place, _), *_ = Counter(place_of[link] for _, link, _ in p.rows).most_common(1)
    return place


def most_hidden(p: Pair) -> bool:
    """Is the link with the most rows neither first nor last by name, nor that of the first row or of the top number?"""
    (link, _), *_ = p.counts.most_common(1)
    names = sorted(p.counts)
    return link not in (names[0], names[-1], p.rows[0][1], max(p.rows, key=lambda row: row[2])[1])


def total_hidden(p: Pair) -> bool:
    """Has the link with the largest total neither the most rows nor the largest number?"""
    (link, _), *_ = p.totals.most_common(1)
    return link not in (p.counts.most_common(1)[0][0], max(p.rows, key=lambda row: row[2])[1])


def three_groups(sizes: Sequence[int]) -> bool:
    """At least three groups."""
    return len(sizes) > 2


def no_majority(sizes: Sequence[int]) -> bool:
    """No group has half of the rows."""
    return 2 * max(sizes) < sum(sizes)


def close_race(sizes: Sequence[int]) -> bool:
    """At least three groups, the two largest of nearly the same size."""
    return len(sizes) > 2 and sorted(sizes)[-2] + 1 == max(sizes)
