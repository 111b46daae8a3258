"""Policies of a few thousand parameters, and episodes that they played as a team."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gymnasium
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from cmat_env import registry
from cmat_env.agents.memory import ShortTermMemory
from cmat_env.collab import CollabEnv
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer
from cmat_env.rollout import Episode, Rollout
from cmat_env.types import Payment, Task, Trajectory

ROLES = ("assistant", "checker")
MakePolicy = Callable[..., HFPolicy]
PlayTeam = Callable[..., list[Trajectory]]


def episode(*, success: bool, kind: str = "type", payments: tuple[Payment, ...] = ()) -> Trajectory:
    """An episode of which nothing but its end is known."""
    return Trajectory("env", "task", kind, 0, (), {}, payments, success, float(success), "over", True, False)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small are slower on many threads, most of all where other work shares the machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def named_task(guess_task: type[gymnasium.Env[str, str]]) -> Iterator[None]:
    """The task of tiny_run.toml."""
    registry.register("test/Guess-v0", guess_task)
    yield
    del registry._registry["test/Guess-v0"]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Of the words that the number-guessing team says."""
    texts = ["Guess a number from 1 to 16.", "higher", "lower", "correct", "say a number", "Verdict: approve"] * 4
    return train_tokenizer(texts, vocabulary=300)


@pytest.fixture(scope="session")
def make_policy(tokenizer: PreTrainedTokenizerFast) -> MakePolicy:
    """`make_policy(adapter="lora", dtype=torch.float64, family="qwen3", most=8, temperature=0.7)`."""
    size = TinyConfig(vocabulary=300, width=16, layers=2, heads=2, feed_forward=32, context=400, init_std=0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        qwen3 = Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
                initializer_range=0.3,
            )
        )
    models = {"llama": make_model(tokenizer, size, seed=0), "qwen3": qwen3}

    def made(
        *,
        adapter: str = "full",
        dtype: torch.dtype = torch.float32,
        family: str = "llama",
        most: int = 5,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> HFPolicy:
        model = copy.deepcopy(models[family])
        torch.nn.Module.to(model, dtype)
        return HFPolicy(
            model,
            tokenizer,
            roles=ROLES,
            adapter=AdapterSettings(adapter, rank=2),  # type: ignore[arg-type]
            sampling=Sampling(temperature=temperature, top_k=top_k, top_p=top_p, max_new_tokens=most),
        )

    return made


@pytest.fixture
def play_team(guess_task: Callable[..., Task]) -> PlayTeam:
    """`play_team(policy, episodes=8)`: several turns of assistant and checker, who may ask for revisions."""

    def play(
        policy: HFPolicy,
        *,
        episodes: int | Iterable[Episode] = 8,
        roles: tuple[str, ...] = ROLES,
        memory: int = 0,
        **more: Any,
    ) -> list[Trajectory]:
        rollout = Rollout(
            lambda: CollabEnv(guess_task(max_rounds=3), roles=roles),
            dict.fromkeys(roles, policy),
            memory=dict.fromkeys(roles, ShortTermMemory(memory or None, digest=memory // 8)),
            **more,
        )
        chosen = [Episode(seed) for seed in range(episodes)] if isinstance(episodes, int) else episodes
        result = rollout.run(chosen)
        rollout.close()
        assert () == result.dropped
        return result.finished

    return play
