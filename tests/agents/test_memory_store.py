"""Long-term memory: what is found, what fades, who sees it, and that no crash or crowd harms it."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cmat_env.agents.memory_rules import MemorySettings, compressed, query_of, retention, worth
from cmat_env.agents.memory_store import Embed, LongTermMemory, MemoryEntry, NewMemory
from cmat_env.errors import ConfigError, LogError

DB = "cmat/DB-v0"


def note(
    text: str, *, role: str = "assistant", family: str = DB, cue: str = "", uses: int = 0, helped: int = 0
) -> NewMemory:
    """A reflection."""
    return NewMemory(role, family, text, cue=cue, outcome="wrong", task="t-1", uses=uses, helped=helped)


def texts(entries: Sequence[MemoryEntry]) -> list[str]:
    """What they say."""
    return [entry.text for entry in entries]


# -- rules -------------------------------------------------------------------------------------------------------


def test_the_forgetting_curve_by_hand() -> None:
    """Whole at once, 1/e after one strength, and a clock that went back forgets nothing."""
    assert [1.0, math.exp(-1), math.exp(-2), 1.0] == [retention(age, 50.0) for age in (0.0, 50.0, 100.0, -3.0)]


def test_worth_begins_at_a_half() -> None:
    """Nothing known, then three helped of four, then none of three."""
    assert [1 / 2, 4 / 6, 1 / 5] == [worth(0, 0), worth(3, 4), worth(0, 3)]


def test_compression_keeps_the_first_sentence() -> None:
    """And cuts it where it is too long."""
    assert "Quote names." == compressed("Quote names. The table\nhas spaces.", 50)
    assert "3.5 is a price." == compressed("3.5 is a price. Not a year.", 50)
    assert "abcd…" == compressed("abcdefgh", 5)


@pytest.mark.parametrize(
    "text", ['"', "a AND", "NEAR(", "col:x *", "-", "", "'; DROP TABLE memory; --", "\x00", "naïve 数"]
)
def test_no_text_is_query_syntax(text: str) -> None:
    """Whatever a task says can be looked for."""
    with LongTermMemory(":memory:") as memory:
        memory.add([note("drop the table, col x near a")])

        assert 1 == len(memory.recall("assistant", DB, text))
    assert all(part.startswith('"') for part in query_of(text).split(" OR ") if part)


# -- recall ------------------------------------------------------------------------------------------------------


def test_the_likest_comes_first() -> None:
    """By its own words or by its cue, whatever their form; the rest follows by recency."""
    with LongTermMemory(":memory:") as memory:
        memory.add([note("Quote names."), note("Count rows.", cue="how many songs are listed?"), note("Use years.")])

        found = memory.recall("assistant", DB, "list the song")

    assert ["Count rows.", "Use years.", "Quote names."] == texts(found)


def test_what_helped_comes_before_what_did_not() -> None:
    """Of two memories that are alike and of one age, the one that was followed by success."""
    with LongTermMemory(":memory:", MemorySettings(growth=0.0)) as memory:
        good, bad = memory.add([note("one song"), note("two song")])
        memory.reinforce([good], helped=True)
        memory.reinforce([bad], helped=False)

        assert ["one song", "two song"] == texts(memory.recall("assistant", DB, "song"))


def test_the_fresher_comes_first_where_all_else_is_alike() -> None:
    """A memory that was recalled is as fresh as a new one."""
    with LongTermMemory(":memory:", MemorySettings(worth=0.0)) as memory:
        old, _ = memory.add([note("one song"), note("two song")])
        memory.tick(10)
        memory.reinforce([old], helped=False)

        assert ["one song", "two song"] == texts(memory.recall("assistant", DB, "song"))


def test_memories_are_of_a_role_and_a_family() -> None:
    """Another role's, or of other tasks, do not come to mind."""
    with LongTermMemory(":memory:") as memory:
        memory.add([note("mine"), note("hers", role="checker"), note("elsewhere", family="cmat/KG-v0")])

        assert ["mine"] == texts(memory.recall("assistant", DB, "hers elsewhere"))
        assert ["hers"] == texts(memory.recall("checker", DB, "mine"))
        assert [] == memory.recall("assistant", DB, "mine", most=0)


def test_another_namespace_is_never_recalled(tmp_path: Path) -> None:
    """Nor counted, nor grown old, nor forgotten from here; `entries` shows it to whoever looks after the file."""
    with LongTermMemory(tmp_path / "m", namespace="a") as one, LongTermMemory(tmp_path / "m", namespace="b") as other:
        one.add([note("secret song")])
        other.tick(10**6)
        other.consolidate()

        assert [] == other.recall("assistant", DB, "secret song")
        assert (1, 0, 0.0) == (len(one), len(other), one.now)
        assert ["secret song"] == texts(other.entries()) == texts(other.entries(namespace="a"))


def test_vectors_take_the_place_of_words() -> None:
    """With an embedding, likeness is its cosine: here of the first letter."""

    def embed(given: Sequence[str]) -> list[list[float]]:
        return [[float(text.startswith("a")), float(not text.startswith("a"))] for text in given]

    with LongTermMemory(":memory:", embed=embed) as memory:
        memory.add([note("apple"), note("banana")])

        assert ["apple", "banana"] == texts(memory.recall("assistant", DB, "another banana"))
        state = memory.state_dict()
        memory.load_state_dict(state)
        assert state == memory.state_dict()
        assert [1.0, 0.0] == state["entries"][0][-1]


LETTERS: list[str] = []


def letters(given: Sequence[str]) -> list[list[float]]:
    """An embedding: of the first letter, a or not. It keeps what it was asked for in LETTERS."""
    LETTERS.extend(given)
    return [[float(text.startswith("a")), float(not text.startswith("a"))] for text in given]


@pytest.mark.parametrize("read_only", [False, True])
def test_what_was_written_without_vectors_is_embedded(tmp_path: Path, *, read_only: bool) -> None:
    """Or with those of another embedding; once, and for good where the file may be written."""
    with LongTermMemory(tmp_path / "m") as memory:
        memory.add([note("apple"), note("banana"), note("cherry", role="checker")])
    with LongTermMemory(tmp_path / "m", embed=lambda given: [[1.0, 0.0, 0.0]] * len(given)) as memory:
        memory.add([note("avocado")])
    LETTERS.clear()
    for _ in range(2):
        with LongTermMemory(tmp_path / "m", MemorySettings(recency=0.0), embed=letters, read_only=read_only) as memory:
            found = [texts(memory.recall("assistant", DB, "another")) for _ in range(3)]
            assert [["avocado", "apple", "banana"]] * 3 == found

    asked = [text for text in LETTERS if text != "another"]
    assert ["apple", "banana", "avocado"] * (2 if read_only else 1) == asked


def test_a_shortened_memory_has_a_new_vector() -> None:
    """It is found by what it says now."""
    rule = MemorySettings(strength=10.0, forget_below=0.01)
    with LongTermMemory(":memory:", rule, embed=lambda given: [[float("fish" in e), 1.0] for e in given]) as memory:
        memory.add([note("Use MIN. It is for fish.")])
        before = memory.state_dict()["entries"][0][-1]
        memory.tick(20)
        memory.consolidate()

        assert [0.0, 1.0] == memory.state_dict()["entries"][0][-1] != before


def test_no_kind_crowds_out_the_other() -> None:
    """Of three, two at most are experiences while there is a reflection; of experiences alone there may be three."""
    with LongTermMemory(":memory:") as memory:
        memory.add([note("Count every song.")])
        for number in range(5):
            memory.add([replace(note(f"Solved: song song {number}"), kind="experience")])
        found = [entry.kind for entry in memory.recall("assistant", DB, "song", most=3)]
        memory.forget([1])

        assert ["experience", "experience", "reflection"] == found
        assert 3 == len(memory.recall("assistant", DB, "song", most=3))


# -- forgetting --------------------------------------------------------------------------------------------------


def test_two_thresholds() -> None:
    """Above the first a memory stays as it is, below it is shortened and holds longer, below the second it goes."""
    rule = MemorySettings(strength=10.0, compress_below=0.5, forget_below=0.2, compressed_growth=1.0)
    with LongTermMemory(":memory:", rule) as memory:
        memory.add([note("Quote names. They hold spaces.")])
        seen = []
        for _ in range(4):
            memory.tick(6)
            memory.consolidate()
            seen.append([(entry.text, entry.strength, entry.compressed) for entry in memory.entries()])

    whole, short = ("Quote names. They hold spaces.", 10.0, False), ("Quote names.", 20.0, True)
    assert [[whole], [short], [short], [short]] == seen  # R = .55, .30, then with twice the strength .41, .30


def test_what_is_never_recalled_is_forgotten() -> None:
    """And what is recalled and helps grows old ever more slowly."""
    rule = MemorySettings(strength=10.0, growth=1.0, forget_below=0.1, compressed_growth=0.0)
    with LongTermMemory(":memory:", rule) as memory:
        useful, _ = memory.add([note("useful"), note("useless")])
        memory.tick(5)
        memory.reinforce([useful], helped=True)
        memory.tick(20)
        memory.consolidate()

        assert ["useful"] == texts(memory.entries())
        assert 20.0 == memory.entries()[0].strength


def test_shortened_twins_become_one() -> None:
    """Two memories that begin alike are one when they are old; its figures are those of both."""
    rule = MemorySettings(strength=10.0, forget_below=0.01, compressed_growth=0.0)
    with LongTermMemory(":memory:", rule) as memory:
        memory.add([note("Quote names. First.", uses=2, helped=1), note("Quote names. Second.", uses=1, helped=1)])
        memory.tick(20)
        memory.consolidate()

        assert [("Quote names.", 3, 2)] == [(entry.text, entry.uses, entry.helped) for entry in memory.entries()]


def test_the_size_is_bounded() -> None:
    """For each role and family; what is least retained goes first."""
    with LongTermMemory(":memory:", MemorySettings(capacity=3, recall=100)) as memory:
        for number in range(20):
            memory.add([note(f"song {number}"), note(f"verdict {number}", role="checker")])
            memory.tick()
            memory.consolidate()

        assert ["song 17", "song 18", "song 19"] == texts(memory.entries(role="assistant"))
        assert 6 == len(memory)


def test_the_bound_holds_at_every_write() -> None:
    """Nobody needs to consolidate: what is retained least makes room at once, and what helped stays."""
    with LongTermMemory(":memory:", MemorySettings(capacity=5, growth=1.0)) as memory:
        useful, _ = memory.add([note("useful"), note("verdict", role="checker")])
        memory.reinforce([useful], helped=True)
        sizes = []
        for number in range(200):
            memory.tick()
            memory.add([note(f"song {number}")])
            memory.reinforce([useful], helped=number % 4 == 0)
            sizes.append(len(memory.entries(role="assistant")))

        assert (5, 5) == (max(sizes), sizes[-1])
        assert ["useful", "song 196", "song 197", "song 198", "song 199"] == texts(memory.entries(role="assistant"))
        assert ["verdict"] == texts(memory.entries(role="checker"))


def test_saying_it_again_makes_it_stronger_where_it_helped() -> None:
    """The same words are kept once, as fresh as when they were last written, and grow only by success."""
    with LongTermMemory(":memory:", MemorySettings(strength=10.0, growth=0.5)) as memory:
        first = memory.add([note("Quote  names.")])
        memory.tick(3)
        again = [memory.add([note("Quote names.", uses=1)]) for _ in range(12)]
        useless = [(entry.strength, entry.used, entry.uses, entry.helped) for entry in memory.entries()]
        memory.add([note("Quote names.", uses=1, helped=1)])
        useful = [(entry.strength, entry.used, entry.uses, entry.helped) for entry in memory.entries()]

    assert [first] * 12 == again
    assert [(10.0, 3.0, 12, 0)] == useless
    assert [(15.0, 3.0, 13, 1)] == useful


@pytest.mark.parametrize("embed", [None, lambda given: [[float("fish" in each), 1.0] for each in given]])
def test_what_is_said_again_belongs_to_the_newer_task(embed: Embed | None) -> None:
    """Cue, task and outcome are of one task, and it is the new cue that brings the words back."""
    with LongTermMemory(":memory:", MemorySettings(recency=0.0, worth=0.0), embed=embed) as memory:
        memory.add([note("Use MIN.", cue="the oldest song"), note("Count rows.")])
        memory.add([replace(note("Use MIN.", cue="the lightest fish"), task="t-2", outcome="won")])

        assert ["Use MIN."] == texts(memory.recall("assistant", DB, "any fish", most=1))
        assert ["Count rows."] == texts(memory.recall("assistant", DB, "oldest song", most=1))
        assert [("the lightest fish", "t-2", "won")] == [(e.cue, e.task, e.outcome) for e in memory.entries()[:1]]


def test_any_clock_will_do() -> None:
    """Seconds, for instance: then `tick` has no say."""
    hour = [0.0]
    with LongTermMemory(":memory:", MemorySettings(strength=3600.0), clock=lambda: hour[0]) as memory:
        memory.add([note("now")])
        hour[0] = 3600.0
        memory.tick(5)

        assert 3600.0 == memory.now
        assert math.exp(-1) == memory.entries()[0].retention(memory.now)


def test_a_namespace_has_one_clock(tmp_path: Path) -> None:
    """Ages in seconds are no ages in episodes: whoever opens it with another clock is told; other namespaces may."""
    file = tmp_path / "m"
    with LongTermMemory(file, clock=lambda: 1e9) as memory:
        memory.add([note("by the hour")])
    with LongTermMemory(file, namespace="b") as memory:
        memory.add([note("by episodes")])
        assert (True, False, None) == tuple(memory.other_clock(name) for name in ("shared", "b", "c"))
    with LongTermMemory(file) as memory:
        with pytest.raises(ConfigError, match="'shared' is kept by a clock of its own; give the same clock="):
            memory.recall("assistant", DB, "hour")
        with pytest.raises(ConfigError, match="give the same clock="):
            memory.add([note("more")])
        assert 1 == memory.forget([1])
    with LongTermMemory(file, namespace="b", clock=lambda: 1e9) as memory:
        with pytest.raises(ConfigError, match="'b' is kept by episodes; give no clock="):
            memory.add([note("more")])
        assert ["by episodes"] == texts(memory.entries())


def test_a_file_of_the_first_schema_goes_on(tmp_path: Path) -> None:
    """Read only as it is, and brought up to date by the first who may write."""
    file = tmp_path / "m"
    with LongTermMemory(file) as memory:
        memory.add([note("song")])
        memory.tick(7)
    connection = sqlite3.connect(file)
    connection.executescript("ALTER TABLE clock DROP COLUMN other; PRAGMA user_version=1")
    connection.close()

    for read_only in (True, False, True):
        with LongTermMemory(file, read_only=read_only) as memory:
            assert (7.0, None) == (memory.now, memory.other_clock("shared"))
            assert ["song"] == texts(memory.recall("assistant", DB, "song"))
    with LongTermMemory(file) as memory:
        memory.tick()
        assert (8.0, False) == (memory.now, memory.other_clock("shared"))


def test_a_copy_is_a_file_of_its_own(tmp_path: Path) -> None:
    """With all namespaces, and with what is still in the log of the original."""
    with LongTermMemory(tmp_path / "m") as memory, LongTermMemory(tmp_path / "m", namespace="b") as other:
        memory.add([note("one")])
        other.add([note("two")])
        memory.copy_to(tmp_path / "copy")
        memory.add([note("three")])

        with LongTermMemory(tmp_path / "copy") as copy:
            assert ["one", "two"] == texts(copy.entries())


# -- state -------------------------------------------------------------------------------------------------------


def test_a_state_is_put_back_exactly(tmp_path: Path) -> None:
    """What came after is gone, ids go on as they would have, and other namespaces do not notice."""
    with LongTermMemory(tmp_path / "m") as memory, LongTermMemory(tmp_path / "m", namespace="b") as other:
        memory.add([note("one song"), note("two songs")])
        memory.tick(3)
        state = memory.state_dict()
        first = memory.add([note("three")])
        memory.forget([1])
        memory.load_state_dict(state)

        assert state == memory.state_dict()
        assert first == memory.add([note("three")])
        assert ["one song"] == texts(memory.recall("assistant", DB, "one", most=1))
        other.add([note("else")])
        memory.load_state_dict(state)
        assert ["else"] == texts(other.entries(namespace="b"))


def test_a_transaction_is_whole_or_not_there(tmp_path: Path) -> None:
    """An error takes everything back that the block wrote."""
    with LongTermMemory(tmp_path / "m") as memory:
        with pytest.raises(ZeroDivisionError), memory.transaction():
            memory.tick()
            memory.add([note("lost")])
            raise ZeroDivisionError

        assert (0, 0.0) == (len(memory), memory.now)


def test_a_full_disk_is_a_clear_error_and_no_loss(tmp_path: Path) -> None:
    """What was there is whole, and goes on being written to when there is room."""
    with LongTermMemory(tmp_path / "m") as memory:
        memory.add([note("before")])
        connection = memory._table.connection
        connection.execute(f"PRAGMA max_page_count={connection.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(LogError, match="cannot be written: database or disk is full; what was there is whole"):
            memory.add(note(f"{number} " + "word " * 70) for number in range(1000))
        assert ["before"] == texts(memory.entries())
        connection.execute("PRAGMA max_page_count=100000")
        memory.add([note("after")])

        assert ["before", "after"] == texts(memory.entries())


# -- crowds and crashes ------------------------------------------------------------------------------------------

WRITER = """
import sys, time
from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.memory_store import LongTermMemory, NewMemory
memory, name = LongTermMemory(sys.argv[1], MemorySettings(capacity=10**6)), sys.argv[2]
for number in range(10**6):
    with memory.transaction():
        memory.add([NewMemory("assistant", "f", f"song {name} {number} half {half}") for half in (1, 2)])
        memory.tick()
    print(number, flush=True)
    time.sleep(0.001)  # whoever writes without a pause starves the others
"""


def test_killed_writers_leave_whole_writes(tmp_path: Path) -> None:
    """Three processes write pairs and are killed at some moment: what each said was written is there, and no half."""
    file = tmp_path / "m"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    said = []
    for writer in writers:
        assert writer.stdout is not None
        for _ in range(5):
            writer.stdout.readline()
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        said.append(writer.communicate()[0].count("\n") + 5)

    with LongTermMemory(file) as memory:
        kept = texts(memory.entries())
        pairs = {text.rpartition(" half")[0] for text in kept}
        assert 2 * len(pairs) == len(kept)
        assert memory.now == len(pairs) >= sum(said)
        assert {f"song {n} {i}" for n in range(3) for i in range(said[n] - 1)} <= pairs
        assert 4 == len(memory.recall("assistant", "f", "song"))
        connection = sqlite3.connect(file)
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")  # raises where it is amiss
        connection.close()


def _write(path: Path, name: str, count: int) -> None:
    with LongTermMemory(path) as memory:
        for number in range(count):
            memory.add([note(f"{name} {number}")])
            memory.tick()


def test_processes_and_threads_write_side_by_side(tmp_path: Path) -> None:
    """Nothing is lost: three processes that begin with no file, and four threads on one object."""
    file = tmp_path / "m"
    processes = [
        multiprocessing.get_context("spawn").Process(target=_write, args=(file, f"process {n}", 10)) for n in range(3)
    ]
    for process in processes:
        process.start()
    with LongTermMemory(file) as memory:

        def write(name: str) -> None:
            for number in range(10):
                memory.add([note(f"{name} {number}")])
                memory.tick()
                memory.recall("assistant", DB, "thread")

        threads = [threading.Thread(target=write, args=(f"thread {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for process in processes:
            process.join()

        assert [0, 0, 0] == [process.exitcode for process in processes]
        assert (70, 70.0) == (len(memory), memory.now)


def test_a_forked_process_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """The parent's must not be used there."""
    with LongTermMemory(tmp_path / "m") as memory:
        memory.add([note("before")])
        child = os.fork()
        if child == 0:
            try:
                memory.add([note("in the child")])
                os._exit(0)
            finally:
                os._exit(1)
        assert 0 == os.waitpid(child, 0)[1]
        memory.add([note("after")])

        assert ["before", "in the child", "after"] == texts(memory.entries())


# -- mistakes ----------------------------------------------------------------------------------------------------


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    """A text, another database, a folder, and a memory of a later version are refused."""
    text, database, later = tmp_path / "text", tmp_path / "database", tmp_path / "later"
    text.write_text("no database, and long enough to be taken for one by its size " * 20)
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    LongTermMemory(later).close()
    connection = sqlite3.connect(later)
    connection.execute("PRAGMA user_version=99")
    connection.close()

    for file, word in ((text, "cannot be opened"), (database, "no memory of cmat-env"), (later, "schema 99")):
        with pytest.raises(ConfigError, match=word):
            LongTermMemory(file)
    with pytest.raises(ConfigError, match="cannot be opened"):
        LongTermMemory(tmp_path / "missing", read_only=True)


def test_read_only_is_kept(tmp_path: Path) -> None:
    """What was written can be recalled, and nothing can be written."""
    with LongTermMemory(tmp_path / "m") as memory:
        memory.add([note("song")])
    with LongTermMemory(tmp_path / "m", read_only=True) as memory:
        assert ["song"] == texts(memory.recall("assistant", DB, "song"))
        with pytest.raises(ConfigError, match="read only"):
            memory.add([note("more")])


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"capacity": 0}, "capacity=0 must be above 0"),
        ({"relevance": math.nan}, "relevance=nan"),
        ({"forget_below": 0.6}, "forget_below=0.6 and compress_below=0.5"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float], word: str) -> None:
    """With the setting's name."""
    with pytest.raises(ConfigError, match=word):
        MemorySettings(**wrong)  # type: ignore[arg-type]
