"""The loader of AgentBench's operating-system files, as they are.

A file is a JSON list of tasks. Scripts stand in it, or are named by files below a script folder; the five checkers are
ours (`checkers`), so that the folder is needed for other scripts only. A task whose script files are missing is skipped
with the reason, a malformed one is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import regex

from cmat_env.envs.operating_system.checkers import CHECKERS, Fidelity
from cmat_env.envs.operating_system.defects import treated
from cmat_env.envs.operating_system.tasks import Check, Language, Match, OSTask, Script
from cmat_env.errors import TaskFileError

_KIND = {dict: "an object", list: "a list", str: "text", int: "a number", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file or folder holds.

    Attributes:
        tasks: those that can be played.
        skipped: by id, why a task cannot be.
    """

    tasks: tuple[OSTask, ...]
    skipped: dict[str, str]


class _MissingScriptError(Exception):
    """A script file is not there; the text says which."""


def load_tasks(path: str | Path, *, script_dir: str | Path | None = None, fidelity: Fidelity = "upstream") -> Loaded:
    """Read a file of tasks, or all such files in a folder of sets.

    Args:
        path: a JSON file, or a folder with such files, also in its sub-folders. Of a folder with numbered sub-folders,
            as AgentBench's data/os_interaction/data, these are read: the standard sets. AgentBench's `6-backup.json`,
            which its own configuration leaves out, is left out here, too.
        script_dir: where script files are. For a folder of sets, its sub-folder of the same name where there is one.
        fidelity: "fixed" = with known defects mended, as far as that is known how; see `defects`.

    Returns:
        Tasks in order; number i of file "dev.json" has the id "dev-i", of "4/N11.json" in a folder "4/N11-i".

    Raises:
        TaskFileError: a file is missing or malformed; the message names file, index and field.
    """
    path, scripts = Path(path), None if script_dir is None else Path(script_dir)
    if scripts is not None and not scripts.is_dir():
        raise TaskFileError(f"script_dir={str(scripts)!r} is no folder; give the one that holds check/, init/, ...")
    if not path.is_dir():
        return _load_file(path, scripts, path.stem, fidelity)
    files = [file for file in sorted(path.rglob("*.json")) if not file.stem.endswith("-backup")]
    numbered = [file for file in files if file.relative_to(path).parts[0].isdecimal()]
    files = numbered or files
    if not files:
        raise TaskFileError(f"{path}: holds no JSON file; wanted AgentBench's data folder, or a file")
    tasks: list[OSTask] = []
    skipped: dict[str, str] = {}
    for file in files:
        relative = file.relative_to(path)
        own = scripts / relative.with_suffix("").parts[0] if scripts is not None else None
        found = own if own is not None and own.is_dir() else scripts
        part = _load_file(file, found, str(relative.with_suffix("")), fidelity)
        tasks += part.tasks
        skipped |= part.skipped
    return Loaded(tuple(tasks), skipped)


def _load_file(path: Path, scripts: Path | None, name: str, fidelity: Fidelity) -> Loaded:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TaskFileError(f"{path}: cannot be read ({error}); wanted a JSON list of AgentBench OS tasks") from error
    entries = [entries] if isinstance(entries, dict) else entries
    if not isinstance(entries, list) or not entries:
        raise TaskFileError(f"{path}: is {_kind(entries)}, wanted a list of at least one task")
    tasks: list[OSTask] = []
    skipped: dict[str, str] = {}
    for index, entry in enumerate(entries):
        try:
            task = _Entry(path, index, scripts, f"{name}-{index}").task(entry)
            tasks.append(treated(task, path, index, fidelity=fidelity, check_files=_check_files(entry)))
        except _MissingScriptError as missing:
            skipped[f"{name}-{index}"] = str(missing)
    if not tasks:
        raise TaskFileError(f"{path}: no task can be played: {'; '.join(f'{k}: {v}' for k, v in skipped.items()):.500}")
    return Loaded(tuple(tasks), skipped)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a task stands, and how to read it there."""

    path: Path
    index: int
    scripts: Path | None
    id: str

    def task(self, entry: object) -> OSTask:
        if not isinstance(entry, dict):
            raise self.error("", f"is {_kind(entry)}, wanted an object")
        description = entry.get("description")
        if not isinstance(description, str):
            raise self.error("description", f"is {_kind(description)}, wanted text")
        create = entry.get("create")
        if not isinstance(create, dict | list | None):
            raise self.error("create", f"is {_kind(create)}, wanted an object")
        init = create.get("init") if isinstance(create, dict) else None  # a list, as dev[10] has, prepares nothing
        evaluation = entry.get("evaluation")
        if not isinstance(evaluation, dict):
            raise self.error("evaluation", f"is {_kind(evaluation)}, wanted an object with match or check")
        match = self.match(evaluation)
        example = self.script(evaluation.get("example"), "evaluation.example") if match is None else None
        start = self.script(entry.get("start"), "start")
        return OSTask(
            id=self.id,
            family=_family(match, evaluation),
            description=description,
            init=self.init(init),
            start="" if start is None else start.code,
            match=match,
            checks=self.checks(evaluation, has_example=example is not None) if match is None else (),
            example=example,
            split=self.path.stem,
        )

    def error(self, field: str, what: str) -> TaskFileError:
        return TaskFileError(f"{self.path}, task {self.index}{f', field {field!r}' if field else ''}: {what}")

    def init(self, value: object) -> tuple[Script, ...]:
        listed = value if isinstance(value, list) else [value]
        made = [
            self.script(each, f"create.init[{i}]" if len(listed) > 1 else "create.init")
            for i, each in enumerate(listed)
        ]
        return tuple(script for script in made if script is not None)

    def match(self, evaluation: dict[str, Any]) -> Match | None:
        value = evaluation.get("match")
        if not value:
            return None
        if isinstance(value, str):
            return Match(answer=value)
        if not isinstance(value, dict) or not isinstance(value.get("answer", value.get("regex")), str):
            raise self.error("evaluation.match", "wanted text, or an object with answer or regex")
        if not isinstance(value.get("strip"), bool):
            raise self.error("evaluation.match.strip", f"is {_kind(value.get('strip'))}, wanted true or false")
        pattern = value.get("regex") if "answer" not in value else None
        if pattern is not None:
            try:
                regex.compile(pattern)
            except regex.error as error:
                raise self.error("evaluation.match.regex", f"is no regular expression: {error}") from error
        return Match(value.get("answer"), pattern, value["strip"])

    def checks(self, evaluation: dict[str, Any], *, has_example: bool) -> tuple[Check, ...]:
        value = evaluation.get("check")
        if value is None:
            raise self.error("evaluation", "has neither match nor check, one of which says what is right")
        listed = value if isinstance(value, list) else [value]
        if not listed:
            raise self.error("evaluation.check", "is an empty list, wanted at least one script or null")
        checks: list[Check] = []
        for i, each in enumerate(listed):
            where = f"evaluation.check[{i}]"
            if each is None:
                if not has_example:
                    raise self.error(where, "is null, which runs evaluation.example, but there is none")
                checks.append(Check("example"))
            elif isinstance(each, dict) and Path(str(each.get("file", ""))).name in CHECKERS:
                checks.append(Check("checker", Path(str(each["file"])).name))
            else:
                checks.append(Check("script", script=self.script(each, where)))
        return tuple(checks)

    def script(self, value: object, field: str) -> Script | None:
        if value is None:
            return None
        if isinstance(value, str):
            return Script(value)
        if not isinstance(value, dict):
            raise self.error(field, f"is {_kind(value)}, wanted text or an object with code or file")
        language = value.get("language", "bash")
        if language in ("c", "c++"):
            raise _MissingScriptError(f"{field} is in {language}, which no version of AgentBench can run")
        if language not in get_args(Language):
            raise self.error(f"{field}.language", f"is {language!r}, wanted bash, python, c or c++")
        return Script(self.code(value, field), _language(language))

    def code(self, value: dict[str, Any], field: str) -> str:
        if isinstance(value.get("code"), str):
            return str(value["code"])
        name = value.get("file")
        if not isinstance(name, str):
            raise self.error(field, "has neither code nor file, one of which holds the script")
        if self.scripts is None:
            raise _MissingScriptError(
                f"{field} is the file {name}, which is not there; name its folder with --script-dir"
            )
        file = self.scripts / name
        try:
            if not file.resolve().is_relative_to(self.scripts.resolve()):
                raise self.error(f"{field}.file", f"{name!r} leads out of {self.scripts}")
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _MissingScriptError(f"{field} is the file {file}, which cannot be read ({error})") from None


def _check_files(entry: dict[str, Any]) -> list[str]:
    value = entry["evaluation"].get("check")
    listed = value if isinstance(value, list) else [value]
    return [str(each["file"]) for each in listed if isinstance(each, dict) and "file" in each]


def _language(name: str) -> Literal["bash", "python"]:
    return "python" if name == "python" else "bash"


def _family(match: Match | None, evaluation: dict[str, Any]) -> str:
    """Files do not say a type: it is how the answer is judged."""
    if match is not None:
        return "match"
    value = evaluation.get("check")
    last = value[-1] if isinstance(value, list) and value else value
    name = Path(str(last.get("file", ""))).name if isinstance(last, dict) else ""
    return name.removesuffix(".py") if name in CHECKERS else "check"


def _kind(value: object) -> str:
    return _KIND.get(type(value), type(value).__name__)
