"""The benchmarks work, in miniature; their figures are of a quiet machine and of nobody's test."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import needed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """`benchmarks` is a folder of the checkout, not of the installed package."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        ("turns", ["three roles on a task that does nothing", "`cmat/DB-v0` on SQLite, gold SQL, known tasks"]),
        ("db", ["resets of the bare database", "statements, in a mix that repeats"]),
        ("generation", ["ours, one thread", "naive `generate`, one thread", "one episode at a time, one thread"]),
        ("step", ["grpo", "ppo"]),
        ("share", ["update of two roles", "environment: three roles"]),
        ("gpu", ["ours", "`generate`, whole history", "`generate`, one reply, batched"]),
    ],
)
def test_a_part_measures_every_row(part: str, rows: list[str]) -> None:
    """Each row is there, with a figure above 0."""
    text = importlib.import_module(f"benchmarks.{part}").report(quick=True)

    lines = {row: [line for line in text.splitlines() if line.startswith(f"| {row}")] for row in rows}
    assert [] == [row for row, found in lines.items() if not found]
    assert [] == [line for found in lines.values() for line in found if line.split("|")[2].split()[0] in {"0", "0.00"}]


def test_figures_go_between_the_marks(tmp_path: Path) -> None:
    """The rest of the page stays; a page without marks is an error."""
    report = importlib.import_module("benchmarks.report")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench-x -->\nold\n<!-- /bench-x -->\nafter\n")

    report.write("x", "new", page)
    assert "before\n<!-- bench-x -->\nnew\n<!-- /bench-x -->\nafter\n" == page.read_text()
    with pytest.raises(ValueError, match="bench-y"):
        report.write("y", "new", page)


def test_a_worker_that_fails_is_told() -> None:
    """With what it said."""
    workers = importlib.import_module("benchmarks.workers")

    with pytest.raises(RuntimeError, match="KeyError: 'threads'"):
        workers.run("tests.benchmarks.failing", [{}])


def test_every_part_has_its_place_in_the_page() -> None:
    """docs/performance.md has the marks that `make bench` writes between."""
    parts = importlib.import_module("benchmarks.__main__").PARTS
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert [] == [
        part for part in parts if f"<!-- bench-{part} -->" not in page or f"<!-- /bench-{part} -->" not in page
    ]


def test_the_rate_of_a_job_is_a_median_of_what_it_did() -> None:
    """A job of three things counts three times."""
    report = importlib.import_module("benchmarks.report")
    single, triple = report.measure([lambda: 1, lambda: 3], seconds=0.02, rounds=3)

    assert 1.5 < triple.per_cpu_second / single.per_cpu_second < 6


def test_the_sb3_tables_have_every_player(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Learners, those that do not learn, and the router, each with a return."""
    needed("sb3_contrib", extra="sb3")
    monkeypatch.setattr(sys, "argv", ["sb3.py", "--steps", "256", "--episodes", "2", "--seeds", "1"])
    importlib.import_module("benchmarks.sb3").main()
    rows = [line.split(" |")[0] for line in capsys.readouterr().out.splitlines() if line.endswith(" s |")]

    learners = ["| random", "| first choice", "| PPO", "| MaskablePPO"]
    assert rows == [*learners, *learners, *learners[:-1], *learners, "| never call", "| always call", "| PPO"]


def test_the_ablation_is_measured_once_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In miniature: every way to play is there, with its tokens; what is on disk is not measured again."""
    names = ("cmat", "cmat_parts", "cmat_tables")
    cmat, parts, tables = (importlib.import_module(f"benchmarks.{name}") for name in names)
    small = ("model.layers=1", "model.width=32", "model.max_new_tokens=8", "episodes=8", "warm_start.sft.batch=4")
    monkeypatch.setattr(parts, "COMMON", (*parts.COMMON, *small))
    again = "+ trying again, a new sample"
    for name, rows in (("DB", ["warm start", again, "all together"]), (parts.HOUSES, list(parts.FEWER[parts.HOUSES]))):
        column = parts.Column(name, 0, tmp_path, scale=0.01, tasks="generated:dev")
        column.left = [row for row in column.left if row in rows]
        column.run_all()
        assert set(rows).isdisjoint(parts.Column(name, 0, tmp_path, scale=0.01, tasks="generated:dev").left)
    policy, _ = column._policy("")
    once, twice = (column._measure(parts.ROWS[row], policy, greedy=False) for row in ("warm start", again))
    assert once == twice[:1] and twice[0]["written"] < twice[1]["written"]

    curves = importlib.import_module("benchmarks.cmat_curves")
    curves.draw(tmp_path, cmat.ablation(tmp_path), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    text = cmat.tables(tmp_path)
    assert 2 * 2 == sum(line.startswith(("| warm start | 0", "| all together | 0")) for line in text.splitlines())
    assert 2 * 4 == sum("| no memory |" in line or "| memory |" in line for line in text.splitlines()) + 2
    for line in cmat.written(tmp_path, "parts/*/seed-*/rows.jsonl", tables.rank):
        assert [parts.STREAM] * 2 == [len(line[way]["solved"]) for way in parts.WAYS]
        assert all(line[way]["read"] > 0 and line[way]["written"] > 0 for way in parts.WAYS)


def test_a_stream_has_a_point_for_every_few_tasks() -> None:
    """Over all streams; curves of several seeds end with the shortest."""
    curves = importlib.import_module("benchmarks.cmat_curves")

    assert [0.5] + [0.0] * 6 + [0.2] == curves.along([[1] * 5 + [0] * 35, [0] * 38 + [1, 1]])
    assert [0.5, 1.0] == curves.mean_curve([[0.0, 1.0, 1.0], [1.0, 1.0]])


def test_a_checkers_accuracy_follows_from_what_is_reported() -> None:
    """Of 100 proposals 30 are bad; 24 of them and 7 good ones are refused: right of 87, where approving has 70."""
    checker = importlib.import_module("benchmarks.cmat_checker")

    assert pytest.approx((0.87, 0.70)) == checker.accuracy(24 / 31, 24 / 30, 7 / 70)
    assert all(math.isnan(share) for share in checker.accuracy(1.0, 0.5, 0.0))


def test_a_mean_over_seeds_has_students_interval() -> None:
    """Of three rates 0.4, 0.5, 0.6: 0.5 and 4.303 times the standard error; of one seed Wilson's."""
    tables = importlib.import_module("benchmarks.cmat_tables")

    assert "0.500 ± 0.248" == tables.mean([[1] * share + [0] * (10 - share) for share in (4, 5, 6)])
    assert "0.500 [0.237, 0.763]" == tables.mean([[1] * 5 + [0] * 5])
    assert tables.gain([[1, 1], [1, 1]], [[0, 0], [0, 0]]).startswith("+1.000 [+1.000")


def test_a_worker_does_not_report_the_memory_of_its_parent() -> None:
    """What a process held before it began another counts for itself alone."""
    held = bytearray(300 << 20)
    code = "from benchmarks.report import peak_megabytes; print(peak_megabytes())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert 5 < float(ran.stdout) < 200
    assert importlib.import_module("benchmarks.report").peak_megabytes() > len(held) >> 20


def test_a_peer_may_be_of_another_version_than_ours() -> None:
    """Our pins hold for what it needs, but not for the peer itself."""
    environment = importlib.import_module("benchmarks.peers.environment")
    step = importlib.import_module("benchmarks.step")
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for peer in step.TRL.values():
        left = environment.others(pinned, [peer, step.DATASETS])
        names = [line.partition("==")[0] for line in left.splitlines()]

        assert "trl" not in names
        assert {"torch", "transformers", "accelerate"} <= set(names)
