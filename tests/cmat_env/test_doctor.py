"""`cmat doctor ENV --model FOLDER`: sound tasks and models pass, and each broken invariant is found by name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cmat_env import registry
from cmat_env.cli import main
from cmat_env.collab import CollabEnv
from cmat_env.doctor import examine
from cmat_env.errors import ConfigError, ContractError
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer
from cmat_env.types import Task

NAMES = (
    *("task contract", "team contract", "template", "seeds", "rewards"),
    *(f"{what}, {role}" for role in ("assistant", "checker") for what in ("mask", "ratio", "credit")),
    "adapters",
)


@pytest.fixture
def game(guess_task: type[Task]) -> Iterator[str]:
    """The id of a registered game."""
    registry.register("test/Guess-v0", guess_task)
    yield "test/Guess-v0"
    registry._registry.pop("test/Guess-v0")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of a few thousand parameters."""
    torch.set_num_threads(1)
    tokenizer = train_tokenizer(["Guess a number", "higher", "lower", "Verdict: approve"] * 4, vocabulary=300)
    size = TinyConfig(vocabulary=300, width=16, layers=1, heads=2, feed_forward=32, context=500, init_std=0.3)
    policy = HFPolicy(make_model(tokenizer, size, seed=0), tokenizer, adapter=AdapterSettings("shared"))
    folder = tmp_path_factory.mktemp("model")
    policy.save(folder)
    return folder


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The game's contracts, which other tests look at, are taken for kept: two seconds a test."""
    for check in ("check_task", "check_collab"):
        monkeypatch.setattr(f"cmat_env.doctor.{check}", lambda make: None)


def findings(game: str, model: Path, **settings: Any) -> dict[str, bool | None]:
    """By name, whether each invariant holds."""
    return {finding.name: finding.holds for finding in examine(game, model=model, **settings)}


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("adapter", ["lora", "full", "ptuning"])
def test_a_sound_model_on_a_sound_task_passes(game: str, model: Path, adapter: Any) -> None:
    """Every invariant is looked at, and none is broken; a remark is no failure."""
    found = findings(game, model, adapter=adapter)

    assert list(NAMES) == list(found)
    assert [] == [name for name, holds in found.items() if holds is False]
    assert all(found[name] for name in ("template", "ratio, assistant", "mask, checker", "adapters"))


def test_a_task_is_checked_without_a_model(game: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripted policies play; each line says what was found."""
    assert 0 == main(["doctor", game])
    assert list(NAMES[:2]) + list(NAMES[3:5]) == [
        line[4:22].strip() for line in capsys.readouterr().out.splitlines() if line[:3] in ("ok ", "-  ")
    ]


@pytest.mark.parametrize("broken", ["check_task", "check_collab"])
def test_a_broken_contract_is_found(game: str, kept: None, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """What the check says is the value of the finding, and the others are looked at all the same."""
    del kept

    def raises(make: object) -> None:
        raise ContractError("this is broken")

    monkeypatch.setattr(f"cmat_env.doctor.{broken}", raises)
    found = list(examine(game))

    assert [("this is broken", {"check_task": 0, "check_collab": 1}[broken])] == [
        (finding.value, place) for place, finding in enumerate(found) if finding.holds is False
    ]
    assert 4 == len(found)


class Leaky:
    """A way to break a policy, and the invariant that should notice."""

    @staticmethod
    def ratio(monkeypatch: pytest.MonkeyPatch) -> None:
        """Replies are sampled under another temperature than they are evaluated under."""
        generate = HFPolicy._reply

        def hotter(self: HFPolicy, *arguments: Any) -> Any:
            kept, self.sampling = self.sampling, Sampling(temperature=3.0, max_new_tokens=8)
            try:
                return generate(self, *arguments)
            finally:
                self.sampling = kept

        monkeypatch.setattr(HFPolicy, "_reply", hotter)

    @staticmethod
    def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
        """Both roles own the assistant's weights."""
        from cmat_env.policies.adapters import RoleModels  # noqa: PLC0415 - the class that is broken

        mine = RoleModels.policy_parameters
        monkeypatch.setattr(RoleModels, "policy_parameters", lambda self, role: mine(self, "assistant"))

    @staticmethod
    def virtual(monkeypatch: pytest.MonkeyPatch) -> None:
        """Virtual tokens are read while sampling, and forgotten when the reply is evaluated."""
        from cmat_env.policies import virtual  # noqa: PLC0415 - the module that is broken

        monkeypatch.setattr(virtual, "lengthened", lambda batch, ids: batch)

    @staticmethod
    def mask(monkeypatch: pytest.MonkeyPatch) -> None:
        """A dialogue marks one token too many."""
        from cmat_env.types import Dialogue  # noqa: PLC0415

        encode = Dialogue.encode

        def marked(self: Dialogue, token_ids: Any) -> None:
            encode(self, token_ids)
            self.action_mask[-1] = True

        monkeypatch.setattr(Dialogue, "encode", marked)

    @staticmethod
    def seeds(monkeypatch: pytest.MonkeyPatch) -> None:
        """Replies depend on the dialogue's place in the batch."""
        generate = HFPolicy._reply

        def shifted(self: HFPolicy, role: str, dialogues: Any, seed: int, on_token: Any) -> Any:
            return generate(self, role, dialogues, seed + len(dialogues), on_token)

        monkeypatch.setattr(HFPolicy, "_reply", shifted)

    @staticmethod
    def rewards(monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever acts is given a little that no payment accounts for."""
        step = CollabEnv.step

        def generous(self: CollabEnv, action: Any) -> None:
            agent = self.agent_selection
            step(self, action)
            if agent in self.rewards:
                self.rewards[agent] += 0.25

        monkeypatch.setattr(CollabEnv, "step", generous)

    @staticmethod
    def credit(monkeypatch: pytest.MonkeyPatch) -> None:
        """No payment reaches a token."""
        from cmat_env.tuning import rows  # noqa: PLC0415 - the module that is broken

        def nothing(trajectory: Any, role: str, turns: Any) -> list[float]:
            return [0.0] * len(turns)

        monkeypatch.setattr(rows, "_token_rewards", nothing)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("broken", ["ratio", "adapters", "mask", "seeds", "rewards", "credit"])
def test_a_broken_invariant_is_found(
    game: str, model: Path, monkeypatch: pytest.MonkeyPatch, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, and a line that begins with "no" and the invariant's name."""
    getattr(Leaky, broken)(monkeypatch)

    assert 1 == main(["doctor", game, "--model", str(model), "--episodes", "3"])
    wrong = {line[4:22].strip().partition(",")[0] for line in capsys.readouterr().out.splitlines() if line[:2] == "no"}
    assert broken in wrong


@pytest.mark.usefixtures("kept")
def test_a_template_that_rewrites_earlier_turns_is_remarked_on(game: str, model: Path, tmp_path: Path) -> None:
    """Thoughts of earlier turns are dropped, as Qwen3 does: no failure, since what was sampled is kept all the same."""
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% if m['role'] == 'assistant' and not loop.last %}"
        "{{ m['content'].split('</think>')[-1] }}{% else %}{{ m['content'] }}{% endif %}{{ '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    found = findings(game, folder, episodes=2)

    assert found["template"] is None
    assert [] == [name for name, holds in found.items() if holds is False]


@pytest.mark.usefixtures("kept")
def test_virtual_tokens_that_go_missing_are_found(game: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply was sampled behind them and is evaluated without: the ratio is not 1, and moving them moves nothing."""
    Leaky.virtual(monkeypatch)
    found = findings(game, model, adapter="ptuning", episodes=3)

    assert ["ratio, assistant", "ratio, checker", "adapters"] == [name for name in found if found[name] is False]


def test_mistakes_are_named(game: str, model: Path) -> None:
    """No such adapter, no such environment, one episode."""
    assert 2 == main(["doctor", game, "--model", str(model), "--adapter", "lore"])
    assert 2 == main(["doctor", "test/Gess-v0"])
    with pytest.raises(ConfigError, match="at least 2"):
        next(examine(game, episodes=1))
