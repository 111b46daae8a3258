"""One set of weights per role over one base model: shared, a full copy, a LoRA adapter, or virtual tokens.

The frozen base is the reference of the KL penalty; with LoRA it is the same model with the adapter switched off, with
virtual tokens it is the same model without them.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from cmat_env.errors import ConfigError, did_you_mean
from cmat_env.policies import virtual

KINDS = ("shared", "full", "lora", "ptuning")


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """What each role owns.

    Attributes:
        kind: "shared" = every role is the base itself; "full" = a copy of it; "lora" = a low-rank adapter on it;
            "ptuning" = virtual tokens before everything that it reads, made by a small network.
        rank: of the LoRA matrices.
        alpha: LoRA scale times rank; 0 = twice the rank.
        tokens: virtual tokens of P-tuning.
    """

    kind: Literal["shared", "full", "lora", "ptuning"] = "full"
    rank: int = 16
    alpha: int = 0
    tokens: int = 8

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"adapter kind {self.kind!r} is unknown; {did_you_mean(self.kind, KINDS)}")
        for name in ("rank", "tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")


class ValueHead(nn.Module):
    """A small network on the detached hidden state before a token: linear, tanh, linear; it begins at 0.

    No gradient reaches the trunk, so that learning values cannot spoil the policy.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(N, width) -> (N,)."""
        value: torch.Tensor = self.outer(torch.tanh(self.inner(hidden.detach().float()))).squeeze(-1)
        return value


class RoleModels:
    """The weights of every role, and the frozen base.

    Args:
        base: a causal language model; it is frozen unless the kind is "shared".
        roles: who gets weights.
        settings: of which kind.
        seed: of what is initialised at random (LoRA's A matrices, prompt encoders, value heads).
        prompt: (P, width) virtual tokens that every role has and nobody tunes; only where the weights are shared.

    Attributes:
        version: counts the changes of weights; what was computed under another version is stale.
    """

    def __init__(
        self,
        base: PreTrainedModel,
        roles: Sequence[str],
        settings: AdapterSettings,
        *,
        seed: int,
        prompt: torch.Tensor | None = None,
    ) -> None:
        self.base = base
        self.roles = tuple(roles)
        self.settings = settings
        self.version = 0
        self._worn = self.roles[-1] if self.roles else ""
        self._copies: dict[str, PreTrainedModel] = {}
        self._encoders: dict[str, virtual.PromptEncoder] = {}
        self._prompt = prompt
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width = base.config.get_text_config().hidden_size
            self.value_heads = nn.ModuleDict({role: ValueHead(width).to(base.device) for role in roles})
            if settings.kind == "full":
                self._copies = {role: copy.deepcopy(base) for role in roles}
            elif settings.kind == "lora":
                self._add_lora()
            elif settings.kind == "ptuning":
                self._encoders = {role: virtual.make_encoder(base, settings.tokens) for role in roles}
        base.requires_grad_(settings.kind == "shared")

    def _add_lora(self) -> None:
        from peft import LoraConfig  # noqa: PLC0415 - four seconds to import

        alpha = self.settings.alpha or 2 * self.settings.rank
        for role in self.roles:
            config = LoraConfig(r=self.settings.rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # one a role is what we want
                self.base.add_adapter(config, adapter_name=role)
        for parameter in self._lora_parameters():  # what is trained needs more than 16 bits
            parameter.data = parameter.data.float()

    def _wear(self, role: str | None) -> None:
        """Let the LoRA of a role take part, or none: as transformers does, which looks up PEFT's version every time."""
        self._worn = role or self._worn
        for module in self.base.modules():
            if hasattr(module, "lora_A"):
                wrapper: Any = module
                wrapper.enable_adapters(role is not None)
                if role is not None:
                    wrapper.set_adapter(role)

    def _lora_parameters(self, role: str = "") -> list[nn.Parameter]:
        """Of a role, or of all."""
        part = f".{role}." if role else ""
        return [parameter for name, parameter in self.base.named_parameters() if "lora_" in name and part in name]

    def model(self, role: str) -> PreTrainedModel:
        """The causal language model with this role's weights active."""
        self._check(role)
        if self.settings.kind == "lora":
            self._wear(role)
        return self._copies.get(role, self.base)

    def prompt(self, role: str) -> torch.Tensor | None:
        """(P, width) the virtual tokens before everything that this role reads, with gradient; None = none."""
        self._check(role)
        prompt: torch.Tensor | None = self._encoders[role]() if role in self._encoders else self._prompt
        return prompt

    @property
    def virtual_ids(self) -> list[int]:
        """The ids of the virtual tokens that come before everything a role reads."""
        count = self.settings.tokens if self._encoders else 0 if self._prompt is None else len(self._prompt)
        return virtual.ids_of(self.base, count)

    @contextmanager
    def reference(self) -> Iterator[PreTrainedModel]:
        """The frozen base.

        Raises:
            ConfigError: the weights are shared, so that no base stays as it was.
        """
        if self.settings.kind == "shared":
            raise ConfigError(
                "shared weights keep no frozen base to measure the KL from; make the policy with "
                "AdapterSettings('full'), AdapterSettings('lora') or AdapterSettings('ptuning')"
            )
        if self.settings.kind != "lora":
            yield self.base
            return
        worn = self._worn
        self._wear(None)
        try:
            yield self.base
        finally:
            self._wear(worn)

    def policy_parameters(self, role: str) -> list[nn.Parameter]:
        """What training this role may change in the language model; disjoint between roles unless "shared"."""
        self._check(role)
        if self.settings.kind == "lora":
            parameters = self._lora_parameters(role)
            for parameter in parameters:
                parameter.requires_grad_(True)
            return parameters
        if self.settings.kind == "ptuning":
            return list(self._encoders[role].parameters())
        model = self._copies.get(role, self.base).requires_grad_(True)
        return list(model.parameters())

    def value_parameters(self, role: str) -> list[nn.Parameter]:
        """The parameters of this role's value head."""
        self._check(role)
        return list(self.value_heads[role].parameters())

    @property
    def device(self) -> torch.device:
        """Where the base is."""
        device: torch.device = self.base.device
        return device

    @staticmethod
    def weights_of(role: str, linear: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The effective weight and bias of a linear module, the role's LoRA merged in if it has one."""
        module: Any = linear  # of torch, or PEFT's wrapper around one
        inner = getattr(module, "base_layer", module)
        weight: torch.Tensor = inner.weight
        if role in getattr(module, "lora_A", {}):
            weight = weight + module.get_delta_weight(role).to(weight.dtype)
        return weight, inner.bias

    @torch.no_grad()
    def merge(self, role: str) -> None:
        """Add the LoRA of a role to the base, and take all of them off: from here on the weights are shared."""
        self._check(role)
        for module in self.base.modules():
            if role in getattr(module, "lora_A", {}):
                inner: Any = module  # PEFT's wrapper around a linear module
                inner.base_layer.weight.copy_(self.weights_of(role, inner)[0])
        _unwrap(self.base)
        self.base.requires_grad_(True)
        self.settings = AdapterSettings("shared")
        self.version += 1

    def state_dict(self) -> dict[str, dict[str, torch.Tensor]]:
        """By role, everything that tuning may change, its value head too."""
        return {
            role: {
                **{f"policy.{i}": p.detach().clone() for i, p in enumerate(self.policy_parameters(role))},
                **{f"value.{name}": tensor.clone() for name, tensor in self.value_heads[role].state_dict().items()},
            }
            for role in self.roles
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, dict[str, torch.Tensor]]) -> None:
        """The inverse of `state_dict`."""
        for role in self.roles:
            for i, parameter in enumerate(self.policy_parameters(role)):
                parameter.copy_(state[role][f"policy.{i}"])
            heads = {name[6:]: tensor for name, tensor in state[role].items() if name.startswith("value.")}
            self.value_heads[role].load_state_dict(heads)

    def save(self, folder: Path) -> None:
        """Write the base into `folder` and each role's weights into `folder/ROLE`."""
        if self.settings.kind == "lora":
            self._save_lora(folder)
            return
        self.base.save_pretrained(folder)
        for role, model in self._copies.items():
            model.save_pretrained(folder / role)
        for role in self.roles:
            prompt = self.prompt(role)
            if prompt is not None:
                virtual.save(folder / role, prompt.detach(), base=self.base)

    def _save_lora(self, folder: Path) -> None:
        for role in self.roles:
            self._wear(role)
            self.base.save_pretrained(folder / role)
        plain = {
            name.replace(".base_layer", ""): tensor
            for name, tensor in self.base.state_dict().items()
            if "lora_" not in name
        }
        with torch.device("meta"):  # a shape to save the tensors under: no memory, no random numbers
            shape = type(self.base)(copy.deepcopy(self.base.config))
        nn.Module.to(shape, self.base.dtype)
        shape.save_pretrained(folder, state_dict=plain)

    def _check(self, role: str) -> None:
        if role not in self.roles:
            raise ConfigError(f"this policy has no weights for role {role!r}; {did_you_mean(role, self.roles)}")


def _unwrap(model: PreTrainedModel) -> None:
    """Take PEFT's wrappers off a model."""
    for name, module in list(model.named_modules()):
        if hasattr(module, "lora_A") and hasattr(module, "base_layer"):
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, module.base_layer)
    del model.__dict__["peft_config"]
    model._hf_peft_config_loaded = False
