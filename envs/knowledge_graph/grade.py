"""Is an answer right? Exact match, F1 and executability as AgentBench has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmat_env.envs.knowledge_graph.compiler import Fidelity


@dataclass(frozen=True, slots=True)
class Grade:
    """How good an answer is.

    Attributes:
        exact: is the set of answers exactly the right one?
        f1: of the two sets, in [0, 1].
        executable: did the answer name a program that gave something?
    """

    exact: bool = False
    f1: float = 0.0
    executable: bool = False


def grade(given: Sequence[str], gold: Sequence[str], *, fidelity: Fidelity = "upstream") -> Grade:
    """Compare two sets of answers.

    Args:
        given: what the program gave.
        gold: what is right.
        fidelity: "fixed" takes numbers of equal value for equal, such as "3.0" and "3".
    """
    same = _number if fidelity == "fixed" else str
    ours, theirs = {same(value) for value in given}, {same(value) for value in gold}
    hits = len(ours & theirs)
    if not hits:
        return Grade(executable=bool(ours))
    precision, recall = hits / len(ours), hits / len(theirs)
    return Grade(ours == theirs, 2 * precision * recall / (precision + recall), executable=True)


def _number(value: str) -> str:
    try:
        return repr(float(value))
    except ValueError:
        return value
