"""What rows have in common is computed once, and nothing but the work changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.llama import LlamaForward
from cmat_env.policies.prefixes import distinct
from cmat_env.policies.sampling import Sampling
from cmat_env.tuning.rows import Row, pack
from cmat_env.types import Dialogue, Message

ModelOf = Callable[..., PreTrainedModel]
TASKS = ("guess a number from 1 to 16", "lower " * 7)
ROLES = ("assistant", "checker")


def places(ids: Sequence[Sequence[int]], begins: Sequence[Sequence[int]] | None = None) -> list[list[int]]:
    """Which distinct token each token is, numbered in the order in which they come."""
    tokens = torch.tensor(ids)
    positions = torch.arange(tokens.shape[1]).expand(tokens.shape)
    mask = torch.ones_like(tokens) if begins is None else torch.tensor(begins)
    found = distinct(tokens, positions, mask.bool()).place.tolist()
    numbers = {place: number for number, place in enumerate(dict.fromkeys(found))}
    named = torch.tensor([numbers[place] for place in found]).view(tokens.shape)
    return [[int(each) for each in row] for row in named]


def test_a_common_beginning_counts_once() -> None:
    """Wherever the rows stand; an equal token behind a different one is another."""
    assert [[0, 1, 2], [3, 4, 5], [0, 1, 6], [0, 7, 8]] == places([[7, 8, 9], [1, 8, 9], [7, 8, 5], [7, 6, 9]])


def test_rows_of_one_beginning_may_share_more_with_each_other() -> None:
    """Two of three part later than the third."""
    assert [[0, 1, 2], [0, 3, 4], [0, 1, 5]] == places([[7, 8, 9], [7, 1, 1], [7, 8, 5]])


def test_what_stands_behind_something_else_is_shared_with_nobody() -> None:
    """A row that goes on from a cache, and the second row of a packed line."""
    assert [[0, 1], [2, 3], [0, 1]] == places([[7, 8], [7, 8], [7, 8]], [[1, 1], [0, 0], [1, 1]])
    assert [[0, 1], [0, 2]] == places([[7, 8], [7, 8]], [[1, 0], [1, 0]])


def test_tokens_at_other_positions_are_others() -> None:
    """As in rows that are padded on the left."""
    found = distinct(torch.tensor([[7, 8], [7, 8]]), torch.tensor([[0, 1], [3, 4]]), torch.ones(2, 2).bool())

    assert [0, 1, 2, 3] == found.place.tolist()


def test_padding_is_not_computed() -> None:
    """Only what is needed has a source, and gathering and spreading are inverse there."""
    ids, needed = torch.tensor([[7, 8, 0], [7, 5, 6]]), torch.tensor([[True, True, False], [True, True, True]])
    found = distinct(ids, torch.arange(3).expand(2, 3), needed, needed)

    assert [[5, 6, 7, 8]] == found.gather(ids).sort().values.tolist()
    assert torch.equal(ids[needed], found.spread(found.gather(ids))[needed])


def sampled(policy: HFPolicy, *, samples: int, role: str = "assistant") -> list[Dialogue]:
    """Dialogues of two turns, several a task; the tasks alternate."""
    dialogues = [
        Dialogue(role, seed=i, messages=[Message("system", "Guess."), Message("user", TASKS[i % len(TASKS)])])
        for i in range(samples * len(TASKS))
    ]
    for _ in range(2):
        for dialogue, generation in zip(dialogues, policy.generate(dialogues, seed=0), strict=True):
            dialogue.reply(generation)
            dialogue.say(Message("environment", "higher"))
    return dialogues


def make(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, kind: Literal["full", "lora"], *, length: int = 9
) -> HFPolicy:
    """A policy of two roles whose weights differ from the base."""
    adapter = AdapterSettings(kind, rank=2)
    policy = HFPolicy(model, tokenizer, roles=ROLES, adapter=adapter, sampling=Sampling(max_new_tokens=length))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        for role in ROLES:
            for parameter in policy.weights.policy_parameters(role):
                parameter.add_(0.05 * torch.randn_like(parameter))
    return policy


def plain(model: PreTrainedModel, rows: Sequence[Row]) -> torch.Tensor:
    """Log-probabilities of the action tokens by transformers' own forward pass, row by row."""
    parts = []
    for row in rows:
        ids = torch.from_numpy(row.token_ids)
        logprobs = model(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)
        parts.append(logprobs.gather(-1, ids[1:, None]).squeeze(-1)[torch.from_numpy(row.action_mask[1:])])
    return torch.cat(parts)


def fed_first(dialogue: Dialogue) -> int:
    """How many tokens stand before a dialogue's first reply."""
    return dialogue.turns[0][0]


@pytest.mark.parametrize("width", [0, 150])
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_samples_of_a_task_are_evaluated_as_each_alone(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, kind: Literal["full", "lora"], width: int
) -> None:
    """Log-probabilities, the reference's, and gradients: within 1e-5 of transformers' own, in float32."""
    policy = make(model_of("llama"), tokenizer, kind)
    dialogues = sampled(policy, samples=4)
    rows = [Row(i, np.array(d.token_ids), np.array(d.action_mask), 0) for i, d in enumerate(dialogues)]
    tokens, order = pack(rows, width=width)
    weights = torch.linspace(-1, 1, int(tokens.action_mask.sum()))
    parameters = policy.weights.policy_parameters("assistant")
    ways = (
        policy.evaluate(tokens, "assistant").logprobs,
        plain(policy.weights.model("assistant"), [rows[i] for i in order]),
    )
    gradients = [torch.autograd.grad((way * weights).mean(), parameters, allow_unused=True) for way in ways]
    evaluated = [way.detach() for way in ways]
    with torch.no_grad(), policy.weights.reference() as base:
        reference = plain(base, [rows[i] for i in order])

    assert bool(width) == tokens.packed
    assert torch.float32 == evaluated[0].dtype
    assert evaluated[0].allclose(evaluated[1], rtol=0, atol=1e-5)
    assert policy.reference_logprobs(tokens, "assistant").allclose(reference, rtol=0, atol=1e-5)
    assert any(each.abs().max() > 1e-3 for each in gradients[1] if each is not None)
    for ours, wanted in zip(*gradients, strict=True):
        assert (ours is None) == (wanted is None)
        assert ours is None or ours.allclose(wanted, rtol=0, atol=1e-5)


def test_samples_of_a_task_are_told_apart_by_their_seeds_alone(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Played side by side, each says what it says alone, with probabilities within 1e-5 of transformers' own."""
    policy = make(model_of("llama"), tokenizer, "full")
    dialogues = sampled(policy, samples=4)

    assert 8 == len({tuple(dialogue.token_ids) for dialogue in dialogues})
    for index, dialogue in enumerate(dialogues):
        alone = make(model_of("llama"), tokenizer, "full")
        again = Dialogue("assistant", seed=index, messages=list(dialogue.messages[:2]))
        for _ in range(2):
            again.reply(alone.generate([again], seed=0)[0])
            again.say(Message("environment", "higher"))
        row = Row(0, np.array(dialogue.token_ids), np.array(dialogue.action_mask), 0)
        with torch.no_grad():
            wanted = plain(policy.weights.model("assistant"), [row])

        assert dialogue.token_ids == again.token_ids
        said = torch.tensor(dialogue.logprobs)[torch.tensor(dialogue.action_mask)]
        assert said.allclose(wanted, rtol=0, atol=1e-5)


def test_the_layers_see_what_is_shared_once(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four samples of each of two tasks: three times the statements are not fed, neither to sample nor to evaluate."""
    policy = make(model_of("llama"), tokenizer, "full", length=3)
    fed: list[int] = []
    run = LlamaForward._run

    def counted(self: LlamaForward, ids: torch.Tensor, *others: Any) -> torch.Tensor:
        fed.append(ids.numel())
        return run(self, ids, *others)

    monkeypatch.setattr(LlamaForward, "_run", counted)
    dialogues = sampled(policy, samples=4)
    statements = [len(tokenizer(text)["input_ids"]) for text in TASKS]
    rows = [Row(i, np.array(d.token_ids), np.array(d.action_mask), 0) for i, d in enumerate(dialogues)]
    tokens, _ = pack(rows, width=0)
    asked = 4 * sum(fed_first(dialogue) for dialogue in dialogues[: len(TASKS)])
    policy.evaluate(tokens, "assistant")

    assert fed[0] <= asked - 3 * sum(statements)
    assert fed[-1] <= int((tokens.segments >= 0).sum()) - 3 * sum(statements)
