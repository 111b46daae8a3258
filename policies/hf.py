"""Hugging Face causal language models as policies: batched, token in and token out, one set of weights per role."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cmat_env.errors import ConfigError
from cmat_env.policies import llama, modules, pretrained, virtual
from cmat_env.policies.adapters import AdapterSettings, RoleModels
from cmat_env.policies.chat import ChatEncoder
from cmat_env.policies.decode import Decoder, Forward, KVStore, OnToken
from cmat_env.policies.lines import Lines
from cmat_env.policies.sampling import Sampling, log_distribution, stream
from cmat_env.types import Dialogue, Evaluation, FinishReason, Generation, TokenBatch

MAX_BATCH = 256


class HFPolicy:
    """A transformers model that plays one or more roles, and can be tuned.

    Args:
        model: a causal language model.
        tokenizer: with a chat template.
        roles: the roles that it plays.
        adapter: what each role owns of the weights.
        sampling: the distribution of replies.
        seed: of what is initialised at random.
        prompt: (P, width) virtual tokens before everything that it reads, with shared weights.
        gradient_checkpointing: in updates keep no more than each layer's input, and compute the rest again on the way
            back: less memory for a third more time, and the same gradients.

    Attributes:
        context: longest dialogue, in tokens.

    Raises:
        ConfigError: the model or the tokenizer is of a kind that is not supported.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        roles: Sequence[str] = ("assistant",),
        adapter: AdapterSettings | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        prompt: torch.Tensor | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        modules.check_head(model)
        self._recompute = gradient_checkpointing
        self.weights = RoleModels(model.eval(), roles, adapter or AdapterSettings(), seed=seed, prompt=prompt)
        self.sampling = sampling or Sampling()
        self.chat = ChatEncoder(tokenizer)
        self._end_ids = self.chat.stop_ids | _declared_ends(model, tokenizer)
        positions = int(getattr(model.config.get_text_config(), "max_position_embeddings", 2048))
        self._virtual = self.weights.virtual_ids
        self.context = positions - len(self._virtual)
        if self.context < 1:
            raise ConfigError(f"{len(self._virtual)} virtual tokens leave no room in a context of {positions} tokens")
        self._forget()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        roles: Sequence[str] = ("assistant",),
        adapter: str | None = None,
        sampling: Sampling | None = None,
        dtype: str = "auto",
        device: str = "cpu",
    ) -> HFPolicy:
        """A policy from a folder in the Hugging Face format.

        Args:
            path: of the model, or of a run's `final/`, whose sub-folders hold the weights of its roles; or
                "hub:OWNER/NAME", which is downloaded from the Hugging Face Hub if it was not before.
            roles: the roles that it plays.
            adapter: sub-folder to take the weights from; by default the one named like the first role, if there is one.
            sampling: the distribution of replies.
            dtype: of the weights, such as "bfloat16"; "auto" = as they were saved.
            device: where they go, such as "cuda:1"; "auto" = to a GPU if there is one.

        Raises:
            ConfigError: the folder is not there or holds no model, or there is no such device.
        """
        folder = pretrained.folder_of(path)
        model, tokenizer, prompt = pretrained.read(
            folder, adapter=adapter, default=roles[0], dtype=dtype, device=device
        )
        shared = AdapterSettings(kind="shared")
        return cls(model, tokenizer, roles=roles, adapter=shared, sampling=sampling, prompt=prompt)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write base, tokenizer and each role's weights in the Hugging Face format."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        with pretrained.without_bars():
            self.weights.save(target)
        self.chat.tokenizer.save_pretrained(target)

    def with_sampling(self, sampling: Sampling) -> HFPolicy:
        """The same weights, now and after any update, under another sampling distribution; caches are not shared."""
        twin = object.__new__(HFPolicy)
        twin.__dict__.update(self.__dict__)
        twin.sampling = sampling
        twin._forget()
        return twin

    # -- acting --------------------------------------------------------------------------------------------------

    def generate(
        self, dialogues: Sequence[Dialogue], *, seed: int, on_token: OnToken | None = None
    ) -> list[Generation]:
        """See `Policy.generate`; dialogues of different roles are answered by their own weights.

        `on_token` is told the dialogue's position and the id of each token as it is sampled.
        """
        if self._version != self.weights.version:
            self._forget()
        self.chat.encode(dialogues)
        replies: dict[int, Generation] = {}
        for role in dict.fromkeys(dialogue.role for dialogue in dialogues):
            mine = [index for index, dialogue in enumerate(dialogues) if dialogue.role == role]
            for start in range(0, len(mine), MAX_BATCH):
                part = mine[start : start + MAX_BATCH]
                answers = self._reply(role, [dialogues[index] for index in part], seed, _at(part, on_token))
                replies.update(zip(part, answers, strict=True))
        return [replies[index] for index in range(len(dialogues))]

    def _reply(self, role: str, dialogues: list[Dialogue], seed: int, on_token: OnToken | None) -> list[Generation]:
        places = [place for place, dialogue in enumerate(dialogues) if len(dialogue.token_ids) < self.context]
        fitting = [dialogues[place] for place in places]
        answers = {id(dialogue): Generation("", (), (), "length") for dialogue in dialogues}
        if fitting:
            decoder = self._decoder(role)
            lines = [self._lines.of(dialogue, decoder.store) for dialogue in fitting]
            wanted = [[*self._virtual, *dialogue.token_ids] for dialogue in fitting]
            cached = [line.fed(ids) for line, ids in zip(lines, wanted, strict=True)]
            replies = decoder.reply(
                [ids[done:] for ids, done in zip(wanted, cached, strict=True)],
                [line.number for line in lines],
                cached,
                [stream(seed, dialogue.seed, role, dialogue.replies) for dialogue in fitting],
                sampling=self.sampling,
                end_ids=self._end_ids,
                context=self.context + len(self._virtual),
                on_token=_at(places, on_token),
            )
            texts = self.chat.decode([reply.token_ids for reply in replies])
            for dialogue, ids, line, reply, text in zip(fitting, wanted, lines, replies, texts, strict=True):
                # The last sampled token has been chosen but not fed: it begins the next turn's chunk.
                line.token_ids = [*ids, *reply.token_ids[:-1]]
                reason: FinishReason = "stop" if reply.ended else "length"
                answers[id(dialogue)] = Generation(text, reply.token_ids, reply.logprobs, reason, values=reply.values)
        return [answers[id(dialogue)] for dialogue in dialogues]

    def release(self, dialogues: Sequence[Dialogue]) -> None:
        """The dialogues are over: their lines of the cache may be used again."""
        self._lines.release(dialogues)

    def weights_changed(self) -> None:
        """What is cached belongs to the weights of before: forget it, also in `with_sampling`'s twins."""
        self.weights.version += 1
        self._forget()

    def _forget(self) -> None:
        """Drop keys, values and merged weights."""
        self._version = self.weights.version
        self._decoders: dict[str, Decoder] = {}
        self._lines = Lines()

    def _decoder(self, role: str) -> Decoder:
        if role not in self._decoders:
            model = self.weights.model(role)
            config = model.config.get_text_config()
            heads = config.num_attention_heads
            fast = self._fast(model)
            store = KVStore(
                layers=config.num_hidden_layers,
                heads=getattr(config, "num_key_value_heads", None) or heads,
                head_size=getattr(config, "head_dim", None) or config.hidden_size // heads,
                dtype=llama.attention_dtype(model) if fast else model.dtype,
                device=model.device,
            )
            if fast:
                with torch.no_grad():
                    forward: Forward = self._llama(model, role).cached
            else:
                forward = modules.make_forward(lambda: self.weights.model(role), self._embed(model, role))
            self._decoders[role] = Decoder(
                forward, lambda hidden: modules.logits(model, hidden), self.weights.value_heads[role], store
            )
        return self._decoders[role]

    # -- learning ------------------------------------------------------------------------------------------------

    def evaluate(self, batch: TokenBatch, role: str) -> Evaluation:
        """See `TokenPolicy.evaluate`: under the same processed distribution that replies are sampled from."""
        model = self.weights.model(role)
        if self._virtual:
            batch = virtual.lengthened(batch, self._virtual)
        before, ends = _before_actions(batch), _row_ends(batch)
        wanted = before | ends
        hidden = self._hidden(model, batch, role, wanted)
        acting = hidden[before[wanted]]
        log_all, logprobs = self._score(model, acting, batch)
        entropy = -(log_all.exp() * log_all.masked_fill(log_all == float("-inf"), 0.0)).sum(-1)
        head = self.weights.value_heads[role]
        return Evaluation(logprobs, head(acting), entropy, head(hidden[ends[wanted]]))

    @torch.no_grad()
    def reference_logprobs(self, batch: TokenBatch, role: str) -> torch.Tensor:
        """See `TokenPolicy.reference_logprobs`."""
        del role  # one frozen base serves every role
        with self.weights.reference() as model:
            return self._score(model, self._hidden(model, batch, None, _before_actions(batch)), batch)[1]

    def _hidden(
        self, model: PreTrainedModel, batch: TokenBatch, role: str | None, wanted: torch.Tensor
    ) -> torch.Tensor:
        """(N, width) final hidden states of the (B, T) wanted tokens; each sees the earlier tokens of its own row."""
        mask = None
        if batch.packed:
            mask = (batch.segments.unsqueeze(-1) == batch.segments.unsqueeze(-2)).tril()
        recompute = self._recompute and torch.is_grad_enabled()
        if self._fast(model):
            whole = None if mask is None else mask.unsqueeze(1)
            return self._llama(model, role, recompute=recompute).whole(batch, whole, wanted)
        places = torch.arange(batch.token_ids.shape[1], device=batch.token_ids.device)
        with modules.recomputing(model, wanted=recompute):
            hidden: torch.Tensor = model.base_model(
                **modules.inputs(batch.token_ids, self._embed(model, role)),
                position_ids=batch.positions,
                attention_mask=mask
                if mask is None
                else modules.attention_mask(model, mask, places.unsqueeze(-1) - places),
                use_cache=False,
            ).last_hidden_state
        return hidden[wanted]

    def _fast(self, model: PreTrainedModel) -> bool:
        """Is it run by `llama`? That merges a LoRA into copies of the weights, whose 16 bits would round it away."""
        return llama.supports(model) and (self.weights.settings.kind != "lora" or model.dtype == torch.float32)

    def _llama(self, model: PreTrainedModel, role: str | None, *, recompute: bool = False) -> llama.LlamaForward:
        """The fast forward pass with a role's adapter, or with none."""
        merged, embed = self.weights.weights_of, self._embed(model, role)
        return llama.LlamaForward(model, lambda linear: merged(role or "", linear), embed, recompute=recompute)

    def _embed(self, model: PreTrainedModel, role: str | None) -> virtual.Embed | None:
        """The embedding of ids where a role has virtual tokens; None = the model's own."""
        prompt = None if role is None else self.weights.prompt(role)
        return None if prompt is None else virtual.embedding(model, prompt)

    def _score(
        self, model: PreTrainedModel, hidden: torch.Tensor, batch: TokenBatch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, V) log-probabilities of what could come after (N, width) states, and (N,) those of the action tokens."""
        chosen = batch.token_ids[batch.action_mask]
        log_all = log_distribution(modules.logits(model, hidden), self.sampling, chosen)
        return log_all, log_all.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    def tokenize(self, dialogue: Dialogue) -> Dialogue:
        """A copy of a dialogue whose replies came as text, now with token ids: for supervised training."""
        return self.chat.tokenize(dialogue)


def _declared_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that the model's generation settings end a reply with, if the tokenizer knows them as special."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    listed = ends if isinstance(ends, list | tuple) else [ends]
    return frozenset(each for each, token in tokenizer.added_tokens_decoder.items() if token.special and each in listed)


def _at(places: Sequence[int], on_token: OnToken | None) -> OnToken | None:
    """`on_token` for rows that stand at these places."""
    return None if on_token is None else lambda row, token_id: on_token(places[row], token_id)


def _before_actions(batch: TokenBatch) -> torch.Tensor:
    """(B, T) True = an action token was sampled from this token's hidden state: it stands before one."""
    return functional.pad(batch.action_mask[:, 1:], (0, 1))


def _row_ends(batch: TokenBatch) -> torch.Tensor:
    """(B, T) True = the last token of a row."""
    following = functional.pad(batch.segments[:, 1:], (0, 1), value=-1)
    return (batch.segments >= 0) & (batch.segments != following)
