"""Real chat models in miniature: under every template tokens are kept, and probabilities are transformers'."""

from __future__ import annotations

import copy
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from cmat_env.cli import main
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.chat import ChatEncoder
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.testing import check_policy
from cmat_env.tuning.rows import Row, pack
from cmat_env.types import Dialogue, Generation, Message

families: Any = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("families.py"))))
FAMILIES, tokenizer_of = families.FAMILIES, families.tokenizer_of

ModelOf = Callable[..., PreTrainedModel]
ROLES = ("assistant", "checker")
NAMES = tuple(FAMILIES)


def policy_of(
    model_of: ModelOf, name: str, *, dtype: torch.dtype = torch.float32, adapter: str = "full", side: str = "right"
) -> HFPolicy:
    """A policy of a family's model with the family's template, and a vocabulary for its tokens."""
    tokenizer = copy.deepcopy(tokenizer_of(name))
    tokenizer.padding_side = side
    model = model_of(FAMILIES[name].model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    torch.nn.Module.to(model, dtype)
    return HFPolicy(
        model,
        tokenizer,
        roles=ROLES,
        adapter=AdapterSettings(adapter, rank=2),  # type: ignore[arg-type]
        sampling=Sampling(max_new_tokens=8),
    )


def played(policy: HFPolicy, *, turns: int = 3) -> list[Dialogue]:
    """Dialogues of different lengths after some sampled turns."""
    dialogues = [
        Dialogue("assistant", seed=i, messages=[Message("system", "Guess."), Message("user", "1 to 16 " * i)])
        for i in range(1, 5)
    ]
    for _ in range(turns):
        for dialogue, generation in zip(dialogues, policy.generate(dialogues, seed=0), strict=True):
            dialogue.reply(generation)
            dialogue.say(Message("environment", "higher"))
    return dialogues


def sampled(dialogues: Sequence[Dialogue]) -> torch.Tensor:
    """(N,) log-probabilities of the replies' tokens, as they were sampled."""
    return torch.tensor([p for d in dialogues for p, mine in zip(d.logprobs, d.action_mask, strict=True) if mine])


def evaluated(policy: HFPolicy, dialogues: Sequence[Dialogue], *, width: int) -> torch.Tensor:
    """(N,) the same as `evaluate` sees them, in rows packed to a width; 0 = a row a line."""
    rows = []
    for number, dialogue in enumerate(dialogues):
        end = dialogue.turns[-1][1]
        ids, mask = torch.tensor(dialogue.token_ids[:end]).numpy(), torch.tensor(dialogue.action_mask[:end]).numpy()
        rows.append(Row(number, ids, mask, 0))
    batch, order = pack(rows, width=width)
    parts = dict(
        zip(order, policy.evaluate(batch, "assistant").logprobs.split([rows[i].actions for i in order]), strict=True)
    )
    return torch.cat([parts[i] for i in range(len(rows))]).detach()


def by_transformers(policy: HFPolicy, dialogues: Sequence[Dialogue], side: str) -> torch.Tensor:
    """(N,) the same from the model as transformers runs it, padded on one side."""
    policy.chat.tokenizer.pad_token = policy.chat.tokenizer.pad_token or policy.chat.tokenizer.eos_token
    ends = [dialogue.turns[-1][1] for dialogue in dialogues]
    lines = [{"input_ids": d.token_ids[:end]} for d, end in zip(dialogues, ends, strict=True)]
    batch = policy.chat.tokenizer.pad(lines, padding_side=side, return_tensors="pt")
    mask = batch["attention_mask"]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        model = policy.weights.model("assistant")
        logits = model(input_ids=batch["input_ids"], attention_mask=mask, position_ids=positions).logits
    found = []
    for line, (dialogue, end) in enumerate(zip(dialogues, ends, strict=True)):
        first = mask.shape[1] - end if side == "left" else 0
        for position in range(end):
            if dialogue.action_mask[position]:
                row = logits[line, first + position - 1].float().log_softmax(-1)
                found.append(row[dialogue.token_ids[position]])
    return torch.stack(found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("replies", [("8", "12"), ("<think>\nhm\n</think>\n\n8", "12")])
@pytest.mark.parametrize("end", [True, False])
def test_a_dialogue_reads_as_the_family_writes_it(
    said: Callable[..., Dialogue], name: str, replies: tuple[str, str], *, end: bool
) -> None:
    """Frames as in the template, replies as they were sampled, also where the template would rewrite them later."""
    chat = ChatEncoder(tokenizer_of(name))
    dialogue = said(chat, replies, end=end)
    own = [token for token, mine in zip(dialogue.token_ids, dialogue.action_mask, strict=True) if mine]

    assert FAMILIES[name].style == chat.template.style
    assert FAMILIES[name].text.format(*replies) == chat.tokenizer.decode(dialogue.token_ids)
    assert "".join(reply + chat.template.end * end for reply in replies) == chat.tokenizer.decode(own)


@pytest.mark.parametrize("name", NAMES)
def test_nobody_writes_another_ones_turn(name: str) -> None:
    """Whatever special tokens of the family an environment spells, there is one end of turn a frame."""
    chat = ChatEncoder(tokenizer_of(name))
    honest, forged = (
        Dialogue("assistant", messages=[Message("user", text)]) for text in ("a", "a" + "".join(FAMILIES[name].special))
    )
    chat.encode([honest, forged])
    special = set(chat.tokenizer.all_special_ids) | set(chat.tokenizer.added_tokens_decoder)

    assert [t for t in honest.token_ids if t in special] == [t for t in forged.token_ids if t in special]


@pytest.mark.parametrize("name", NAMES)
def test_a_role_may_speak_first(name: str) -> None:
    """With a system prompt alone, or with nothing at all, and the dialogue goes on."""
    chat = ChatEncoder(tokenizer_of(name))
    for messages in ([Message("system", "Guess.")], []):
        dialogue = Dialogue("assistant", messages=messages)
        for _ in range(2):
            chat.encode([dialogue])
            dialogue.reply(Generation("8", (30, chat.end_id)))
            dialogue.say(Message("environment", "higher"))
        chat.encode([dialogue])
        assert 2 == len(dialogue.turns)
        assert dialogue.token_ids.count(chat.end_id) >= 2


@pytest.mark.parametrize("adapter", ["full", "lora"])
@pytest.mark.parametrize("name", NAMES)
def test_ratios_are_one_before_the_first_update(model_of: ModelOf, name: str, adapter: str) -> None:
    """What was sampled turn by turn with a kept cache is evaluated alike, one row a line or packed."""
    policy = policy_of(model_of, name, adapter=adapter)
    dialogues = played(policy)

    for width in (0, 400):
        assert (evaluated(policy, dialogues, width=width) - sampled(dialogues)).abs().max() < 2e-5


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_those_of_transformers(model_of: ModelOf, name: str, side: str) -> None:
    """Whichever side the tokenizer pads on, and whichever side transformers itself is given padding on."""
    policy = policy_of(model_of, name, side=side)
    dialogues = played(policy)

    assert (by_transformers(policy, dialogues, side) - sampled(dialogues)).abs().max() < 2e-5


@pytest.mark.parametrize("side", ["left", "right"])
def test_absolute_positions_are_given(model_of: ModelOf, side: str) -> None:
    """GPT-2 has no rotary embedding: without position_ids, padding on the left would shift every position."""
    tokenizer = copy.deepcopy(tokenizer_of("qwen2.5"))
    tokenizer.padding_side = side
    model = model_of("gpt2")
    with torch.random.fork_rng(devices=[]):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    policy = HFPolicy(model, tokenizer, roles=ROLES, sampling=Sampling(max_new_tokens=4))
    dialogues = played(policy, turns=1)

    assert (by_transformers(policy, dialogues, side) - sampled(dialogues)).abs().max() < 2e-5


@pytest.mark.parametrize("adapter", ["full", "lora"])
@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_near_one(model_of: ModelOf, name: str, adapter: str) -> None:
    """Eight bits of mantissa: replies are sampled, kept and evaluated, with ratios near 1 instead of at it."""
    policy = policy_of(model_of, name, dtype=torch.bfloat16, adapter=adapter)
    dialogues = played(policy)
    off = (evaluated(policy, dialogues, width=0) - sampled(dialogues)).abs()

    assert torch.bfloat16 == policy.weights.model("assistant").dtype
    assert off.mean() < 0.005
    assert off.max() < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_a_lora_is_trained_in_32_bits_over_a_base_of_16(model_of: ModelOf, name: str) -> None:
    """A change below the base's precision is kept, and moves what is said; merged, a third of it would be lost."""
    policy = policy_of(model_of, name, dtype=torch.bfloat16, adapter="lora")
    dialogues = played(policy, turns=1)
    before = evaluated(policy, dialogues, width=0)
    for parameter in policy.weights.policy_parameters("assistant"):
        assert torch.float32 == parameter.dtype
        parameter.data.add_(2e-3)
    layers: list[Any] = [module for module in policy.weights.base.modules() if hasattr(module, "lora_A")]
    merged = [policy.weights.weights_of("assistant", layer)[0] - layer.base_layer.weight for layer in layers]
    lost = sum(int((change == 0).sum()) for change in merged) / sum(change.numel() for change in merged)

    assert lost > 0.3
    assert (evaluated(policy, dialogues, width=0) - before).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_of_policies_is_kept(model_of: ModelOf, name: str) -> None:
    """Empty, odd and overlong messages, several turns, roles mixed in one batch."""
    check_policy(policy_of(model_of, name), roles=ROLES)


def test_every_declared_end_stops_a_reply(model_of: ModelOf) -> None:
    """A model may end with the end of the text, or with another token that its generation settings name."""
    policy = policy_of(model_of, "llama3")
    ids = policy.chat.tokenizer.convert_tokens_to_ids
    assert {ids("<|eot_id|>"), ids("<|end_of_text|>")} <= policy._end_ids

    model = model_of("llama")
    with torch.random.fork_rng(devices=[]):
        model.resize_token_embeddings(len(tokenizer_of("llama3")), mean_resizing=False)
    model.generation_config.eos_token_id = [ids("<|start_header_id|>"), 40]
    assert {*policy.chat.stop_ids, ids("<|start_header_id|>")} == HFPolicy(model, tokenizer_of("llama3"))._end_ids


def test_a_saved_model_keeps_its_precision_and_its_words(model_of: ModelOf, tmp_path: Path) -> None:
    """A folder in bfloat16 is loaded in bfloat16, and plays the same tokens."""
    policy_of(model_of, "llama3", dtype=torch.bfloat16, adapter="shared").save(tmp_path / "a")
    loaded = HFPolicy.load(tmp_path / "a", sampling=Sampling(max_new_tokens=8))
    loaded.save(tmp_path / "b")
    again = HFPolicy.load(tmp_path / "b", sampling=loaded.sampling)

    assert torch.bfloat16 == loaded.weights.base.dtype == again.weights.base.dtype
    assert [d.token_ids for d in played(loaded)] == [d.token_ids for d in played(again)]


def test_a_folder_without_a_template_says_what_to_do(
    model_of: ModelOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the folder and the file to put into it; with that file the folder works."""
    policy_of(model_of, "gemma2", adapter="shared").save(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()

    assert 2 == main(["eval", "cmat/DB-v0", "--assistant", f"hf:{tmp_path}", "--episodes", "1"])
    [line] = capsys.readouterr().err.splitlines()
    assert f"the tokenizer of {tmp_path} has no chat template; put the one" in line
    assert "into chat_template.jinja beside it" in line
    (tmp_path / "chat_template.jinja").write_text(families.GEMMA2)
    assert FAMILIES["gemma2"].style == HFPolicy.load(tmp_path).chat.template.style
