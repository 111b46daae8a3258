"""P-tuning: virtual tokens before everything that a role reads, in the cache, in packed rows, and on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from cmat_env.errors import ConfigError
from cmat_env.policies import virtual
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.testing import check_policy
from cmat_env.tuning.rows import Row, pack
from cmat_env.types import Dialogue, Message, TokenBatch

ModelOf = Callable[..., PreTrainedModel]
ROLES = ("assistant", "checker")
FAMILIES = ("llama", "qwen2", "qwen3", "gpt2", "gemma2", "gemma3_text", "mistral")
TOKENS = 3


def policy_of(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, family: str, *, tokens: int = TOKENS) -> HFPolicy:
    """Two roles whose virtual tokens have moved away from the words they began at, each its own way."""
    policy = HFPolicy(
        model_of(family),
        tokenizer,
        roles=ROLES,
        adapter=AdapterSettings("ptuning", tokens=tokens),
        sampling=Sampling(max_new_tokens=5),
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        for role in ROLES:
            for parameter in policy.weights.policy_parameters(role):
                parameter.add_(0.3 * torch.randn_like(parameter))
    policy.weights_changed()
    return policy


def play(policy: HFPolicy, *, turns: int = 3, role: str = "assistant") -> list[Dialogue]:
    """Dialogues of different lengths, answered together."""
    dialogues = [Dialogue(role, seed=i, messages=[Message("system", "Guess. " * (1 + i))]) for i in range(4)]
    for turn in range(turns):
        for index, dialogue in enumerate(dialogues):
            dialogue.say(Message("environment", "higher " * (1 + (turn + index) % 3)))
        for dialogue, generation in zip(dialogues, policy.generate(dialogues, seed=0), strict=True):
            dialogue.reply(generation)
    return dialogues


def own(dialogue: Dialogue, values: torch.Tensor) -> torch.Tensor:
    """Of (T,) values those of the role's own tokens."""
    return values[torch.tensor(dialogue.action_mask)]


def rows_of(dialogues: list[Dialogue]) -> list[Row]:
    """Training rows."""
    return [Row(i, np.array(d.token_ids), np.array(d.action_mask), 0) for i, d in enumerate(dialogues)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_are_those_of_peft(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, family: str, role: str
) -> None:
    """Sampled over three turns with a kept cache, and what PEFT's own model says of the saved adapter: within 1e-4."""
    policy = policy_of(model_of, tokenizer, family)
    dialogues = play(policy, role=role)
    policy.save(tmp_path)
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path), str(tmp_path / role)).eval()

    for dialogue in dialogues:
        ids = torch.tensor([dialogue.token_ids])
        with torch.no_grad():
            logits = peft(input_ids=ids).logits[0, TOKENS - 1 : -1]
        wanted = logits.log_softmax(-1).gather(-1, ids[0].unsqueeze(-1)).squeeze(-1)

        assert own(dialogue, torch.tensor(dialogue.logprobs)).allclose(own(dialogue, wanted), rtol=0, atol=1e-4)


@pytest.mark.parametrize("width", [0, 120])
@pytest.mark.parametrize("family", FAMILIES)
def test_ratios_are_one_before_the_first_update(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, family: str, width: int
) -> None:
    """What was sampled turn by turn is evaluated alike, one row a line or packed, for each role."""
    policy = policy_of(model_of, tokenizer, family)
    for role in ROLES:
        dialogues = play(policy, role=role)
        tokens, order = pack(rows_of(dialogues), width=width)
        with torch.no_grad():
            now = policy.evaluate(tokens, role).logprobs
        old = torch.cat([own(dialogues[i], torch.tensor(dialogues[i].logprobs)) for i in order])

        assert bool(width) == tokens.packed
        assert (now - old).abs().max() < 1e-4


def test_gradients_reach_the_role_s_encoder_alone(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> None:
    """Not the other role's, and not the base, which is the reference: without virtual tokens it is what it was."""
    plain = HFPolicy(model_of("llama"), tokenizer, roles=ROLES)
    policy = policy_of(model_of, tokenizer, "llama")
    tokens, _ = pack(rows_of(play(policy)), width=0)
    policy.evaluate(tokens, "assistant").logprobs.sum().backward()

    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.weights.policy_parameters("assistant"))
    assert all(p.grad is None for p in policy.weights.policy_parameters("checker"))
    assert all(p.grad is None for p in policy.weights.base.parameters())
    assert torch.equal(policy.reference_logprobs(tokens, "assistant"), plain.reference_logprobs(tokens, "assistant"))


def test_roles_differ_and_the_base_is_untouched(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> None:
    """Each role reads its own virtual tokens; not a bit of the base has changed."""
    policy = policy_of(model_of, tokenizer, "llama")
    assistant, checker = (play(policy, role=role)[0].token_ids for role in ROLES)
    before, after = model_of("llama").state_dict(), policy.weights.base.state_dict()

    assert assistant != checker
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_virtual_tokens_begin_as_embeddings_begin(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> None:
    """Noise of the spread that the model's configuration gives, the same for the same seed, another one a role."""
    policies = [
        HFPolicy(model_of("llama"), tokenizer, roles=ROLES, adapter=AdapterSettings("ptuning", tokens=99), seed=seed)
        for seed in (0, 0, 1)
    ]
    first, again, other = (policy.weights.prompt("assistant") for policy in policies)
    checker = policies[0].weights.prompt("checker")
    assert first is not None

    assert (99, 16) == tuple(first.shape)
    assert first.std().item() == pytest.approx(0.3, rel=0.1)
    assert [True, False, False] == [torch.equal(first, prompt) for prompt in (again, other, checker)]  # type: ignore[arg-type]


def test_rows_are_lengthened_in_place() -> None:
    """By hand: two rows of a line and one of another, each with ids 90 and 91 before it; padding stays behind."""
    batch = TokenBatch(
        token_ids=torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]),
        positions=torch.tensor([[0, 1, 0, 1], [0, 1, 2, 3]]),
        segments=torch.tensor([[0, 0, 1, 1], [2, 2, -1, -1]]),
        action_mask=torch.tensor([[False, True, False, True], [False, True, False, False]]),
        packed=True,
    )
    longer = virtual.lengthened(batch, [90, 91])
    real = longer.segments >= 0

    assert [[90, 91, 1, 2, 90, 91, 3, 4], [90, 91, 5, 6, 0, 0, 0, 0]] == longer.token_ids.tolist()
    assert [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3] == longer.positions[real].tolist()
    assert [[0, 0, 0, 0, 1, 1, 1, 1], [2, 2, 2, 2, -1, -1, -1, -1]] == longer.segments.tolist()
    assert [[3, 7], [3]] == [line.nonzero().flatten().tolist() for line in longer.action_mask]


def test_a_saved_role_plays_on(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """Loaded by `hf:FOLDER@ROLE` it says what it said, also after it was saved and loaded once more."""
    policy = policy_of(model_of, tokenizer, "llama")
    policy.save(tmp_path / "one")
    wanted = [dialogue.token_ids for dialogue in play(policy, role="checker")]
    again = HFPolicy.load(tmp_path / "one", roles=("checker",), sampling=policy.sampling)
    again.save(tmp_path / "two")
    twice = HFPolicy.load(tmp_path / "two", roles=("checker",), adapter="checker", sampling=policy.sampling)

    assert wanted == [dialogue.token_ids for dialogue in play(again, role="checker")]
    assert wanted == [dialogue.token_ids for dialogue in play(twice, role="checker")]


def test_the_contract_of_policies_is_kept(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> None:
    """Empty, odd and overlong messages: virtual tokens take their share of the context."""
    policy = policy_of(model_of, tokenizer, "gpt2")
    check_policy(policy, roles=ROLES)

    assert 160 - TOKENS == policy.context


def test_weights_come_back_from_a_checkpoint(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> None:
    """A new policy of the same seed with the weights of another one says the same, bit for bit."""
    moved = policy_of(model_of, tokenizer, "llama")
    fresh = HFPolicy(
        model_of("llama"), tokenizer, roles=ROLES, adapter=AdapterSettings("ptuning", tokens=TOKENS),
        sampling=moved.sampling,
    )  # fmt: skip
    fresh.weights.load_state_dict(moved.weights.state_dict())
    fresh.weights_changed()

    assert [(d.token_ids, d.logprobs) for d in play(moved)] == [(d.token_ids, d.logprobs) for d in play(fresh)]


def test_too_many_virtual_tokens_are_refused(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> None:
    """Where nothing else would fit, and where there are none."""
    with pytest.raises(ConfigError, match="160 virtual tokens leave no room in a context of 160"):
        policy_of(model_of, tokenizer, "llama", tokens=160)
    with pytest.raises(ConfigError, match="tokens=0"):
        AdapterSettings("ptuning", tokens=0)
