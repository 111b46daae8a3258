"""The tasks of `cmat/KG-v0`: generated over its graph, those of an AgentBench file, or a caller's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from cmat_env.envs.knowledge_graph.generate import SPLITS, families, generate
from cmat_env.envs.knowledge_graph.generate.facts import Facts
from cmat_env.envs.knowledge_graph.tasks import KGTask, load_tasks
from cmat_env.envs.source import Generated, Listed, Source, split_of


def open_source(
    tasks: str | Path | Sequence[KGTask],
    facts: Callable[[], Facts],
    *,
    only: Sequence[str] = (),
    graphs: str | Path | None = None,
) -> Source[KGTask]:
    """Find the tasks that a user asks for.

    Args:
        tasks: "generated:SPLIT", the path of an AgentBench file, or the tasks themselves.
        facts: gives the graph that the generator walks.
        only: families of generated tasks; by default all.
        graphs: the file of the graphs, beside which a status file may lie.

    Raises:
        UnknownNameError: there is no such split or family.
        TaskFileError: the file cannot be read.
        ConfigError: no usable list, or the graph has no such question.
    """
    split = split_of(tasks, SPLITS, families=only)
    if split is None:
        return Listed(load_tasks(tasks, graphs=graphs) if isinstance(tasks, str | Path) else tasks)
    make = partial(generate, facts(), split, only=tuple(only))
    make(seed=0)  # a family that does not exist, or a graph without questions, is met here
    return Generated(split, make, families=only or families())
