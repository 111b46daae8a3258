"""The suite: the paper's table with ours beside it, what is resumed, what is refused, and the paired comparison."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cmat_env.agentbench import AGENTBENCH_GPT35, COLUMNS, PAPER, PARTS, by_statement
from cmat_env.cli import main
from cmat_env.comparison import compare, read_runs
from cmat_env.errors import ConfigError, LogError
from cmat_env.log import read_episodes
from cmat_env.scores import EpisodeRow, wilson
from cmat_env.tables import Table, to_html, to_markdown
from cmat_env.types import Trajectory
from tests.conftest import needed

SUITE = ["eval", "--suite", "agentbench", "--roles", "assistant"]


def test_the_papers_rows_give_the_papers_means() -> None:
    """The bars of its overall figure are the plain means of the six columns; TinyAgent-7B's bar says 28.7, not 28.5."""
    means = {name: round(sum(scores) / len(COLUMNS), 1) for name, scores in PAPER}
    bars = {
        "gpt-3.5-turbo (0613)": 28.2, "qwen-1.8b (chat)": 11.9, "codellama-7b (instruct)": 5.3,
        "tinyagent-1.8b (chat)": 24.0, "tinyagent-7b (chat)": 28.5,
    }  # fmt: skip

    assert bars == {name: means[name] for name in bars}
    assert 32.6 == round(sum(AGENTBENCH_GPT35[1]) / len(COLUMNS), 1)
    assert {len(COLUMNS)} == {len(scores) for _, scores in PAPER}


def episode(kind: str, *, success: bool) -> Trajectory:
    """One that says no more than its type and how it ended."""
    return Trajectory("e", "t", kind, 0, (), {}, (), success, float(success), "", terminated=True, truncated=False)


def test_the_database_is_scored_by_kind_of_statement() -> None:
    """Three of four SELECTs of any type, no INSERT, one UPDATE: the mean of 3/4, 0 and 1."""
    kinds = ["counting", "ranking", "other", "aggregation-MAX"]
    episodes = [episode(kind, success=kind != "other") for kind in kinds]
    found = by_statement([*episodes, episode("INSERT", success=False), episode("UPDATE", success=True)])

    assert pytest.approx((0.75 + 0.0 + 1.0) / 3) == found.mean
    assert found.low < found.mean < found.high


def test_all_tasks_of_all_parts_stand_beside_the_paper(
    agentbench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gold plays the files: a row of ours in three forms, GPT-3.5 as the paper and as AgentBench has it, all notes."""
    needed("pyoxigraph", extra="kg")
    needed("starlette", extra="web")
    run = tmp_path / "run"
    status = main([
        *SUITE, "--assistant", "gold", "--record", str(run), "--episodes", "24",
        "--db", str(agentbench / "db/dev.jsonl"),
        "--kg", str(agentbench / "kg/dev.json"), "--graphs", str(agentbench / "kg/dev_graphs.nq.gz"),
        "--web", "generated:heldout",
    ])  # fmt: skip
    shown = capsys.readouterr().out
    report = json.loads((run / "report.json").read_text())
    markdown, page = (run / "report.md").read_text(), (run / "report.html").read_text()

    assert 0 == status
    assert ["db", "kg", "web"] == list(report["parts"])
    assert [24, 24, 24] == [part["report"]["episodes"] for part in report["parts"].values()]
    assert 1.0 == report["parts"]["db"]["score"]
    assert report["parts"]["db"]["score_ci95"][0] < 0.95
    assert "| gpt-3.5-turbo (0613) | 31.6 | 15.7 | 25.9 | 16.0 | 64.1 | 16.0 | 35.2 |" in markdown
    assert (
        "| gpt-3.5-turbo (0613), AgentBench's own table | 32.6 | 36.7 | 25.9 | 16.0 | 64.1 | 20.0 | 42.2 |" in markdown
    )
    for words in ("Ours on WS: generated tasks", "DB on 24 of db/dev.jsonl", "differs from the one that AgentBench"):
        assert words in " ".join(shown.split())
        assert words in page
        assert words in markdown
    assert "://" not in page
    Checked().feed(page)


class Checked(HTMLParser):
    """Every element that is opened is closed, and no script runs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """One opens."""
        assert tag != "script"
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """The latest closes."""
        assert tag == self.open.pop()


def test_policies_that_count_no_tokens_show_none(tmp_path: Path) -> None:
    """A dash, and not that a model read and wrote nothing."""
    flags = ["--db", "generated:heldout", "--episodes", "2", "--assistant", "gold", "--record", str(tmp_path)]
    assert 0 == main([*SUITE, *flags])

    assert "| DB | - | - | - |" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_suite_killed_in_the_middle_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL while it plays; the same command plays the rest and no more, and ends as one that was never stopped."""
    tasks = ["--db", "generated:heldout", "--episodes", "400", "--width", "4", "--assistant", "demonstrator"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert 0 == main([*SUITE, *tasks, "--record", str(whole)])
    process = subprocess.Popen(
        [sys.executable, "-m", "cmat_env.cli", *SUITE, *tasks, "--record", str(killed)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = killed / "db" / "episodes.jsonl"
    while process.poll() is None and (not log.exists() or log.stat().st_size < 100_000):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert -signal.SIGKILL == process.wait()
    there = len(list(read_episodes(killed / "db")))
    capsys.readouterr()
    assert 0 == main([*SUITE, *tasks, "--record", str(killed)])
    said = capsys.readouterr().err

    assert 0 < there < 400
    assert f"db: {there} of 400 are there already" in said
    seeds = [record.trajectory.seed for record in read_episodes(killed / "db")]
    assert list(range(400)) == sorted(seeds)
    rows = [json.loads((run / "report.json").read_text())["parts"]["db"]["report"] for run in (whole, killed)]
    assert rows[0]["per_episode"] == rows[1]["per_episode"]


def test_a_finished_suite_plays_nothing_again_and_takes_more_parts(tmp_path: Path) -> None:
    """The report is that of the log; workers give the same episodes; another part is added to the same folder."""
    run = str(tmp_path / "run")
    tasks = ["--db", "generated:heldout", "--episodes", "12", "--assistant", "random", "--record", run]
    assert 0 == main([*SUITE, *tasks, "--workers", "2"])
    before = (tmp_path / "run/db/episodes.jsonl").read_bytes()
    needed("pyoxigraph", extra="kg")
    assert 0 == main([*SUITE, *tasks, "--kg", "generated:heldout"])
    report = json.loads((tmp_path / "run/report.json").read_text())

    assert before == (tmp_path / "run/db/episodes.jsonl").read_bytes()
    assert [12, 12] == [part["report"]["episodes"] for part in report["parts"].values()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--suite", "agentbensh", "--db", "x"], "did you mean 'agentbench'"),
        (["--suite", "agentbench"], "which tasks?"),
        (["--suite", "agentbench", "--db", "generated:train"], "--record DIR"),
        (["cmat/DB-v0", "--suite", "agentbench", "--db", "generated:train"], "neither ENV nor --tasks"),
        (["cmat/DB-v0", "--db", "generated:train"], "use --tasks"),
        ([], "which ENV?"),
        (["--suite", "agentbench", "--db", "x", "--graphs", "g", "--record", "r"], "no --kg"),
        (["--suite", "agentbench", "--db", "x", "--set", "level=2", "--record", "r"], "AgentBench's rules"),
        (["cmat/DB-v0", "--base-url", "http://127.0.0.1/v1"], "openai:MODEL"),
    ],
)
def test_what_does_not_fit_is_a_users_mistake(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Status 2 and one line on what to do."""
    monkeypatch.chdir(tmp_path)
    status = main(["eval", "--assistant", "gold", *arguments])
    said = capsys.readouterr().err

    assert 2 == status
    assert words in said


def test_another_run_does_not_mix_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another policy, seed or source of tasks is refused, and named."""
    tasks = ["--episodes", "2", "--record", str(tmp_path)]
    assert 0 == main([*SUITE, "--assistant", "gold", "--db", "generated:heldout", *tasks])
    capsys.readouterr()
    for changed, words in (
        (["--assistant", "random", "--db", "generated:heldout"], "team differ"),
        (["--assistant", "gold", "--db", "generated:heldout", "--seed", "1"], "seed differ"),
        (["--assistant", "gold", "--db", "generated:train"], "db differ"),
    ):
        assert 2 == main([*SUITE, *changed, *tasks])
        assert words in capsys.readouterr().err


def row(task: str, *, success: bool) -> EpisodeRow:
    """An episode of a report."""
    return EpisodeRow(task, "k", success, float(success), 1, "o")


def test_runs_are_paired_by_task_not_by_order() -> None:
    """Shuffled episodes pair the same; repeated tasks pair first with first; what only one played is left out."""
    a = [row(name, success=name in "ab") for name in "abcda"]
    b = [row(name, success=name in "bcd") for name in "dcbae"]
    (found,) = compare({"e": a}, {"e": b, "f": b})

    assert (4, (1, 1), (2, 3)) == (found.tasks, found.unpaired, found.solved)
    assert (("a",), ("c", "d")) == (found.only_a, found.only_b)
    assert (1, 2, 1.0) == (found.test.only_a, found.test.only_b, found.test.p_value)
    assert 0.25 == found.success.mean
    assert [list(wilson(2, 4)), list(wilson(3, 4))] == found.to_json()["success_ci95"]
    with pytest.raises(ConfigError, match="no task in common"):
        compare({"e": a}, {"f": b})


def test_cmat_compare_reads_whatever_eval_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folder, log, report and suite of the same runs say the same."""
    common = ["cmat/DB-v0", "--roles", "assistant", "--episodes", "20", "--tasks", "generated:heldout"]
    for policy in ("gold", "demonstrator"):
        place = tmp_path / policy
        assert 0 == main(
            ["eval", *common, "--assistant", policy, "--record", str(place), "--json", str(place) + ".json"]
        )
        suite = [*SUITE, "--db", "generated:heldout", "--episodes", "20", "--assistant", policy]
        assert 0 == main([*suite, "--record", str(tmp_path / f"suite-{policy}")])
    capsys.readouterr()
    found = []
    for a, b in (
        ("demonstrator", "gold"), ("demonstrator/episodes.jsonl", "gold.json"), ("suite-demonstrator", "suite-gold"),
        ("suite-demonstrator/report.json", "suite-gold"),
    ):  # fmt: skip
        page = tmp_path / "pages" / "c.html"
        arguments = ["--json", "-", "--html", str(page), "--markdown", str(tmp_path / "c.md")]
        assert 0 == main(["compare", str(tmp_path / a), str(tmp_path / b), *arguments])
        (each,) = json.loads(capsys.readouterr().out)["comparisons"]
        found.append({name: value for name, value in each.items() if name != "name"})
        Checked().feed(page.read_text())

    assert [found[0]] * 4 == found
    assert 20 == found[0]["tasks"] == found[0]["solved"][1]
    assert 0 == found[0]["test"]["only_a"]
    assert found[0]["test"]["p_value"] == pytest.approx(min(1.0, 2.0 ** (1 - found[0]["test"]["only_b"])))
    assert 0 == main(["compare", str(tmp_path / "demonstrator"), str(tmp_path / "gold")])
    assert "McNemar exact" in capsys.readouterr().out
    assert 2 == main(["compare", str(tmp_path / "nothing"), str(tmp_path / "gold")])
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(LogError, match="no report"):
        read_runs(tmp_path / "bad.json")


def test_what_a_model_says_stays_text_in_every_form() -> None:
    """Task ids and outcomes may hold anything."""
    table = Table("t", ("a|b", "c"), (("<script>x</script>", "*|`_[l](u)\n\x1b[31m"),), frozenset({0}), ("<b>",))

    assert "<script" not in to_html("<t>", [table])
    markdown = to_markdown("t", [table])
    assert "<" not in markdown.replace("\\<", "")
    assert "\x1b" not in markdown
    assert 1 == len([line for line in markdown.splitlines() if "script" in line])


def test_each_part_is_an_environment() -> None:
    """The flags, columns and ids belong together."""
    assert {"os": "OS", "db": "DB", "kg": "KG", "web": "WS"} == {name: part.column for name, part in PARTS.items()}
