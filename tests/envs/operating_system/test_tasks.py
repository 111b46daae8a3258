"""AgentBench's files as they are, the five checkers, the generator."""

from __future__ import annotations

import itertools
import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.operating_system import OSTask, Script, generate, load_tasks
from cmat_env.envs.operating_system.checkers import CHECKERS
from cmat_env.envs.operating_system.generate import FAMILIES, SPLITS
from cmat_env.envs.operating_system.generate.words import SEEN, UNSEEN
from cmat_env.envs.operating_system.grade import grade_match
from cmat_env.envs.operating_system.tasks import Match
from cmat_env.errors import ConfigError, TaskFileError, UnknownNameError

GOOD: dict[str, Any] = {"description": "d", "evaluation": {"match": "1"}}


def written(folder: Path, *entries: object, name: str = "set.json") -> Path:
    """A file of tasks."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(entries)))
    return path


def test_dev_is_read_as_it_is(agentbench: Path) -> None:
    """26 tasks, 3 of which name script files that are not there; the list-valued create prepares nothing."""
    loaded = load_tasks(agentbench / "os" / "dev.json")

    assert ["dev-3", "dev-5", "dev-25"] == list(loaded.skipped)
    assert "init/stock-log.sh" in loaded.skipped["dev-25"] and "--script-dir" in loaded.skipped["dev-25"]
    by_id = {task.id: task for task in loaded.tasks}
    assert () == by_id["dev-10"].init
    assert "time.sleep(3)" in by_id["dev-4"].start
    assert ["example", "checker"] == [check.kind for check in by_id["dev-6"].checks]
    assert by_id["dev-24"].example is None and by_id["dev-24"].match is not None
    assert {"dev-8", "dev-24"} == {task.id for task in loaded.tasks if task.known_bad}


def test_train_is_read_as_it_is(agentbench: Path) -> None:
    """1,000 tasks: 930 whole numbers, 47 texts, 23 sizes; of nine something is known."""
    tasks = load_tasks(agentbench / "os" / "train.json").tasks
    kinds = [task.family for task in tasks]

    assert (1000, 930, 47, 23) == (len(tasks), *(kinds.count(f"{k}-match") for k in ("integer", "string", "size")))
    known = [task.id for task in tasks if task.known_bad]
    assert [f"train-{n}" for n in (147, 242, 252, 356, 382, 390, 683, 934, 948)] == known


def test_defects_of_files_that_are_not_at_hand_are_marked(tmp_path: Path) -> None:
    """By place; mended where the words that are wrong are there; another file of the same name is left alone."""
    jack = GOOD | {"create": {"init": "useradd -m jack && su - jack"}}
    sudo = GOOD | {"create": {"init": "apt remove sudo"}}
    written(tmp_path, jack, GOOD, *[GOOD] * 6, sudo, name="data/6/new.json")
    written(tmp_path, jack, name="data/5/new.json")
    written(tmp_path, GOOD, name="data/4/N11.json")
    written(tmp_path, *[GOOD] * 400, name="data/8/train.json")
    upstream, fixed = (
        {task.id: task for task in load_tasks(tmp_path / "data", fidelity=fidelity).tasks}
        for fidelity in ("upstream", "fixed")
    )

    marked = [f"6/new-{n}" for n in (0, 1, 5, 6, 8)]
    assert ["4/N11-0", *marked] == [task.id for task in upstream.values() if task.known_bad]
    assert ["4/N11-0", *marked[1:4]] == [task.id for task in fixed.values() if task.known_bad]
    assert ("useradd -m jack", "su - jack") == (fixed["6/new-0"].init[0].code, fixed["6/new-0"].start)
    assert "apt remove -y sudo" == fixed["6/new-8"].init[0].code
    assert upstream["5/new-0"] == fixed["5/new-0"]


def test_a_check_that_looks_at_its_first_assertion_alone_is_marked(tmp_path: Path) -> None:
    """Set 5's checking/2.sh, wherever a task names it."""
    (tmp_path / "checking").mkdir()
    (tmp_path / "checking/2.sh").write_text("exit 0")
    entry = {"description": "d", "evaluation": {"check": {"file": "checking/2.sh"}}}
    (task,) = load_tasks(written(tmp_path, entry), script_dir=tmp_path).tasks

    assert "first assertion" in task.known_bad


def test_script_files_are_found_below_the_script_folder(tmp_path: Path) -> None:
    """Init, check, example and start by file; a folder of sets takes the sub-folder of the same name."""
    entry = {
        "description": "d",
        "create": {"init": [{"file": "init/a.sh"}, "b"]},
        "start": {"file": "start.sh"},
        "evaluation": {"check": [None, {"language": "python", "file": "check/own.py"}], "example": {"file": "ex.sh"}},
    }
    path = written(tmp_path, entry, name="data/5/new.json")
    written(tmp_path, GOOD, name="data/6/6-backup.json")
    for name, text in {"init/a.sh": "A", "start.sh": "S", "check/own.py": "C", "ex.sh": "E"}.items():
        file = tmp_path / "scripts" / "5" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (one,) = load_tasks(path, script_dir=tmp_path / "scripts" / "5").tasks
    (same,) = load_tasks(tmp_path / "data", script_dir=tmp_path / "scripts").tasks

    assert (("A", "b"), "S", "E") == (tuple(s.code for s in one.init), one.start, one.example and one.example.code)
    assert Script("C", "python") == one.checks[1].script
    assert ("new-0", "5/new-0") == (one.id, same.id)
    assert one.init == same.init


def test_a_folder_of_files_takes_scripts_of_the_same_name(tmp_path: Path) -> None:
    """Of dev.json from scripts/dev; where there are numbered sets, these alone are read, as AgentBench's standard."""
    entry = GOOD | {"create": {"init": {"file": "a.sh"}}}
    written(tmp_path, entry, name="data/dev.json")
    (tmp_path / "scripts/dev").mkdir(parents=True)
    (tmp_path / "scripts/dev/a.sh").write_text("A")
    (dev,) = load_tasks(tmp_path / "data", script_dir=tmp_path / "scripts").tasks
    written(tmp_path, GOOD, GOOD, name="data/4/N4.json")
    standard = load_tasks(tmp_path / "data", script_dir=tmp_path / "scripts").tasks

    assert ("dev-0", "A") == (dev.id, dev.init[0].code)
    assert ["4/N4-0", "4/N4-1"] == [task.id for task in standard]


def test_a_task_that_cannot_be_played_is_named(tmp_path: Path) -> None:
    """Missing files and C are skipped with the reason; if nothing is left that is an error."""
    entries = [
        {"description": "d", "create": {"init": {"file": "no.sh"}}, "evaluation": {"match": "1"}},
        {"description": "d", "create": {"init": {"language": "c", "code": "int"}}, "evaluation": {"match": "1"}},
    ]
    loaded = load_tasks(written(tmp_path, GOOD, *entries), script_dir=tmp_path)

    assert {"set-1", "set-2"} == set(loaded.skipped)
    assert "no.sh" in loaded.skipped["set-1"] and " c," in loaded.skipped["set-2"]
    with pytest.raises(TaskFileError, match="no task can be played"):
        load_tasks(written(tmp_path, *entries))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"description": 5}, "task 1, field 'description': is a number, wanted text"),
        ({"evaluation": None}, "field 'evaluation': is null"),
        ({"evaluation": {}}, "has neither match nor check"),
        ({"evaluation": {"check": []}}, "is an empty list"),
        ({"evaluation": {"check": [None]}}, "there is none"),
        ({"evaluation": {"check": {"language": "perl", "code": ""}}}, "is 'perl', wanted bash, python"),
        ({"evaluation": {"check": {}}}, "has neither code nor file"),
        ({"evaluation": {"match": {"answer": "x"}}}, "field 'evaluation.match.strip'"),
        ({"evaluation": {"match": {"regex": "(", "strip": True}}}, "field 'evaluation.match.regex': is no regular"),
        ({"create": 7}, "field 'create': is a number"),
        ({"create": {"init": ["a", 7]}}, r"field 'create.init\[1\]': is a number"),
        ({"start": 7}, "field 'start': is a number"),
    ],
)
def test_a_malformed_task_says_where(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """File, index, field, what came and what was wanted."""
    with pytest.raises(TaskFileError, match=words) as raised:
        load_tasks(written(tmp_path, GOOD, GOOD | change))

    assert "set.json, task 1" in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "5", "[]", "[5]"])
def test_a_file_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    """It is named."""
    (tmp_path / "bad.json").write_text(text)
    for path in (tmp_path / "bad.json", tmp_path / "missing.json"):
        with pytest.raises(TaskFileError, match=path.name):
            load_tasks(path)


def test_a_pattern_that_explodes_has_not_found_the_answer() -> None:
    """What an agent says cannot keep the grader busy for ever; a plain pattern is found as ever."""
    assert not grade_match(Match(None, "^(a|aa)+$", strip=True), "a" * 200 + "b")
    assert grade_match(Match(None, "^[0-9]+ files$", strip=True), " 12 files\n")


def test_a_script_file_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    """../ and links are refused."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "secret").write_text("s")
    entry = GOOD | {"create": {"init": {"file": "../secret"}}}

    with pytest.raises(TaskFileError, match="leads out"):
        load_tasks(written(tmp_path, entry), script_dir=tmp_path / "scripts")


@pytest.mark.parametrize(
    ("name", "answer", "gold", "upstream", "fixed"),
    [
        ("integer-match.py", " 7 ", "7\n", True, True),
        ("integer-match.py", "8", "7\n", False, False),
        ("integer-match.py", "7.0", "7", False, True),
        ("integer-match.py", "", "", False, False),
        ("integer-match.py", "1\n2", "1\n2", False, False),
        ("integer-match.py", "9" * 5000, "9" * 5000, False, False),
        ("integer-match.py", "1e999", "1e999", False, False),
        ("string-match.py", "a\r\n", "a\n", True, True),
        ("string-match.py", "A", "a", False, False),
        ("size-match.py", "4K", "4096", True, True),
        ("size-match.py", "4.0K", "4.0K\n", False, True),
        ("size-match.py", "1M", "1024K", True, True),
        ("size-match.py", "much", "much", False, False),
        ("in.py", "b", "abc", True, True),
        ("in.py", "", "abc", True, False),
        ("containing.py", "abc", "b\n", True, True),
        ("containing.py", "abc", "", True, False),
    ],
)
def test_the_five_checkers(name: str, answer: str, gold: str, upstream: bool, fixed: bool) -> None:
    """As upstream, and as a person would."""
    assert (upstream, fixed) == (CHECKERS[name](answer, gold, "upstream"), CHECKERS[name](answer, gold, "fixed"))


def test_a_generated_task_is_a_function_of_split_and_seed() -> None:
    """The same again, another for another seed; every family comes."""
    first = [generate("train", seed=seed) for seed in range(300)]

    assert first == [generate("train", seed=seed) for seed in range(300)]
    assert set(FAMILIES) == {task.family for task in first} and len(FAMILIES) >= 12
    assert 280 < len({task.init for task in first})


def test_no_split_asks_a_family_for_what_another_asks_it_for() -> None:
    """A family and the words that it is asked about stand in one split; unseen words stand in no other at all."""
    asked = {
        split: {(task.family, SEEN.named(task.description)) for task in (generate(split, seed=i) for i in range(2000))}
        for split in ("train", "dev", "heldout")
    }
    for split, others in itertools.permutations(asked, 2):
        assert not asked[split] & asked[others]
    assert all(len({family for family, _ in each}) == len(FAMILIES) for each in asked.values())
    assert not SEEN.all & UNSEEN.all
    assert len(SEEN.all) == sum(map(len, astuple(SEEN)))
    assert all(UNSEEN.named(generate("unseen_words", seed=seed).description) for seed in range(100))
    assert ("train", "dev", "heldout", "unseen_words") == SPLITS


def test_mistakes_in_the_generator_s_arguments() -> None:
    """A split, a family and a task without a right answer."""
    for arguments in ({"split": "test", "seed": 0}, {"split": "train", "seed": 0, "only": ["conut"]}):
        with pytest.raises(UnknownNameError, match=r"did you mean|known"):
            generate(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="neither match nor checks"):
        OSTask("x", "f", "d")
