"""A run's folder while it is written, torn, cut back and at its end: what is counted is what is there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cmat_env.errors import LogError
from cmat_env.log import EpisodeWriter
from cmat_env.report import EvalReport
from cmat_env.run_charts import figures, success
from cmat_env.run_log import RunLog
from cmat_env.run_tables import failures, latest, ledger, settings, tables
from cmat_env.tuning.config import RunSettings, to_toml
from cmat_env.types import Dialogue, Generation, Payment, Step, Trajectory


def played(seed: int, outcome: str = "correct", *, trial: int = 0, kind: str = "even") -> Trajectory:
    """One episode of one step; anything but "correct" is a failure."""
    dialogue = Dialogue("assistant")
    step = Step(0, "assistant_0", "assistant", 0, {"message": "m", "speaker": "user"}, Generation("<b>"))
    dialogue.reply(step.generation)
    solved = outcome == "correct"
    paid = (Payment("assistant", float(solved), "task", 0), Payment("checker", 0.5, "verdict", 0))
    return Trajectory(
        "test/Guess-v0", f"t{seed}", kind, seed, (step,), {"assistant": (dialogue,)}, paid, solved, float(solved),
        outcome, True, False, trial=trial,
    )  # fmt: skip


def line(iteration: int, rate: float, **more: object) -> dict[str, object]:
    """A line of metrics.jsonl."""
    roles = {"assistant": {"return": rate, "kl_per_sequence": 0.1 * iteration}}
    return {"iteration": iteration, "episodes": 8 * iteration, "success": rate, "roles": roles, "alarms": [], **more}


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """A training run in the middle of its iterations."""
    (tmp_path / "config.toml").write_text(to_toml(RunSettings(iterations=5, seed=7)))
    lines = [line(1, 0.25), line(2, 0.5, evaluation={"team, greedy": 0.75})]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    with EpisodeWriter(tmp_path / "episodes.jsonl", notes={"phase": "before"}) as log:
        for seed in range(4):
            log.write(played(seed, "correct" if seed else "wrong", kind="odd"))
    with EpisodeWriter(tmp_path / "training.jsonl", notes={"iteration": 1}) as log:
        for seed, outcome in enumerate(("correct", "wrong", "wrong", "round limit")):
            log.write(played(seed, outcome))
    return tmp_path


def test_phases_are_counted_apart(training: Path) -> None:
    """Success with its interval, reasons of failures, payments, alarms and curves; the last episodes come first."""
    run = RunLog(training)
    rows = {table.title.split(",")[0].split(":")[0]: table.rows for table in tables(run)}

    assert ["before tuning", "training"] == [tally.name for tally in run.groups]
    assert ("before tuning, recorded", "4", "75.0", "30.1 to 95.4", "0.750") == rows["Results"][0]
    assert (("wrong", "1 (25.0)", "2 (50.0)"), ("round limit", "-", "1 (25.0)")) == failures(run).rows
    assert (
        ("assistant", "all", "+0.750 (4)", "+0.250 (4)"), ("", "task", "+0.750 (4)", "+0.250 (4)"),
        ("checker", "all", "+0.500 (4)", "+0.500 (4)"), ("", "verdict", "+0.500 (4)", "+0.500 (4)"),
    ) == ledger(run).rows  # fmt: skip
    assert ("training 4, iteration 1", "t3", "✘ round limit", "1", "assistant +0.00, checker +0.50") == latest(
        run
    ).rows[0]
    assert not run.has_ended
    drawn = success(run)
    assert [((1.0, 0.25), (2.0, 0.375)), ((2.0, 0.75),), ((0.0, 0.75),)] == [each.points for each in drawn.lines]
    assert ["return, an episode", "KL to the base, nats an episode"] == [chart.title for chart in figures(run)]


def test_settings_that_are_not_the_defaults_stand_out(training: Path) -> None:
    """Of a training run's configuration."""
    table = settings(RunLog(training))

    assert {("seed", "7"), ("iterations", "5")} == {table.rows[place] for place in table.ours}
    assert ("tuner.algorithm", "ppo") in table.rows


def test_what_is_new_is_added_and_a_torn_end_waits(training: Path) -> None:
    """An episode and a line of metrics count once they are whole, and once."""
    run = RunLog(training)
    log, metrics = training / "training.jsonl", training / "metrics.jsonl"
    before = log.stat().st_size
    with EpisodeWriter(log, notes={"iteration": 2}) as writer:
        writer.write(played(9))
    whole = log.read_bytes()
    for end in (before + 10, len(whole) - 1):
        log.write_bytes(whole[:end])
        metrics.write_text(metrics.read_text().rstrip("\n") + "\n" + '{"iteration": 3, "succ')
        run.refresh()
        assert (4, 2) == (len(run.tallies["training"].rows), len(run.metrics))
        metrics.write_text(metrics.read_text().rpartition("\n")[0] + "\n")
    log.write_bytes(whole)
    for _ in range(2):
        run.refresh()
        assert 5 == len(run.tallies["training"].rows)
        assert 5 == run.latest[-1][1]


def test_a_log_that_was_cut_back_is_counted_anew(training: Path) -> None:
    """As after a resume: what a crash made void is gone, also where the log has grown past its old length since."""
    run = RunLog(training)
    log = training / "training.jsonl"
    log.unlink()
    with EpisodeWriter(log, notes={"iteration": 1}) as writer:
        for seed in range(20):
            writer.write(played(seed, "gone"))
    run.refresh()

    assert {"gone": 20} == run.tallies["training"].failures
    assert 4 == len(run.tallies["before tuning"].rows)
    log.unlink()
    run.refresh()
    assert ["before tuning"] == list(run.tallies)


def test_trials_of_a_task_are_one_episode(tmp_path: Path) -> None:
    """The last one counts, as in the report; all of them are paid."""
    with EpisodeWriter(tmp_path / "episodes.jsonl") as log:
        for each in (played(1, "wrong"), played(1, trial=1), played(2, "wrong"), played(2, "late", trial=1)):
            log.write(each)
    tally = RunLog(tmp_path).tallies["test/Guess-v0"]

    assert (2, 0.5, {"late": 1}) == (tally.score.episodes, tally.score.success_rate, tally.failures)
    assert [0.0, 1.0, 0.0, 0.0] == tally.payments["assistant", "task"]


def test_a_run_has_ended_when_its_report_tells_of_all(training: Path) -> None:
    """A report that is torn, or of fewer iterations, is no end; in a copied folder, whose times say nothing, it is."""
    report = training / "report.json"
    report.write_text('{"episodes": 16, "eval')
    assert not RunLog(training).has_ended
    report.write_text(json.dumps({"episodes": 16, "evaluations": {}}))
    os.utime(report, (1, 1))
    assert RunLog(training).has_ended
    for spoilt in ('{"suite": "agentbench", "parts": 3}', "[]", '{"episodes": null}'):
        report.write_text(spoilt)
        os.utime(report, (1, 1))
        assert not RunLog(training).has_ended
    report.write_text(json.dumps({"episodes": 16, "evaluations": {}}))
    with (training / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line(3, 0.5)) + "\n")
    os.utime(report, (1, 1))
    assert not RunLog(training).has_ended
    assert ["before tuning, recorded", "training, recorded"] == [row[0] for row in tables(RunLog(training))[0].rows]


def test_an_evaluation_and_a_suite_are_runs(tmp_path: Path) -> None:
    """With their own reports, whose figures are those of the log."""
    for part in ("db", "kg"):
        with EpisodeWriter(tmp_path / "suite" / part / "episodes.jsonl", policies={"assistant": "gold"}) as log:
            for seed in range(3):
                log.write(played(seed))
    reports = {part: EvalReport.of("x", [played(seed) for seed in range(3)], seconds=0.0) for part in ("db", "kg")}
    run = RunLog(tmp_path / "suite")
    assert ["db", "kg"] == sorted(run.tallies)
    assert not run.has_ended
    parts = {name: {"report": report.to_json()} for name, report in reports.items()}
    (tmp_path / "suite" / "report.json").write_text(json.dumps({"suite": "agentbench", "parts": parts}))
    run.refresh()
    assert run.has_ended
    assert [("db", "3", "100.0", "43.9 to 100.0", "1.000"), ("kg", "3", "100.0", "43.9 to 100.0", "1.000")] == list(
        tables(run)[0].rows
    )
    assert ("policies.assistant", "gold") in settings(run).rows


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "x").mkdir(), "holds no run: none of episodes.jsonl, metrics.jsonl and config.toml"),
        (lambda folder: None, "x does not exist; wanted the folder of a run"),
        (lambda folder: (folder / "x").write_text(""), "x is a file; wanted the folder of a run"),
    ],
)
def test_a_folder_that_is_no_run_is_named(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    """What came, what was wanted, what to do."""
    spoil(tmp_path)
    with pytest.raises(LogError, match=message):
        RunLog(tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.jsonl", "junk\n", "a line is not JSON"),
        ("metrics.jsonl", "{}\n", "metrics.jsonl:1: wanted an object with iteration, roles, success"),
        ("config.toml", "= 3", "cannot be read as TOML"),
        ("training.jsonl", "junk\n", "training.jsonl:1: not a JSON line"),
        ("report.json", '{"evaluations": {"x": {}}}', "its report.json is none of cmat's"),
    ],
)
def test_a_corrupt_file_is_named(training: Path, name: str, content: str, message: str) -> None:
    """With the place."""
    (training / name).write_text(content)
    with pytest.raises(LogError, match=message):
        tables(RunLog(training))


def test_a_run_that_has_just_begun_is_shown_as_such(tmp_path: Path) -> None:
    """Settings and nothing else."""
    (tmp_path / "config.toml").write_text(to_toml(RunSettings()))
    run = RunLog(tmp_path)

    assert ([], 30, None) == (tables(run), run.iterations, success(run).bounds())
