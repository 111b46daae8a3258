"""Known defects of AgentBench's operating-system tasks, found by replaying every gold solution.

They are never mended silently: the tasks are kept and marked, so that scores stay comparable. `fidelity="fixed"` reads
sizes and whole numbers as a person would, and lets an episode go on whose init script failed.
"""

from __future__ import annotations

from collections.abc import Mapping

_SIZES = "its checker size-match cannot read the 4.0K that du prints; solvable with fidelity='fixed'"
_OWN_PROCESS = "its gold counts the process that runs it, so that what an agent sees is off by one"
_JACK = "its init's `su - jack` has no effect, so that the agent is root in /root and ~/test is not there"

_DEFECTS: Mapping[tuple[str, int], str] = {
    ("dev", 8): _SIZES,
    ("dev", 24): _JACK,
    ("train", 147): _SIZES,
    ("train", 390): _SIZES,
    ("train", 934): _SIZES,
    ("train", 948): _SIZES,
    ("train", 242): "there is no log with content, so that its gold is empty, which is no whole number",
    ("train", 252): "its gold has two lines, which are no whole number",
    ("train", 683): "its gold changes the files that it counts: run twice, it gives another number",
    ("train", 356): "its init sleeps 60 s, longer than the 30 s that it is given",
    ("N11", 0): "its gold leaves out names with k where the text says u, and counts sub-folders",
    ("bootstrap", 0): _OWN_PROCESS,
    ("bootstrap", 1): _OWN_PROCESS,
    ("bootstrap", 75): _OWN_PROCESS,
    ("new", 0): _JACK,
    ("new", 1): _JACK,
    ("new", 5): "its init installs a package from the network, which a sandbox does not have",
    ("new", 6): "its init installs a package from the network, which a sandbox does not have",
    ("new", 8): "its init removes sudo without -y, and fails where sudo is installed",
}


def known_defect(task_id: str, stem: str, index: int) -> str:
    """Why a task cannot be solved as it stands; "" = nothing is known.

    Args:
        task_id: such as "train-147" or "6/new-5".
        stem: of its file's name.
        index: in the file.
    """
    if stem == "new" and not task_id.startswith("6/"):
        return ""  # set 5 has a file of that name, too
    return _DEFECTS.get((stem, index), "")
