"""Hugging Face policies: whose weights answer, what may depend on the batch, what is kept and what is forgotten."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cmat_env.errors import ConfigError
from cmat_env.policies import hf
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.testing import check_policy
from cmat_env.types import Dialogue, Generation, Message, Policy, TokenPolicy

ModelOf = Callable[..., PreTrainedModel]
ROLES = ("assistant", "checker")
FULL, LORA = AdapterSettings("full"), AdapterSettings("lora", rank=2)


@pytest.fixture
def make(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> Callable[..., HFPolicy]:
    """A policy of both roles; `make("gpt2", LORA)`."""

    def made(family: str = "llama", adapter: AdapterSettings = FULL, most: int = 6) -> HFPolicy:
        sampling = Sampling(max_new_tokens=most)
        return HFPolicy(model_of(family), tokenizer, roles=ROLES, adapter=adapter, sampling=sampling)

    return made


def asked(*contents: str, role: str = "assistant") -> list[Dialogue]:
    """One dialogue each."""
    return [Dialogue(role, seed=i, messages=[Message("user", content)]) for i, content in enumerate(contents)]


def replies(policy: Policy, dialogues: Sequence[Dialogue]) -> list[tuple[int, ...] | None]:
    """The token ids of one turn, without saying it."""
    return [generation.token_ids for generation in policy.generate(dialogues, seed=0)]


def two_turns(policy: Policy, dialogues: Sequence[Dialogue]) -> list[list[int]]:
    """All token ids after two turns."""
    for _ in range(2):
        for dialogue, generation in zip(dialogues, policy.generate(dialogues, seed=0), strict=True):
            dialogue.reply(generation)
            dialogue.say(Message("environment", "higher " * (len(dialogue.messages[0].content) % 5)))
    return [dialogue.token_ids for dialogue in dialogues]


def shake(policy: HFPolicy, role: str) -> None:
    """Move all weights of one role."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        for parameter in policy.weights.policy_parameters(role):
            parameter.add_(0.3 * torch.randn_like(parameter))
    policy.weights_changed()


CONTENTS = ("a", "1 to 16", "higher " * 9, "", "lower")


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_replies_do_not_depend_on_the_batch(
    make: Callable[..., HFPolicy], monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Alone, together, in another order, in parts of two: the same tokens over two turns."""
    policy = make(family)
    together = two_turns(policy, asked(*CONTENTS))
    alone = [two_turns(policy, [dialogue])[0] for dialogue in asked(*CONTENTS)]
    backwards = two_turns(policy, asked(*CONTENTS)[::-1])[::-1]
    monkeypatch.setattr(hf, "MAX_BATCH", 2)
    in_parts = two_turns(policy, asked(*CONTENTS))

    assert together == alone
    assert together == backwards
    assert together == in_parts


def test_the_contract_of_policies_is_kept(make: Callable[..., HFPolicy]) -> None:
    """Also for empty, odd and overlong messages, and roles mixed in one batch."""
    policy = make()

    assert isinstance(policy, TokenPolicy)
    check_policy(policy, roles=ROLES)


@pytest.mark.parametrize("adapter", [FULL, LORA])
def test_each_role_answers_with_its_own_weights(make: Callable[..., HFPolicy], adapter: AdapterSettings) -> None:
    """Moving the checker's weights changes the checker's replies and not one of the assistant's."""
    policy = make(adapter=adapter)
    mixed = [*asked("a", "b"), *asked("a", "b", role="checker")]
    before = replies(policy, mixed)
    shake(policy, "checker")
    after = replies(policy, [*asked("a", "b"), *asked("a", "b", role="checker")])

    assert before[:2] == after[:2]
    assert before[2:] != after[2:]


def test_shared_weights_are_the_same_for_every_role(make: Callable[..., HFPolicy]) -> None:
    """One set of weights: moving them for one role moves the other."""
    policy = make(adapter=AdapterSettings("shared"))
    before = replies(policy, asked("a", role="checker"))
    shake(policy, "assistant")

    assert before != replies(policy, asked("a", role="checker"))


def test_a_role_without_weights_is_refused(make: Callable[..., HFPolicy]) -> None:
    """With the nearest name."""
    with pytest.raises(ConfigError, match="did you mean 'checker'"):
        make().generate(asked("a", role="cheker"), seed=0)


def test_seeds_of_run_dialogue_role_and_turn_each_matter(model_of: ModelOf, tokenizer: PreTrainedTokenizerFast) -> None:
    """Where every token is as likely as any other, replies show the random numbers: no two are alike."""
    model = model_of("llama")
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    policy = HFPolicy(model, tokenizer, roles=ROLES, sampling=Sampling(max_new_tokens=6))
    dialogues = [*asked("a", "a"), *asked("a", role="checker")]
    first = replies(policy, dialogues)
    other_run = [generation.token_ids for generation in policy.generate(dialogues, seed=1)]
    two_turns(policy, dialogues)

    assert 9 == len({*first, *other_run, *replies(policy, dialogues)})


def test_generating_again_without_a_reply_gives_the_same(make: Callable[..., HFPolicy]) -> None:
    """A reply is a proposal until it is said: what was cached for it is no part of the dialogue."""
    policy, dialogues = make(), asked(*CONTENTS)

    assert replies(policy, dialogues) == replies(policy, dialogues)


def test_another_reply_than_the_sampled_one_may_be_said(make: Callable[..., HFPolicy]) -> None:
    """The cache follows the dialogue's ids, not what was proposed: next turn equals that of a fresh policy."""

    def force(policy: HFPolicy) -> list[tuple[int, ...] | None]:
        dialogue = asked("1 to 16")[0]
        policy.generate([dialogue], seed=0)
        dialogue.reply(Generation("8", (21, policy.chat.end_id)))
        dialogue.say(Message("environment", "higher"))
        return replies(policy if policy.sampling.max_new_tokens == 6 else make(), [dialogue])

    assert force(make(most=6)) == force(make(most=1))


def test_weights_changed_forgets_what_belongs_to_the_old_weights(make: Callable[..., HFPolicy]) -> None:
    """In the middle of a dialogue, the next reply is that of a policy that never saw the old weights."""
    policy, fresh = make(), make()
    dialogue = asked("1 to 16")[0]
    dialogue.reply(policy.generate([dialogue], seed=0)[0])
    dialogue.say(Message("environment", "higher"))
    shake(policy, "assistant")
    shake(fresh, "assistant")

    assert replies(fresh, [dialogue]) == replies(policy, [dialogue])


def test_a_twin_with_other_sampling_follows_the_weights(make: Callable[..., HFPolicy]) -> None:
    """Also those of an update after it was made; and it leaves the caches of the first alone."""
    policy = make(most=12)
    twin = policy.with_sampling(Sampling(greedy=True, max_new_tokens=12))
    before = replies(twin, asked("a", "b"))
    shake(policy, "assistant")
    after = replies(twin, asked("a", "b"))

    assert before != after
    assert after == replies(policy.with_sampling(twin.sampling), asked("a", "b"))
    assert not policy.sampling.greedy


@pytest.mark.parametrize("released", [True, False])
def test_memory_does_not_grow_with_the_dialogues(make: Callable[..., HFPolicy], *, released: bool) -> None:
    """300 dialogues, ten at a time, released or simply dropped: a store of 32 lines is enough."""
    policy = make(most=1)
    for _ in range(30):
        dialogues = asked(*"abcdefghij")
        policy.generate(dialogues, seed=0)
        if released:
            policy.release(dialogues)
            policy.release(dialogues)
        del dialogues
    gc.collect()
    store = policy._decoder("assistant").store

    assert 32 > max(store.take() for _ in range(20))


def test_a_full_context_gives_an_empty_reply(make: Callable[..., HFPolicy]) -> None:
    """A dialogue longer than the model can read: cut, not crashed; its neighbour is answered as alone."""
    policy = make()
    long, short = asked("16 " * 200, "b")
    generations = policy.generate([long, short], seed=0)

    assert Generation("", (), (), "length") == generations[0]
    assert (
        policy.generate([Dialogue("assistant", seed=1, messages=[Message("user", "b")])], seed=0)[0] == generations[1]
    )
    long.reply(generations[0])
    long.say(Message("environment", "go on"))
    assert Generation("", (), (), "length") == policy.generate([long], seed=0)[0]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks for it
@pytest.mark.parametrize("adapter", [FULL, LORA])
def test_saved_roles_load_with_their_own_weights(
    make: Callable[..., HFPolicy], tmp_path: Path, adapter: AdapterSettings
) -> None:
    """`load` takes the weights of its role, of a named adapter, or else the base; replies are those of before."""
    policy = make(adapter=adapter)
    for role in ROLES:
        shake(policy, role)
    state = torch.get_rng_state()
    policy.save(tmp_path)
    loaded = {role: HFPolicy.load(tmp_path, roles=(role,), sampling=policy.sampling) for role in (*ROLES, "user")}
    named = HFPolicy.load(tmp_path, roles=("user",), adapter="checker", sampling=policy.sampling)

    assert torch.equal(state, torch.get_rng_state())
    for role in ROLES:
        assert replies(policy, asked("a", "b", role=role)) == replies(loaded[role], asked("a", "b", role=role))
    assert {*ROLES} == {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert replies(loaded["user"], asked("a", role="user")) != replies(named, asked("a", role="user"))


def test_a_saved_lora_leaves_the_base_as_it_was(make: Callable[..., HFPolicy], tmp_path: Path) -> None:
    """What is saved as the base is bit for bit the model that the adapters were put on."""
    make(adapter=AdapterSettings("shared")).save(tmp_path / "plain")
    policy = make(adapter=LORA)
    shake(policy, "assistant")
    policy.save(tmp_path / "lora")
    plain, base = (
        HFPolicy.load(tmp_path / name, roles=("user",)).weights.base.state_dict() for name in ("plain", "lora")
    )

    assert plain.keys() == base.keys()
    assert all(torch.equal(plain[name], base[name]) for name in plain)


def test_state_dict_brings_every_weight_back(make: Callable[..., HFPolicy]) -> None:
    """Policy and value head of both roles, as a checkpoint holds them."""
    policy = make(adapter=LORA)
    state = policy.weights.state_dict()
    before = replies(policy, asked("a"))
    shake(policy, "assistant")
    policy.weights.load_state_dict(state)
    policy.weights_changed()

    assert {"assistant", "checker"} == state.keys()
    assert before == replies(policy, asked("a"))


@pytest.mark.parametrize("adapter", [FULL, LORA])
def test_roles_own_disjoint_parameters(make: Callable[..., HFPolicy], adapter: AdapterSettings) -> None:
    """No tensor belongs to two roles, and none to the frozen base's plain weights under LoRA."""
    policy = make(adapter=adapter)
    owned = [{id(p) for p in policy.weights.policy_parameters(role)} for role in ROLES]

    assert owned[0]
    assert set() == owned[0] & owned[1]
    frozen = {id(p) for name, p in policy.weights.base.named_parameters() if "lora_" not in name}
    assert set() == frozen & (owned[0] | owned[1])


def test_making_a_policy_draws_from_its_own_seed(make: Callable[..., HFPolicy]) -> None:
    """The global random state is neither read nor touched; equal seeds make equal adapters."""
    state = torch.get_rng_state()
    torch.manual_seed(1)
    one = make(adapter=LORA).weights.state_dict()["assistant"]
    torch.manual_seed(2)
    other = make(adapter=LORA).weights.state_dict()["assistant"]
    torch.set_rng_state(state)

    assert all(torch.equal(one[name], other[name]) for name in one)


def test_load_says_what_is_missing(make: Callable[..., HFPolicy], tmp_path: Path) -> None:
    """No folder, no model in it, no such adapter (with those that are there), no weights."""
    with pytest.raises(ConfigError, match=r"no model folder at .*nowhere"):
        HFPolicy.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        HFPolicy.load(tmp_path / "empty")
    make().save(tmp_path / "model")
    with pytest.raises(ConfigError, match="no adapter 'asistant'; it has assistant, checker"):
        HFPolicy.load(tmp_path / "model", adapter="asistant")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="cannot be loaded"):
        HFPolicy.load(tmp_path / "model", roles=("user",))


def test_impossible_adapters_are_refused() -> None:
    """An unknown kind gets the nearest known one, a rank of 0 its least."""
    with pytest.raises(ConfigError, match="did you mean 'lora'"):
        AdapterSettings("lore")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rank=0"):
        AdapterSettings("lora", rank=0)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_merged_lora_says_the_same_and_is_a_plain_model(
    make: Callable[..., HFPolicy], tokenizer: PreTrainedTokenizerFast, tmp_path: Path, family: str
) -> None:
    """After a warm start by LoRA the base holds what was learned; PEFT has left no trace in memory or on disk."""
    policy = make(family, LORA)
    shake(policy, "assistant")
    policy.weights_changed()
    expected = two_turns(policy, asked("a", "bb"))
    policy.weights.merge("assistant")
    policy.weights_changed()

    assert expected == two_turns(policy, asked("a", "bb"))
    policy.save(tmp_path)
    assert not any(path.is_dir() for path in tmp_path.iterdir())
    loaded = HFPolicy.load(tmp_path, sampling=policy.sampling)
    assert expected == two_turns(loaded, asked("a", "bb"))
    again = HFPolicy(loaded.weights.base, tokenizer, adapter=LORA, sampling=policy.sampling)
    assert expected == two_turns(again, asked("a", "bb"))


def test_a_device_that_is_not_here_is_a_clear_error(make: Callable[..., HFPolicy], tmp_path: Path) -> None:
    """With what may be given in its place; "auto" takes what there is."""
    make().save(tmp_path)
    with pytest.raises(ConfigError, match="device='cuda:99' is not here"):
        HFPolicy.load(tmp_path, device="cuda:99")
    assert HFPolicy.load(tmp_path, device="auto", dtype="bfloat16").weights.base.dtype == torch.bfloat16
