"""Gradient checkpointing: less is kept for the way back, and the gradients are the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cmat_env.errors import ConfigError
from cmat_env.policies import modules
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning.rows import Row, pack

ModelOf = Callable[..., PreTrainedModel]


def update(policy: HFPolicy, *, width: int) -> tuple[int, torch.Tensor, list[torch.Tensor]]:
    """What an update keeps for the way back (bytes beside the weights), its log-probabilities, and its gradients."""
    rng = np.random.default_rng(0)
    lengths = (40, 25, 12)
    rows = [Row(index, rng.integers(5, 60, size), np.arange(size) > size // 2, 0) for index, size in enumerate(lengths)]
    batch, _ = pack(rows, width=width)
    weights = {id(parameter.untyped_storage()) for parameter in policy.weights.base.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    parameters = policy.weights.policy_parameters("assistant")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logprobs = policy.evaluate(batch, "assistant").logprobs
    gradients = torch.autograd.grad(logprobs.sum(), parameters, allow_unused=True)
    return sum(kept.values()), logprobs.detach(), [g for g in gradients if g is not None]


@pytest.mark.parametrize("width", [0, 80])
@pytest.mark.parametrize("adapter", ["full", "lora", "ptuning"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral", "gemma2", "gpt2"])
def test_gradients_are_the_same_and_less_is_kept(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, family: str, adapter: str, width: int
) -> None:
    """By our forward pass (llama, qwen2) and by transformers' own, rows apart or packed."""
    found = []
    for recompute in (False, True):
        settings = AdapterSettings(adapter, rank=2)  # type: ignore[arg-type]
        policy = HFPolicy(model_of(family), tokenizer, adapter=settings, gradient_checkpointing=recompute)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            for parameter in policy.weights.policy_parameters("assistant"):
                parameter.add_(0.05 * torch.randn_like(parameter))
        found.append(update(policy, width=width))
    (whole, expected, gradients), (less, logprobs, again) = found

    assert less < 0.65 * whole  # of two layers; what the log-probabilities need is kept in both
    assert torch.equal(expected, logprobs)
    assert len(gradients) == len(again) > 0
    assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-7) for one, other in zip(gradients, again, strict=True))


def test_nothing_is_recomputed_where_no_gradient_is_wanted(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Sampling and the reference go through the layers once; afterwards the model is as it was."""
    model = model_of("gemma2")
    policy = HFPolicy(model, tokenizer, adapter=AdapterSettings("lora", rank=2), gradient_checkpointing=True)
    before = [layer.forward for layer in model.model.layers]
    update(policy, width=0)

    assert before == [layer.forward for layer in model.model.layers]
    with modules.recomputing(model, wanted=False):
        assert before == [layer.forward for layer in model.model.layers]


def test_a_model_without_such_layers_says_so() -> None:
    """A setting that had no effect would be found out on the GPU, by running out of memory."""
    with (
        pytest.raises(ConfigError, match="set gradient_checkpointing=false"),
        modules.recomputing(
            torch.nn.Linear(2, 2),  # type: ignore[arg-type]
            wanted=True,
        ),
    ):
        pass
