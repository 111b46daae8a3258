"""Batched decoding: its log-probabilities are the model's own, and what is cached or finished costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cmat_env.errors import ConfigError
from cmat_env.policies import llama, modules
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.decode import Decoder, KVBlock, KVStore, Reply
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling, log_distribution
from cmat_env.types import Dialogue, Message

ModelOf = Callable[..., PreTrainedModel]
END = 0


def play(policy: HFPolicy, *, turns: int, count: int = 5, role: str = "assistant") -> list[Dialogue]:
    """Dialogues of different lengths, all answered together, in another order each turn."""
    dialogues = [Dialogue(role, seed=i, messages=[Message("system", "Guess. " * (1 + i))]) for i in range(count)]
    for turn in range(turns):
        for index, dialogue in enumerate(dialogues):
            dialogue.say(Message("environment", "higher " * (1 + (turn + index) % 3)))
        asked = dialogues[turn:] + dialogues[:turn]
        for dialogue, generation in zip(asked, policy.generate(asked, seed=0), strict=True):
            dialogue.reply(generation)
    return dialogues


def plain_logprobs(model: PreTrainedModel, dialogue: Dialogue, sampling: Sampling) -> torch.Tensor:
    """(T,) log-probability of each token by one plain forward pass over the whole dialogue; 0 for foreign ones."""
    ids = torch.tensor([dialogue.token_ids])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1]
    mine = log_distribution(logits, sampling, ids[0, 1:]).gather(-1, ids[0, 1:, None]).squeeze(-1)
    return torch.where(torch.tensor(dialogue.action_mask[1:]), mine, 0.0)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gpt2", "gemma2", "mistral"])
def test_logprobs_equal_a_plain_forward_pass(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, family: str
) -> None:
    """Within 1e-4 over several turns of ragged dialogues, longer than the window of models that have one."""
    model = model_of(family)
    sampling = Sampling(max_new_tokens=6)
    dialogues = play(HFPolicy(model, tokenizer, sampling=sampling), turns=3)

    assert {"llama": True, "qwen2": True}.get(family, False) == llama.supports(model)
    assert 5 < len({len(d.token_ids) for d in dialogues} | {len(d.turns) for d in dialogues})
    for dialogue in dialogues:
        wanted = plain_logprobs(model, dialogue, sampling)
        assert torch.tensor(dialogue.logprobs[1:]).allclose(wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_logprobs_with_lora_equal_a_plain_forward_pass(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, family: str
) -> None:
    """Two roles, each with its adapter, merged or not: the module's own forward pass with that adapter on."""
    sampling = Sampling(max_new_tokens=5)
    roles = ("assistant", "checker")
    policy = HFPolicy(
        model_of(family), tokenizer, roles=roles, adapter=AdapterSettings("lora", rank=2), sampling=sampling
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for role in roles:
            for parameter in policy.weights.policy_parameters(role):
                torch.nn.init.normal_(parameter, std=0.3)
    played = {role: play(policy, turns=2, count=3, role=role) for role in roles}

    assert played["assistant"][0].token_ids != played["checker"][0].token_ids
    for role in roles:
        model = policy.weights.model(role)
        for dialogue in played[role]:
            wanted = plain_logprobs(model, dialogue, sampling)
            assert torch.tensor(dialogue.logprobs[1:]).allclose(wanted, rtol=0, atol=1e-4)


def test_logprobs_are_those_of_the_processed_distribution(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Temperature and cut-offs are part of what a token was sampled from."""
    model = model_of("llama")
    sampling = Sampling(temperature=0.7, top_k=5, top_p=0.9, max_new_tokens=6)
    for dialogue in play(HFPolicy(model, tokenizer, sampling=sampling), turns=2):
        wanted = plain_logprobs(model, dialogue, sampling)
        assert torch.tensor(dialogue.logprobs[1:]).allclose(wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_greedy_takes_the_most_probable_token(
    model_of: ModelOf, tokenizer: PreTrainedTokenizerFast, family: str
) -> None:
    """Each own token is the argmax of a plain forward pass, whatever the seed."""
    model = model_of(family)
    for dialogue in play(HFPolicy(model, tokenizer, sampling=Sampling(greedy=True, max_new_tokens=4)), turns=2):
        with torch.no_grad():
            best = model(input_ids=torch.tensor([dialogue.token_ids])).logits[0].argmax(-1).tolist()
        own = [index for index, mine in enumerate(dialogue.action_mask) if mine]

        assert [best[index - 1] for index in own] == [dialogue.token_ids[index] for index in own]


class Countdown:
    """A model of ten tokens that counts down from the last token to 0, the end; `calls` are the shapes it is fed."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def forward(self, ids: torch.Tensor, positions: torch.Tensor, block: KVBlock) -> torch.Tensor:
        """Hidden states: the ids, one-hot; the block keeps every id in its slot."""
        self.calls.append((ids.shape[0], ids.shape[1]))
        rows = torch.arange(len(ids)).unsqueeze(-1)
        block.keys[0][rows, :, positions] = ids[..., None, None].float()
        return torch.nn.functional.one_hot(ids, 10).float()

    @staticmethod
    def head(hidden: torch.Tensor) -> torch.Tensor:
        """One less than the token, surely."""
        return torch.nn.functional.one_hot((hidden.argmax(-1) - 1) % 10, 10).float() * 200

    def decoder(self) -> Decoder:
        """With a store of its own."""
        return Decoder(
            self.forward,
            self.head,
            lambda hidden: hidden.argmax(-1) / 10,
            KVStore(layers=1, heads=1, head_size=1, dtype=torch.float32, device=torch.device("cpu")),
        )


def answer(
    decoder: Decoder,
    chunks: Sequence[Sequence[int]],
    *,
    lines: Sequence[int] | None = None,
    cached: Sequence[int] | None = None,
    most: int = 8,
    context: int = 100,
) -> list[Reply]:
    """Replies to these chunks."""
    return decoder.reply(
        chunks,
        lines or [decoder.store.take() for _ in chunks],
        cached or [0] * len(chunks),
        list(range(len(chunks))),
        sampling=Sampling(max_new_tokens=most),
        end_ids={END},
        context=context,
    )


def test_rows_end_by_themselves() -> None:
    """A row that has ended stops there, those beside it go on."""
    replies = answer(Countdown().decoder(), [[3], [9, 9, 1], [2, 5]])

    assert [(2, 1, 0), (0,), (4, 3, 2, 1, 0)] == [reply.token_ids for reply in replies]
    assert [True, True, True] == [reply.ended for reply in replies]
    assert [(0.0, 0.0, 0.0), (0.0,), (0.0,) * 5] == [reply.logprobs for reply in replies]


def test_a_reply_is_cut_at_its_greatest_length() -> None:
    """Two tokens of nine: not ended; a value is that of the token before."""
    (reply,) = answer(Countdown().decoder(), [[9]], most=2)

    assert ((8, 7), (0.0, 0.0), False) == (reply.token_ids, reply.logprobs, reply.ended)
    assert pytest.approx((0.9, 0.8)) == reply.values


def test_a_reply_is_cut_at_the_context() -> None:
    """Six tokens in a context of eight leave two; a full context leaves none, and the others are not disturbed."""
    replies = answer(Countdown().decoder(), [[9] * 6, [9] * 8, [2]], context=8)

    assert [(8, 7), (), (1, 0)] == [reply.token_ids for reply in replies]
    assert [False, False, True] == [reply.ended for reply in replies]


def test_a_finished_row_costs_nothing() -> None:
    """Nine rows end at once: the tenth goes on alone, one row a pass, and its last token is not fed."""
    model = Countdown()
    answer(model.decoder(), [[1]] * 9 + [[5]])

    assert [(10, 1), (1, 1), (1, 1), (1, 1), (1, 1)] == model.calls


def test_earlier_turns_are_not_fed_again() -> None:
    """The second turn feeds the reply's last token and what is new: three tokens, whatever came before."""
    model = Countdown()
    decoder = model.decoder()
    line = decoder.store.take()
    first = answer(decoder, [[7, 7, 7, 7, 3]], lines=[line])[0]
    model.calls.clear()
    second = answer(decoder, [[first.token_ids[-1], 6, 4]], lines=[line], cached=[5 + len(first.token_ids) - 1])[0]

    assert (2, 1, 0) == first.token_ids
    assert (3, 2, 1, 0) == second.token_ids
    assert (1, 3) == model.calls[0]
    held = decoder.store.load(torch.tensor([line]), 11).keys[0].flatten().tolist()
    assert [7, 7, 7, 7, 3, 2, 1, 0, 6, 4, 3] == held


def test_the_store_keeps_every_line_while_rows_drop_out() -> None:
    """Rows that end early are saved before they leave the batch; the last sampled token is not in the store yet."""
    decoder = Countdown().decoder()
    lines = [decoder.store.take() for _ in range(4)]
    answer(decoder, [[4], [1], [8, 2], [1]], lines=lines)
    held = decoder.store.load(torch.tensor(lines), 4).keys[0][:, 0, :, 0].tolist()

    assert [4, 3, 2, 1] == held[0]
    assert [1] == held[1][:1]
    assert [8, 2, 1] == held[2][:3]
    assert [1] == held[3][:1]


def test_a_store_grows_and_keeps_what_it_holds() -> None:
    """More lines and more slots than before: old entries stay where they are, and no line is given out twice."""
    decoder = Countdown().decoder()
    line = decoder.store.take()
    answer(decoder, [[9]], lines=[line], most=3)
    others = [decoder.store.take() for _ in range(100)]
    answer(decoder, [[1] * 90], lines=[others[0]])

    assert 101 == len({line, *others})
    assert [9, 8, 7] == decoder.store.load(torch.tensor([line]), 3).keys[0].flatten().tolist()


def test_lines_given_back_are_used_again() -> None:
    """The store stays as large as the most lines that were in use at once."""
    store = Countdown().decoder().store
    lines = {store.take() for _ in range(5)}
    for line in lines:
        store.give_back(line)

    assert lines == {store.take() for _ in range(5)}


def test_a_model_with_logits_of_its_own_making_is_refused() -> None:
    """A scale that our head does not know would make wrong log-probabilities, silently."""
    from transformers import GraniteConfig, GraniteForCausalLM  # noqa: PLC0415 - for this test alone

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GraniteConfig(
            vocab_size=10,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            logits_scaling=8.0,
            initializer_range=1.0,
        )
        model = GraniteForCausalLM(config)

    with pytest.raises(ConfigError, match="GraniteForCausalLM makes its logits"):
        modules.check_head(model)


def test_layers_without_attention_are_refused(model_of: ModelOf) -> None:
    """Our cache holds keys and values; a state-space layer has none."""
    model = model_of("qwen3")
    model.config.layer_types = ["full_attention", "linear_attention"]
    visible = torch.ones(1, 2, 2, dtype=torch.bool)

    with pytest.raises(ConfigError, match="linear_attention"):
        modules.attention_mask(model, visible, torch.zeros(2, 2))
