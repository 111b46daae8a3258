"""TinyAgent: a model from scratch that Hugging Face's own loaders read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from cmat_env.errors import ConfigError
from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer

SMALL = TinyConfig(vocabulary=300, width=16, layers=1, heads=2, feed_forward=32, context=64)
PHRASES = ("Action: Operation\n```sql\n", "\n```", "Verdict: approve", "\nProposal:\n", "Proposal:\n")


def ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of plain text."""
    result: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return result


def test_hugging_face_loads_what_is_saved(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """`AutoModelForCausalLM` and `AutoTokenizer`: equal logits, ids, chat template and special tokens."""
    model = make_model(tokenizer, SMALL, seed=0)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, read = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    row = torch.tensor([ids(tokenizer, "guess a number<|end|>")])
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "8"}]

    assert row[0].tolist() == ids(read, "guess a number<|end|>")
    assert torch.equal(model(row).logits, loaded(row).logits)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (read.pad_token_id, read.eos_token_id)
    assert "<|user|>hi<|end|><|assistant|>8<|end|>" == read.apply_chat_template(chat, tokenize=False)


def test_the_global_random_state_is_left_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    """Weights come from the seed given: equal seeds equal weights, and torch's own state stays as it was."""
    before = torch.get_rng_state()
    one, same, other = (make_model(tokenizer, SMALL, seed=seed) for seed in (1, 1, 2))
    after = torch.get_rng_state()
    name = "model.layers.0.mlp.up_proj.weight"

    assert torch.equal(before, after)
    assert torch.equal(one.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])


def test_the_default_size_is_about_six_hundred_thousand() -> None:
    """768 * 128 + 3 * (4 * 128 * 128 + 3 * 128 * 256 + 2 * 128) + 128 = 590,720 with a full vocabulary."""
    rng = random.Random(0)
    words = ["".join(rng.choice("abcdefghij") for _ in range(7)) for _ in range(600)]
    tokenizer = train_tokenizer(words * 2, vocabulary=768)
    model = make_model(tokenizer, TinyConfig(), seed=0)

    assert 768 == len(tokenizer)
    assert 590_720 == sum(parameter.numel() for parameter in model.parameters())


def test_attention_passes_on_half_of_what_it_reads() -> None:
    """Values times outputs are half the identity, in every layer."""
    tokenizer = train_tokenizer(["a"], vocabulary=300)
    model = make_model(tokenizer, TinyConfig(vocabulary=300, width=16, layers=2, heads=2), seed=0)
    for layer in model.model.layers:
        product = layer.self_attn.o_proj.weight @ layer.self_attn.v_proj.weight
        assert torch.allclose(0.5 * torch.eye(16), product, atol=1e-6)


def test_words_with_and_without_a_space_are_one_vector_apart() -> None:
    """ " cat" is "cat" plus a vector that is the same for " dog", so that a copied word may stand after anything."""
    tokenizer = train_tokenizer(["cat dog cat dog", "cat", "dog"] * 9, vocabulary=300)
    embeddings = make_model(tokenizer, SMALL, seed=0).model.embed_tokens.weight
    (cat,), (_cat,), (dog,), (_dog,) = (ids(tokenizer, text) for text in ("cat", " cat", "dog", " dog"))

    assert torch.allclose(embeddings[_cat] - embeddings[cat], embeddings[_dog] - embeddings[dog], atol=1e-6)
    assert not torch.allclose(embeddings[_cat], embeddings[cat])


def test_a_phrase_is_one_token() -> None:
    """Wherever it stands, the longest one first; and it is still text when it is decoded."""
    tokenizer = train_tokenizer(["select 1"], vocabulary=300, phrases=PHRASES)
    for phrase in PHRASES:
        (token,) = ids(tokenizer, phrase)
        assert [token] == [i for i in ids(tokenizer, f"x{phrase}y") if i == token]
        assert phrase == tokenizer.decode([token], skip_special_tokens=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "  two  spaces ",
        "a\tb\r\nc",
        "naïve café",
        "東京 🦊",
        "\x00\x7f",
        "SELECT 'x''y', 3.14;",
        "don't",
        "\u202e",
    ],
)
def test_any_text_comes_back_as_it_was(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    """Every byte is in the alphabet, and nothing is normalised or tidied up."""
    assert text == tokenizer.decode(ids(tokenizer, text), skip_special_tokens=True)


def test_random_text_comes_back_as_it_was(tokenizer: PreTrainedTokenizerFast) -> None:
    """Two hundred strings of any Unicode characters (half surrogate pairs are no characters)."""
    rng = random.Random(0)
    for _ in range(200):
        text = "".join(
            chr(rng.choice((rng.randrange(128), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000))))
            for _ in range(20)
        )
        assert text == tokenizer.decode(ids(tokenizer, text), skip_special_tokens=True)


def test_digits_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    """So that a number is copied digit by digit, whichever number it is."""
    assert ["1", "6", "0"] == [tokenizer.decode([token]) for token in ids(tokenizer, "160")]


@pytest.mark.parametrize(
    ("size", "word"),
    [({"vocabulary": 260}, "261"), ({"width": 130, "heads": 4}, "heads=4"), ({"width": 12, "heads": 4}, "even")],
)
def test_impossible_sizes_are_refused(size: dict[str, int], word: str) -> None:
    """With the setting that does not fit."""
    with pytest.raises(ConfigError, match=word):
        TinyConfig(**size)


def test_more_phrases_than_the_vocabulary_holds_are_refused() -> None:
    """Bytes, special tokens and phrases come first; there must be room for them."""
    with pytest.raises(ConfigError, match=r"vocabulary=262 .* 5 phrases need 266"):
        train_tokenizer(["a"], vocabulary=262, phrases=PHRASES)
