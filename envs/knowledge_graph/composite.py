"""`cmat/KG-Composite-v0`: two to four linked questions about one graph; see `CompositeEnv` and `generate.chain`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cmat_env.envs.composite.env import Closing, CompositeEnv, Paying
from cmat_env.envs.composite.tasks import Composite, composite_source
from cmat_env.envs.knowledge_graph.codec import FormatName
from cmat_env.envs.knowledge_graph.compiler import Fidelity
from cmat_env.envs.knowledge_graph.env import KGEnv
from cmat_env.envs.knowledge_graph.generate import SPLITS
from cmat_env.envs.knowledge_graph.generate.chain import LENGTHS, generate_chain
from cmat_env.envs.knowledge_graph.store import Store
from cmat_env.envs.knowledge_graph.tasks import KGTask


def KGCompositeEnv(  # noqa: N802 - what `register` and users call like the other environments
    tasks: str | Sequence[Composite[KGTask]] = "generated:train",
    *,
    parts: Sequence[int] = LENGTHS,
    vague: bool = False,
    closing: Closing = "answers",
    reward: Paying = "whole",
    report: bool = False,
    retries: int = 0,
    graphs: str | Path | Store | None = None,
    action_format: FormatName = "v0.2",
    fidelity: Fidelity = "upstream",
    max_rounds: int = 15,
    max_observation: int = 20_000,
) -> CompositeEnv:
    """A composite task of the knowledge graph.

    Args:
        tasks: "generated:train", "generated:dev", "generated:heldout", or the tasks.
        parts: of generated tasks, numbers of parts to draw from.
        vague: of generated tasks, leave a detail out that the user knows and tells when asked (`questions=N`).
        closing, reward, report, retries: see `CompositeEnv`.
        graphs, action_format, fidelity, max_rounds, max_observation: see `KGEnv`; rounds are those of a part.

    Raises:
        ConfigError, UnknownNameError: an argument is not what it should be.
    """
    inner = KGEnv(
        graphs=graphs,
        action_format=action_format,
        fidelity=fidelity,
        max_rounds=max_rounds,
        max_observation=max_observation,
    )
    lengths = tuple(parts)
    source = composite_source(
        tasks,
        SPLITS,
        lambda split: partial(generate_chain, inner.graph.facts, split, lengths=lengths, vague=vague),
        parts=parts,
    )
    return CompositeEnv(inner, source, closing=closing, reward=reward, report=report, retries=retries)
