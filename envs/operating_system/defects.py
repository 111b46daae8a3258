"""Known defects of AgentBench's operating-system tasks, found by replaying every gold solution.

They are never mended silently: tasks are kept as they are and marked, so that scores stay comparable. With
`fidelity="fixed"` those whose file we have are mended, each in the smallest way; docs/os.md has the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmat_env.envs.operating_system.checkers import Fidelity
from cmat_env.envs.operating_system.tasks import Match, OSTask, Script

Mend = Callable[[OSTask], OSTask]


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong with a task.

    Attributes:
        why: in words.
        phrase: of its description, so that another file of the same name is not taken for AgentBench's; "" = the file
            was not at hand.
        mend: what `fidelity="fixed"` makes of it; None = nothing.
    """

    why: str
    phrase: str = ""
    mend: Mend | None = None

    def is_in(self, task: OSTask) -> bool:
        """Is this the task that is meant?"""
        return self.phrase in task.description


def _as_it_is(task: OSTask) -> OSTask:
    """For what the checkers or the environment mend."""
    return task


def _in_example(old: str, new: str) -> Mend:
    """Change words of the gold script."""

    def mend(task: OSTask) -> OSTask:
        return task if task.example is None else replace(task, example=_changed(task.example, old, new))

    return mend


def _in_init(old: str, new: str) -> Mend:
    """Change words of the init scripts."""
    return lambda task: replace(task, init=tuple(_changed(script, old, new) for script in task.init))


def _changed(script: Script, old: str, new: str) -> Script:
    return replace(script, code=script.code.replace(old, new))


def _su_in_the_shell(task: OSTask) -> OSTask:
    """Let the agent be jack: `su - jack` is typed into its shell, where init could do nothing for it."""
    without = _in_init(" && su - jack", "")(task)
    return task if without == task else replace(without, start=f"{task.start}\nsu - jack".strip())


def _answer(text: str) -> Mend:
    """Say the right answer, where the gold script says another one when it runs again."""
    return lambda task: replace(task, match=Match(text), checks=())


_SIZES = "its checker size-match cannot read the 4.0K that du prints"
_NO_LOGS = f"{_SIZES}, and where /var/log has no *.log its gold is empty, which is no size"
_ZERO = _in_example("awk '{print $1}'", "awk '{print $1}' | grep . || echo 0")
_OWN_PROCESS = "its gold counts the process that runs it, so that what an agent sees is off by one"
_JACK = "its init's `su - jack` has no effect, so that the agent is root in /root and ~/test is not there"
_NETWORK = "its init installs a package from the network, which a sandbox does not have"

_DEFECTS: Mapping[tuple[str, int], Defect] = {
    ("dev", 8): Defect(_SIZES, "How much disk space is being used by /home", _as_it_is),
    ("dev", 24): Defect(_JACK, "what is the output if i execute ~/test", _su_in_the_shell),
    ("train", 147): Defect(_NO_LOGS, 'disk space used by all ".log" files', _ZERO),
    ("train", 390): Defect(_SIZES, "total size of all files in your home directory", _as_it_is),
    ("train", 934): Defect(_NO_LOGS, 'files with a ".log" extension', _ZERO),
    ("train", 948): Defect(_NO_LOGS, 'total size of all ".log" files', _ZERO),
    ("train", 242): Defect(
        "where there is no log its gold is empty, which is no whole number",
        "in all `.log` files located in the `/var/log`",
        _in_example("{print count}", "{print count + 0}"),
    ),
    ("train", 252): Defect(
        "its gold has two lines, which are no whole number; asked for is their sum",
        "number of files and directories in your home directory that have been modified",
        _in_example(
            "find ~ -type f -mtime -7 | wc -l\nfind ~ -type d -mtime -7 | wc -l",
            "find ~ '(' -type f -o -type d ')' -mtime -7 | wc -l",
        ),
    ),
    ("train", 356): Defect(
        "its init sleeps 60 s, longer than the 30 s that it is given",
        "whose names end with '.log'",
        _in_init("sleep 60", "sleep 1"),
    ),
    ("train", 382): Defect(
        "its init dates a file seven days back to the second, and the border passes while the episode runs: the answer "
        "is 0 or 1",
        'across all log files in the "/var/logs/"',
        _in_init("'7 days ago'", "'6 days ago'"),
    ),
    ("train", 683): Defect(
        "its gold changes the files that it counts: run twice, it gives another number",
        'remove any duplicate lines within each file where "Linux" is found',
        _answer("7"),
    ),
    ("N11", 0): Defect("its gold leaves out names with k where the text says u, and counts sub-folders"),
    ("bootstrap", 0): Defect(_OWN_PROCESS),
    ("bootstrap", 1): Defect(_OWN_PROCESS),
    ("bootstrap", 75): Defect(_OWN_PROCESS),
    ("new", 0): Defect(_JACK, "", _su_in_the_shell),
    ("new", 1): Defect(_JACK, "", _su_in_the_shell),
    ("new", 5): Defect(_NETWORK),
    ("new", 6): Defect(_NETWORK),
    ("new", 8): Defect(
        "its init removes sudo without -y, and fails where sudo is installed",
        "",
        _in_init("apt remove sudo", "apt remove -y sudo"),
    ),
}
_LENIENT_CHECK = "checking/2.sh"
_LENIENT = Defect("its check leaves with status 0 after its first assertion, so that the others are never looked at")


def treated(task: OSTask, place: Path, index: int, *, fidelity: Fidelity, check_files: Sequence[str] = ()) -> OSTask:
    """The task, marked if something is known to be wrong with it, or mended.

    Args:
        task: as it was read.
        place: its file.
        index: in the file.
        fidelity: "fixed" = mend it, where that is known how; what was mended has no mark.
        check_files: the names of its check scripts, as it gives them.
    """
    found = (
        _LENIENT if any(name.endswith(_LENIENT_CHECK) for name in check_files) else _DEFECTS.get((place.stem, index))
    )
    if found is None or found.phrase not in task.description:
        return task
    if place.stem == "new" and place.parent.name != "6":  # set 5 has a file of that name, too
        return task
    if fidelity == "fixed" and found.mend is not None:
        mended = found.mend(task)
        if mended != task or found.mend is _as_it_is:
            return mended
    return replace(task, known_bad=found.why)
