"""Graders: AgentBench's two rules as tried there, our strict one, and the hash of a table."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cmat_env.envs.database.grade import (
    grade_fc,
    grade_strict,
    grade_v02,
    literal,
    same_rows,
    table_md5,
)

# What upstream's own code said: answer, label, fc, v0.2.
TRIED = [
    (["1,234"], ["1234"], True, False),
    (["23.3%"], ["23.3"], True, False),
    (["none"], ["0"], True, False),
    ([""], ["0"], True, False),
    ([], ["none"], False, False),
    (["3.001"], ["3.01"], True, False),
    (["a", "a"], ["a"], True, True),
    (["b", "a"], ["a", "b"], True, True),
    (["abc"], ["ABC"], False, False),
    (["10,20"], ["1020"], True, False),
    (["1e3"], ["1000"], True, True),
    (["$5"], ["5"], False, False),
]

BOMBS = ["-" * 19_999 + "1", "(" * 19_000, "1" + "+1" * 9_000, "a" + ".a" * 9_000, "0x" + "f" * 19_000, "[" * 1_000_000]


@pytest.mark.parametrize(("answer", "label", "fc", "v02"), TRIED)
def test_the_pairs_tried_upstream_grade_alike(answer: list[str], label: list[str], fc: bool, v02: bool) -> None:
    """What AgentBench's graders said of an answer, ours say, of a list and of the list's text."""
    assert [fc, v02] == [grade_fc(answer, label), grade_v02(answer, label)]
    assert [fc, v02] == [grade_fc(str(answer), label), grade_v02(str(answer), label)]


@pytest.mark.parametrize(
    ("answer", "label", "right"),
    [
        ("['a', 'b']", ["b", "a"], True),
        ("plain", ["plain"], True),
        (' "quoted" ', ["quoted"], True),
        (None, ["0"], True),
        (5, ["5"], True),
        ("[('a',), ('b',)]", ["a", "b"], True),
        (["1.004", "2"], ["2.0", "1"], True),
        (["1", "1"], ["1", "2"], False),
        (["[1,2]"], ["[1,2]"], True),
        (["NaN"], ["none"], True),
        (["1", "2", "3"], ["1", "2"], False),
        ({"a": 1}, ["a"], False),
    ],
)
def test_fc_cleans_both_sides(answer: object, label: list[str], right: bool) -> None:
    """Main's rule: brackets are read, units of one unwrapped, emptiness is 0, numbers within 0.01 one to one."""
    assert right == grade_fc(answer, label)


@pytest.mark.parametrize(
    ("answer", "label", "right"),
    [
        (' ["x"]', ["x"], True),
        (" 5", ["5.0"], True),
        ("abc", ["abc"], True),
        ('["a", "b"]', ["b", "a"], True),
        ("[1, 2]", ["1", "2"], False),
        ("[[1], 2]", ["1", "2"], False),
        ("{'a': 1}", ["a"], True),
    ],
)
def test_v02_reads_the_text_after_final_answer(answer: object, label: list[str], right: bool) -> None:
    """v0.2: one number exactly, one text exactly, several as sets of what the list literally holds."""
    assert right == grade_v02(answer, label)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (["b", "a"], True),
        ('["a", " b "]', True),
        (["a", "a", "b"], False),
        ("a", False),
        ('("a", "b")', False),
        (["a"], False),
        (None, False),
    ],
)
def test_strict_wants_exactly_the_labels_values(answer: object, right: bool) -> None:
    """Our rule: a list with each value as often as in the label."""
    assert right == grade_strict(answer, ["a", "b"])


def test_no_grader_runs_code(tmp_path: Path) -> None:
    """An answer that is a program is text, where upstream's eval would run it."""
    program = f"[open({str(tmp_path / 'written')!r}, 'w').write('x')]"

    assert [False, False, False] == [grade(program, ["1"]) for grade in (grade_fc, grade_v02, grade_strict)]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("bomb", BOMBS, ids=["signs", "brackets", "sum", "dots", "long integer", "megabyte"])
def test_a_bomb_is_a_wrong_answer(bomb: str) -> None:
    """No answer exhausts stack, memory or time, and none raises."""
    begin = time.process_time()

    assert [False] * 3 == [grade(bomb, ["1"]) for grade in (grade_fc, grade_v02, grade_strict)]
    assert time.process_time() - begin < 2


def test_literal_says_what_is_no_value() -> None:
    """Anything that is not a value, or is too large, is a ValueError."""
    assert ["a", 1] == literal(" ['a', 1]")
    for text in ("__import__('os')", "1 +", "\0", "'\\ud800", "'" + "x" * 20_000 + "'", "[" * 60 + "]" * 60):
        with pytest.raises(ValueError):
            literal(text)


def test_the_hash_of_a_table_follows_agentbench() -> None:
    """Row order is free, duplicates count, NULL is skipped, cells are text: the rule's own words, and its holes."""
    rows = [("a", "1"), ("b", None)]

    assert "ad86a49787fa7d873f4c976f7d8ed2a6" == table_md5(rows)
    assert table_md5(rows) == table_md5(rows[::-1])
    assert table_md5(rows) != table_md5([*rows, rows[0]])
    assert table_md5([("a", 1), ("b",)]) == table_md5(rows)
    assert table_md5([("a,b", "c")]) == table_md5([("a", "b,c")])
    assert None is table_md5([])


def test_same_rows_sees_what_the_hash_does_not() -> None:
    """Rows are equal as a multiset of texts, and NULL equals only NULL."""
    assert same_rows([("a", 1), ("b", 2)], [("b", "2"), ("a", "1")])
    assert not same_rows([("a", 1), ("a", 1)], [("a", 1)])
    assert not same_rows([("a,b", "c")], [("a", "b,c")])
    assert not same_rows([(None,)], [("None",)])
