"""Knowledge graphs: AgentBench's tasks and generated ones, on an embedded SPARQL store or on any endpoint."""

from __future__ import annotations

from cmat_env.envs.knowledge_graph.endpoint import EndpointStore
from cmat_env.envs.knowledge_graph.env import KGEnv
from cmat_env.envs.knowledge_graph.episode import KGSettings
from cmat_env.envs.knowledge_graph.generate import Facts, generate
from cmat_env.envs.knowledge_graph.oxigraph import OxigraphStore, build_folder
from cmat_env.envs.knowledge_graph.store import Limits, QueryTimeoutError, Store, StoreError
from cmat_env.envs.knowledge_graph.tasks import Call, KGTask, load_tasks

__all__ = [
    "Call",
    "EndpointStore",
    "Facts",
    "KGEnv",
    "KGSettings",
    "KGTask",
    "Limits",
    "OxigraphStore",
    "QueryTimeoutError",
    "Store",
    "StoreError",
    "build_folder",
    "generate",
    "load_tasks",
]
