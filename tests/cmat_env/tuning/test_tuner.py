"""The update: whose weights move, by which tokens, how far, and what leaves them as they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from cmat_env.agents.memory_store import LongTermMemory, NewMemory
from cmat_env.errors import ConfigError
from cmat_env.experience import Experience
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.scripted import EchoPolicy
from cmat_env.rollout import Episode, Trials
from cmat_env.trials import credited
from cmat_env.tuning import losses
from cmat_env.tuning.rows import gather, pack, role_batch, scatter
from cmat_env.tuning.settings import ALGORITHMS, GROUPED, TunerSettings
from cmat_env.tuning.tuner import Tuner, schedule
from cmat_env.types import Dialogue, Evaluation, Generation, Message, Payment, Step, TokenBatch, Trajectory

MakePolicy = Callable[..., HFPolicy]
PlayTeam = Callable[..., list[Trajectory]]
Tensors = dict[str, torch.Tensor]
PLAIN = TunerSettings(warmup=0, value_warmup=0, epochs=1, minibatch=0, learning_rate=1e-2, kl_beta=0.0)
ADAPTERS = ("full", "lora", "ptuning")


def settings(**changes: Any) -> TunerSettings:
    """One plain step, but for these changes; reinforce is never given more than one pass."""
    if changes.get("algorithm") == "reinforce":
        changes["epochs"] = 1
    return dataclasses.replace(PLAIN, **changes)


def copied(policy: HFPolicy, role: str) -> list[torch.Tensor]:
    """The weights of a role as they are now."""
    return [parameter.detach().clone() for parameter in policy.weights.policy_parameters(role)]


def same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    """Bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def base_of(policy: HFPolicy) -> list[torch.Tensor]:
    """The frozen base's own tensors as they are now."""
    state = policy.weights.base.state_dict()
    return [tensor.clone() for name, tensor in state.items() if "lora_" not in name]


def paid(trajectories: Sequence[Trajectory], amounts: Sequence[float], role: str = "assistant") -> list[Trajectory]:
    """The same episodes, each paying this role this much for its last turn; paid episodes are the successful ones."""
    result = []
    for trajectory, amount in zip(trajectories, amounts, strict=True):
        last = sum(step.role == role for step in trajectory.steps) - 1
        payment = (Payment(role, amount, "task", last),) if amount else ()
        result.append(dataclasses.replace(trajectory, payments=payment, success=amount > 0))
    return result


def said(policy: HFPolicy, token: int, *, reward: float, episode: int, task: str = "t") -> Trajectory:
    """An episode of one turn and one token, with the log-probability that the policy gives it."""
    dialogue = Dialogue("assistant", seed=episode, messages=[Message("user", "1 to 16")])
    policy.chat.encode([dialogue])
    dialogue.reply(Generation("", (token,), (0.0,)))
    trajectory = Trajectory(
        env_id="bandit",
        task_id=task,
        task_type="",
        seed=episode,
        steps=(Step(0, "assistant_0", "assistant", 0, {"message": "", "speaker": "user"}, Generation("", (token,))),),
        dialogues={"assistant": (dialogue,)},
        payments=(Payment("assistant", reward, "task", 0),) if reward else (),
        success=reward > 0,
        score=reward,
        outcome="",
        terminated=True,
        truncated=False,
    )
    dialogue.logprobs[-1] = logprobs(policy, [trajectory])[0].item()
    return trajectory


def both_said(*, reward: float, episode: int) -> Trajectory:
    """An episode in which assistant and checker said one token each, valued 0, and the assistant alone is paid."""
    steps, dialogues = [], {}
    for index, role in enumerate(("assistant", "checker")):
        spoken = Generation("", (40,), (-1.0,), values=(0.0,))
        dialogue = Dialogue(role, seed=episode, messages=[Message("user", "1 to 16")])
        dialogue.encode([1, 2])
        dialogue.reply(spoken)
        steps.append(Step(index, f"{role}_0", role, 0, {"message": "", "speaker": "user"}, spoken))
        dialogues[role] = (dialogue,)
    paid = (Payment("assistant", reward, "task", 0),)
    return Trajectory("bandit", "t", "", episode, tuple(steps), dialogues, paid, True, reward, "over", True, False)


def logprobs(policy: HFPolicy, trajectories: Sequence[Trajectory], role: str = "assistant") -> torch.Tensor:
    """(N,) of all action tokens, episode by episode, as the policy evaluates them now."""
    batch = role_batch(trajectories, role)
    tokens, order = pack(batch.rows, width=0)
    now = torch.zeros_like(batch.logprobs)
    with torch.no_grad():
        scatter(policy.evaluate(tokens, role).logprobs, now, batch.rows, order)
    return now[batch.mask]


# -- ratio 1 at step 0 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [{}, {"temperature": 0.7, "top_k": 5}, {"temperature": 0.7, "top_p": 0.9}], ids=str)
@pytest.mark.parametrize("model", ["full llama", "lora llama", "full qwen3", "float32"])
def test_the_ratio_is_one_before_the_first_step(
    make_policy: MakePolicy, play_team: PlayTeam, model: str, cut: dict[str, Any]
) -> None:
    """What was sampled is what is trained on: several turns, two roles, packed, under any sampling distribution."""
    adapter, _, family = model.rpartition(" ")
    kind = {"adapter": adapter, "family": family, "dtype": torch.float64} if adapter else {"dtype": torch.float32}
    policy = make_policy(**kind, **cut)
    trajectories = play_team(policy, episodes=4)
    for role in ("assistant", "checker"):
        batch = role_batch(trajectories, role)
        tokens, order = pack(batch.rows, width=400)
        with torch.no_grad():
            ratio = (policy.evaluate(tokens, role).logprobs - gather(batch.logprobs, batch.rows, order)).exp()

        assert 3 <= int(batch.turns.max()) + 1
        assert (ratio - 1).abs().max().item() < (1e-9 if adapter else 1e-4)


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_ratio_is_one_under_a_budget_that_bites(make_policy: MakePolicy, play_team: PlayTeam, adapter: str) -> None:
    """Shortened dialogues, reflections, recalled words: each is trained on under exactly the context it was said in."""
    policy = make_policy(adapter=adapter, dtype=torch.float64)
    with LongTermMemory(":memory:") as memory:
        memory.add(NewMemory(role, "custom", "say a number") for role in ("assistant", "checker"))
        known = Experience(memory, writes=False)
        asked = {"assistant": "Not solved: {outcome}.", "checker": "Not solved: {outcome}."}
        again = Trials(2, requests=asked)
        trajectories = play_team(policy, episodes=4, memory=60, trials=again, experience=known)
    for role in ("assistant", "checker"):
        dialogues = [dialogue for each in trajectories for dialogue in each.dialogues[role]]
        assert len(dialogues) > len(trajectories) > 4  # the budget bites, and there are second trials
        assert any("left out" in message.content for dialogue in dialogues for message in dialogue.messages)
        reflected = [
            step for each in trajectories for step in each.steps if (step.role, step.kind) == (role, "reflect")
        ]
        assert reflected
        batch = role_batch(trajectories, role)
        assert sum(len(step.generation.token_ids or ()) for each in trajectories for step in each.steps
                   if step.role == role) == int(batch.mask.sum())  # fmt: skip
        tokens, order = pack(batch.rows, width=400)
        with torch.no_grad():
            ratio = (policy.evaluate(tokens, role).logprobs - gather(batch.logprobs, batch.rows, order)).exp()

        assert (ratio - 1).abs().max().item() < 1e-9


def test_a_reflection_is_credited_where_it_was_written(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """What the next trial gained lies on the reflection's last token, and trials of a task are groups of their own."""
    policy = make_policy()
    one, two = play_team(policy, episodes=1, roles=("assistant",), trials=Trials(2))
    gained = [
        dataclasses.replace(trial, payments=(Payment("assistant", amount, "task", 0),))
        for trial, amount in ((one, 0.25), (two, 1.0))
    ]
    trials = credited(gained, reward=2.0)
    batch = role_batch(trials, "assistant")
    written = int(batch.mask[0].sum())

    assert [0.25, 1.5] == [float(value) for value in batch.rewards[0] if value]
    assert 1.5 == float(batch.rewards[0, written - 1])
    assert [0, 1] == batch.groups.tolist()
    assert ["act", "reflect"] == [trials[0].steps[0].kind, trials[0].steps[-1].kind]


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "dpo"])
def test_the_tuner_measures_a_ratio_of_one(make_policy: MakePolicy, play_team: PlayTeam, algorithm: str) -> None:
    """In a single step nothing has moved yet: mean ratio 1, nothing clipped."""
    policy = make_policy(dtype=torch.float64)
    trajectories = paid(play_team(policy, episodes=4), [1.0, 0.0, 0.0, 1.0])
    one_task = [dataclasses.replace(t, task_id="t") for t in trajectories]
    statistics = Tuner(policy, ["assistant"], settings(algorithm=algorithm)).update(one_task)["assistant"]

    assert statistics["ratio"] == pytest.approx(1.0, abs=1e-9)
    assert 0.0 == statistics.get("clip_fraction", 0.0)
    assert ("clip_fraction" in statistics) == (algorithm in {"ppo", "grpo", "rloo"})
    assert statistics["kl"] == pytest.approx(0.0, abs=1e-12)


# -- whose weights move ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_training_one_role_leaves_all_else_bit_identical(
    make_policy: MakePolicy, play_team: PlayTeam, adapter: str, algorithm: str
) -> None:
    """The assistant learns; the checker's weights, its value head and the frozen base stay as they are."""
    policy = make_policy(adapter=adapter)
    trajectories = [dataclasses.replace(t, task_id="t") for t in play_team(policy, episodes=4)]
    trajectories = paid(trajectories, [1.0, 0.0, 0.0, 1.0])
    mine, theirs, base = copied(policy, "assistant"), copied(policy, "checker"), base_of(policy)
    heads = {role: [p.detach().clone() for p in policy.weights.value_parameters(role)] for role in policy.weights.roles}
    tuner = Tuner(policy, ["assistant"], settings(algorithm=algorithm, kl_beta=0.1, epochs=2, entropy_bonus=0.01))
    for _ in range(2):
        tuner.update(trajectories)

    assert not same(mine, copied(policy, "assistant"))
    assert same(theirs, copied(policy, "checker"))
    assert same(base, base_of(policy))
    assert same(heads["checker"], policy.weights.value_parameters("checker"))
    assert same(heads["assistant"], policy.weights.value_parameters("assistant")) == (algorithm != "ppo")


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_learning_rate_of_zero_changes_nothing(
    make_policy: MakePolicy, play_team: PlayTeam, adapter: str, algorithm: str
) -> None:
    """The null control of every benchmark."""
    policy = make_policy(adapter=adapter)
    trajectories = [dataclasses.replace(t, task_id="t") for t in play_team(policy, episodes=4)]
    before = policy.weights.state_dict()
    frozen = settings(algorithm=algorithm, learning_rate=0.0, value_learning_rate=0.0, kl_beta=0.1, epochs=2)
    Tuner(policy, ["assistant", "checker"], frozen).update(paid(trajectories, [1.0, 0.0, 0.0, 1.0]))
    after = policy.weights.state_dict()

    assert all(same([*before[role].values()], [*after[role].values()]) for role in ("assistant", "checker"))


def test_two_roles_learn_as_each_would_alone(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """Tuned together or one by one on the same episodes: the same weights, bit for bit."""
    policies = [make_policy(adapter="lora") for _ in range(3)]
    trajectories = play_team(policies[0], episodes=4)
    Tuner(policies[0], ["assistant", "checker"], PLAIN).update(trajectories)
    for policy, role in zip(policies[1:], ("assistant", "checker"), strict=True):
        Tuner(policy, [role], PLAIN).update(trajectories)

        assert same(copied(policies[0], role), copied(policy, role))


def test_factors_scale_each_role_s_learning_rate(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """Twice the rate for one is what twice the setting gives; nothing for the other leaves it as it was."""
    policies = [make_policy(adapter="lora") for _ in range(2)]
    trajectories = play_team(policies[0], episodes=4)
    idle = copied(policies[0], "checker")
    factors = {"assistant": 2.0, "checker": 0.0}
    Tuner(policies[0], ["assistant", "checker"], PLAIN).update(trajectories, factors=factors)
    doubled = dataclasses.replace(PLAIN, learning_rate=2 * PLAIN.learning_rate)
    Tuner(policies[1], ["assistant"], doubled).update(trajectories)

    assert same(copied(policies[0], "assistant"), copied(policies[1], "assistant"))
    assert same(idle, copied(policies[0], "checker"))


@pytest.mark.parametrize("algorithm", ["grpo", "rloo", "reinforce"])
def test_turns_are_compared_with_the_same_turn_of_the_group(
    make_policy: MakePolicy, play_team: PlayTeam, algorithm: str
) -> None:
    """Two episodes of a task differ in what their first turn was paid: later turns, paid alike, are worth nothing."""
    policy = make_policy(dtype=torch.float64)
    episodes = [t for t in play_team(policy, episodes=12) if sum(s.role == "assistant" for s in t.steps) >= 2][:2]
    pay = [(Payment("assistant", first, "a rule", 0), Payment("assistant", 1.0, "task", 1)) for first in (1.0, 0.0)]
    trajectories = [dataclasses.replace(t, task_id="t", payments=p) for t, p in zip(episodes, pay, strict=True)]
    tuner = Tuner(policy, ["assistant"], settings(algorithm=algorithm, credit="turn"))
    tuner.update(trajectories)
    batch, credit, _ = tuner.latest["assistant"]
    first, later = batch.mask & (batch.turns == 0), batch.mask & (batch.turns == 1)

    if algorithm == "reinforce":  # which compares with every turn of all: returns 2, 1, 1, 1 (and a third turn's 0)
        assert credit.advantages[0][first[0]].min() > credit.advantages[1][first[1]].max()
        return
    assert (credit.advantages[0][first[0]] > 0.9).all()
    assert (credit.advantages[1][first[1]] < -0.9).all()
    assert not credit.advantages[later].any()


def test_value_warm_up_trains_the_value_head_alone(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """For so many iterations the policy's weights do not move by a bit, then they do."""
    policy = make_policy()
    trajectories = paid(play_team(policy, episodes=4), [1.0, 0.0, 0.0, 1.0])
    tuner = Tuner(policy, ["assistant"], settings(value_warmup=2))
    weights, head = copied(policy, "assistant"), [*policy.weights.value_parameters("assistant")]
    values = [p.detach().clone() for p in head]
    moved = []
    for _ in range(3):
        tuner.update(trajectories)
        moved.append(not same(weights, copied(policy, "assistant")))

    assert [False, False, True] == moved
    assert not same(values, head)


# -- by which tokens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 400])
def test_gradients_come_from_own_tokens_alone(make_policy: MakePolicy, play_team: PlayTeam, width: int) -> None:
    """The PPO gradient equals one computed by a plain forward pass from the action tokens and nothing else."""
    policy = make_policy(dtype=torch.float64)
    trajectories = play_team(policy, episodes=3)
    batch = role_batch(trajectories, "assistant")
    advantages = torch.linspace(-1, 1, batch.mask.shape[1], dtype=torch.float64).expand(3, -1)
    parameters = policy.weights.policy_parameters("assistant")
    tokens, order = pack(batch.rows, width=width)
    old = gather(batch.logprobs, batch.rows, order)
    loss, _ = losses.clipped_policy_loss(
        policy.evaluate(tokens, "assistant").logprobs, old, gather(advantages, batch.rows, order), clip=0.2
    )
    ours = torch.autograd.grad(loss, parameters)

    total = torch.zeros((), dtype=torch.float64)
    model = policy.weights.model("assistant")
    for episode, row in enumerate(batch.rows):
        log_all = model(input_ids=torch.tensor(row.token_ids)[None]).logits[0].log_softmax(-1)
        own = row.action_mask.nonzero()[0]
        for place, position in enumerate(own.tolist()):
            total = total - log_all[position - 1, row.token_ids[position]] * advantages[episode, place]
    by_hand = torch.autograd.grad(total / batch.mask.sum(), parameters)

    # The module's own norms compute in float32 whatever the weights are.
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(ours, by_hand, strict=True))


def gradient(policy: HFPolicy, algorithm: str, trajectories: list[Trajectory], **changes: Any) -> list[torch.Tensor]:
    """What an update of one step leaves in the assistant's weights when they are not moved, unclipped."""
    chosen = settings(algorithm=algorithm, learning_rate=0.0, max_grad_norm=float("inf"), **changes)
    Tuner(policy, ["assistant"], chosen).update(trajectories)
    return [p.grad.clone() for p in policy.weights.policy_parameters("assistant") if p.grad is not None]


@pytest.mark.parametrize("width", [0, 400])
@pytest.mark.parametrize(
    ("algorithm", "weights"),
    [
        # returns 3, 0, 0 of one task: mean 1, deviation sqrt(2)
        ("grpo", [2**0.5, -(0.5**0.5), -(0.5**0.5)]),
        ("reinforce", [2**0.5, -(0.5**0.5), -(0.5**0.5)]),
        # less the mean of the others: 3, -1.5, -1.5, whose root mean square is 1.5 sqrt(2)
        ("rloo", [2**0.5, -(0.5**0.5), -(0.5**0.5)]),
        ("filtered_bc", [1.0, 0.0, 0.0]),
    ],
)
def test_gradients_by_hand(
    make_policy: MakePolicy, play_team: PlayTeam, algorithm: str, weights: list[float], width: int
) -> None:
    """Minus the mean over own tokens of weight times log-probability, by a plain forward pass, for every algorithm."""
    policy = make_policy(dtype=torch.float64)
    played = [dataclasses.replace(t, task_id="t") for t in play_team(policy, episodes=3)]
    ours = gradient(policy, algorithm, paid(played, [3.0, 0.0, 0.0]), line_width=width)
    sums, count = plain_sums(policy, played)
    total = torch.stack([weight * each for weight, each in zip(weights, sums, strict=True)]).sum()
    by_hand = torch.autograd.grad(-total / count, policy.weights.policy_parameters("assistant"))

    # The module's own norms compute in float32 whatever the weights are; 1e-4 is added to GRPO's deviation.
    assert all(torch.allclose(a, b, rtol=2e-4, atol=1e-6) for a, b in zip(ours, by_hand, strict=True))


@pytest.mark.parametrize("algorithm", ["ppo", "dpo"])
@pytest.mark.parametrize("width", [0, 400])
def test_a_step_is_the_same_however_its_rows_are_batched(
    make_policy: MakePolicy, play_team: PlayTeam, monkeypatch: pytest.MonkeyPatch, algorithm: str, width: int
) -> None:
    """A row at a time, or all at once: one loss, and the same gradient."""
    policy = make_policy(dtype=torch.float64)
    played = [dataclasses.replace(t, task_id="t") for t in play_team(policy, episodes=4)]
    calls: list[int] = []
    evaluate = policy.evaluate

    def counted(tokens: TokenBatch, role: str) -> Evaluation:
        calls.append(len(tokens.token_ids))
        return evaluate(tokens, role)

    monkeypatch.setattr(policy, "evaluate", counted)
    gradients, counts = [], []
    for most in (1, 100_000):
        calls.clear()
        monkeypatch.setattr("cmat_env.tuning.tuner.BATCH_TOKENS", {"cpu": most})
        rewards = paid(played, [1.0, 0.0, 1.0, 0.0])
        gradients.append(gradient(policy, algorithm, rewards, line_width=width, value_learning_rate=0.0))
        counts.append(len(calls))

    assert counts[0] == 4 * counts[1]
    assert any(bool(g.any()) for g in gradients[0])
    # Norms compute in float32 whatever the weights are.
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("width", [0, 400])
@pytest.mark.parametrize("longest", [0, 1])
def test_the_gradient_of_dpo_by_hand(make_policy: MakePolicy, play_team: PlayTeam, width: int, longest: int) -> None:
    """At the base every margin is 0: half of beta, down on the rejected episode and up on the chosen, as whole sums."""
    policy = make_policy(dtype=torch.float64)
    short = policy.with_sampling(Sampling(max_new_tokens=2))
    order = (policy, short) if longest == 0 else (short, policy)
    played = [dataclasses.replace(play_team(player, episodes=1)[0], task_id="t") for player in order]
    lengths = [len(trajectory.dialogues["assistant"][0].token_ids) for trajectory in played]
    assert max(lengths) == lengths[longest] != min(lengths)
    ours = gradient(policy, "dpo", paid(played, [0.0, 1.0]), line_width=width, dpo_beta=0.3)
    (rejected, chosen), _ = plain_sums(policy, played)
    by_hand = torch.autograd.grad(0.15 * (rejected - chosen), policy.weights.policy_parameters("assistant"))

    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(ours, by_hand, strict=True))


def plain_sums(policy: HFPolicy, trajectories: Sequence[Trajectory]) -> tuple[list[torch.Tensor], int]:
    """By episode the log-likelihood of what the assistant said, by a plain forward pass; and how many tokens in all."""
    batch = role_batch(trajectories, "assistant")
    model = policy.weights.model("assistant")
    sums = []
    for row in batch.rows:
        log_all = model(input_ids=torch.tensor(row.token_ids)[None]).logits[0].log_softmax(-1)
        places = row.action_mask.nonzero()[0].tolist()
        sums.append(torch.stack([log_all[place - 1, row.token_ids[place]] for place in places]).sum())
    return sums, int(batch.mask.sum())


def test_no_gradient_reaches_the_logits_of_foreign_tokens(
    make_policy: MakePolicy, play_team: PlayTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all hidden states those before own tokens alone get a gradient: exactly 0 elsewhere, padding included."""
    policy = make_policy()
    batch = role_batch(play_team(policy, episodes=4), "assistant")
    tokens, _ = pack(batch.rows, width=400)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hidden_of = policy._hidden

    def hooked(*arguments: Any) -> torch.Tensor:
        hidden = hidden_of(*arguments)
        hidden.retain_grad()
        seen.append((hidden, arguments[-1]))
        return hidden

    monkeypatch.setattr(policy, "_hidden", hooked)
    evaluation = policy.evaluate(tokens, "assistant")
    (evaluation.logprobs.sum() + evaluation.values.sum() + evaluation.entropy.sum()).backward()
    hidden, wanted = seen[0]
    assert hidden.grad is not None
    touched = torch.zeros_like(wanted).masked_scatter(wanted, hidden.grad.abs().sum(-1) > 0)

    assert torch.equal(touched[:, :-1], tokens.action_mask[:, 1:])
    assert not touched[:, -1].any()


def test_values_send_no_gradient_into_the_policy(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """Learning values cannot spoil what the role says."""
    policy = make_policy()
    batch = role_batch(play_team(policy, episodes=2), "assistant")
    tokens, _ = pack(batch.rows, width=0)
    loss = policy.evaluate(tokens, "assistant").values.sum()
    gradients = torch.autograd.grad(loss, policy.weights.policy_parameters("assistant"), allow_unused=True)

    assert [None] * len(gradients) == list(gradients)


def test_a_reward_after_the_last_token_teaches(make_policy: MakePolicy) -> None:
    """Paid for a second turn that wrote nothing, the token of the first turn is credited and becomes likelier."""
    policy = make_policy(dtype=torch.float64)
    good, bad = (said(policy, token, reward=0.0, episode=i) for i, token in enumerate((40, 41)))
    empty = Step(1, "assistant_0", "assistant", 1, {"message": "", "speaker": "user"}, Generation("", ()))
    good = dataclasses.replace(good, steps=(*good.steps, empty), payments=(Payment("assistant", 1.0, "task", 1),))
    before = logprobs(policy, [good, bad])
    Tuner(policy, ["assistant"], settings(learning_rate=1e-3)).update([good, bad])
    after = logprobs(policy, [good, bad])

    assert after[0] > before[0]
    assert after[1] < before[1]


# -- how far -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_bandit_learns_the_rewarded_token(make_policy: MakePolicy, algorithm: str, adapter: str) -> None:
    """One token, one reward: after ten updates it is likelier than before by a fair amount, the others are not."""
    policy = make_policy(adapter=adapter)
    tokens = (40, 43) if algorithm == "dpo" else (40, 41, 42, 43)  # of dpo's tokens the others would be in no pair
    rate = 3e-2 if adapter == "ptuning" else 3e-3
    tuner = Tuner(policy, ["assistant"], settings(algorithm=algorithm, learning_rate=rate))

    def episodes() -> list[Trajectory]:
        return [said(policy, token, reward=float(token == 40), episode=i) for i, token in enumerate(tokens)]

    before = logprobs(policy, episodes())
    for _ in range(10):
        tuner.update(episodes())
    after = logprobs(policy, episodes())

    assert after[0] - before[0] > 0.5
    assert (after[0] - before[0] > after[1:] - before[1:]).all()


@pytest.mark.parametrize("credit", ["token", "turn"])
@pytest.mark.parametrize("normalise", ["role", "turn", "all", "none"])
def test_every_kind_of_credit_learns(make_policy: MakePolicy, play_team: PlayTeam, credit: str, normalise: str) -> None:
    """Rewarded episodes become likelier than the others of the batch."""
    policy = make_policy(dtype=torch.float64)
    trajectories = paid(play_team(policy, episodes=4), [1.0, 1.0, 0.0, 0.0])
    good, bad = logprobs(policy, trajectories[:2]).mean(), logprobs(policy, trajectories[2:]).mean()
    Tuner(policy, ["assistant"], settings(credit=credit, normalise=normalise, learning_rate=1e-3)).update(trajectories)
    gained = logprobs(policy, trajectories[:2]).mean() - good

    assert gained > logprobs(policy, trajectories[2:]).mean() - bad


def test_advantages_are_those_of_a_role_of_all_learners_or_left_alone(make_policy: MakePolicy) -> None:
    """One token each: the assistant is paid 3 and 1, the checker nothing, values are 0; mean 1, variance 1.5."""
    found = {}
    for normalise in ("role", "all", "none"):
        policy = make_policy(dtype=torch.float64)
        tuner = Tuner(policy, ["assistant", "checker"], settings(normalise=normalise))
        tuner.update([both_said(reward=amount, episode=int(amount)) for amount in (3.0, 1.0)])
        found[normalise] = [tuner.latest[role][1].advantages[:, 0].tolist() for role in ("assistant", "checker")]

    unit = 1 / math.sqrt(1.5)
    assert [[1.0, -1.0], [0.0, 0.0]] == [pytest.approx(each) for each in found["role"]]
    assert [[2 * unit, 0.0], [-unit, -unit]] == [pytest.approx(each) for each in found["all"]]
    assert [[3.0, 1.0], [0.0, 0.0]] == found["none"]


def test_pooling_is_a_roles_own_choice(make_policy: MakePolicy) -> None:
    """The checker's advantages stay out of the pool where it does not say "all"."""
    tuner = Tuner(
        make_policy(dtype=torch.float64),
        ["assistant", "checker"],
        settings(normalise="all", roles={"checker": {"normalise": "none"}}),
    )
    tuner.update([both_said(reward=amount, episode=int(amount)) for amount in (3.0, 1.0)])

    assert [1.0, -1.0] == pytest.approx(tuner.latest["assistant"][1].advantages[:, 0].tolist())


def test_filtered_bc_ignores_failed_episodes(make_policy: MakePolicy) -> None:
    """What a failed episode said has no influence: another token there gives the same weights."""
    results = []
    for failed in (41, 99):
        policy = make_policy(dtype=torch.float64)
        episodes = [said(policy, 40, reward=1.0, episode=0), said(policy, failed, reward=0.0, episode=1)]
        Tuner(policy, ["assistant"], settings(algorithm="filtered_bc")).update(episodes)
        results.append(copied(policy, "assistant"))

    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*results, strict=True))


def test_filtered_bc_without_a_success_changes_nothing(make_policy: MakePolicy) -> None:
    """There is nothing to imitate."""
    policy = make_policy()
    before = copied(policy, "assistant")
    episodes = [said(policy, token, reward=0.0, episode=token) for token in (40, 41)]
    Tuner(policy, ["assistant"], settings(algorithm="filtered_bc")).update(episodes)

    assert same(before, copied(policy, "assistant"))


@pytest.mark.parametrize("algorithm", GROUPED)
@pytest.mark.parametrize("reward", [0.0, 0.7, 1.0])
def test_equal_rewards_of_a_group_teach_nothing(make_policy: MakePolicy, algorithm: str, reward: float) -> None:
    """All alike, failures or successes: no episode did better than its group, and not one weight moves."""
    policy = make_policy()
    before = copied(policy, "assistant")
    episodes = [said(policy, token, reward=reward, episode=token) for token in (40, 41, 42)]
    statistics = Tuner(policy, ["assistant"], settings(algorithm=algorithm)).update(episodes)

    assert same(before, copied(policy, "assistant"))
    assert 3.0 == statistics["assistant"]["tokens"]


@pytest.mark.parametrize("algorithm", GROUPED)
def test_episodes_are_compared_within_a_task(make_policy: MakePolicy, algorithm: str) -> None:
    """An easy task that all solve teaches nothing, whatever others get: its tokens gain no more than a failed one's."""
    policy = make_policy(dtype=torch.float64)
    easy = [said(policy, 50, reward=1.0, episode=i, task="easy") for i in range(2)]
    hard = [said(policy, 40, reward=0.0, episode=2, task="hard"), said(policy, 41, reward=1.0, episode=3, task="hard")]
    before = logprobs(policy, [easy[0], *hard])
    Tuner(policy, ["assistant"], settings(algorithm=algorithm, learning_rate=1e-3)).update([*easy, *hard])
    gained = logprobs(policy, [easy[0], *hard]) - before

    assert gained[2] > 0 > gained[1]
    assert gained[2] > gained[0]


@pytest.mark.parametrize("adapter", ["full", "lora"])
@pytest.mark.parametrize("minibatch", [0, 1])
def test_dpo_begins_at_an_even_choice_and_then_prefers(
    make_policy: MakePolicy, play_team: PlayTeam, adapter: str, minibatch: int
) -> None:
    """At the base the loss is log 2 and no margin is above 0; after some updates every success is preferred."""
    policy = make_policy(dtype=torch.float64, adapter=adapter)
    played = [dataclasses.replace(t, task_id="t") for t in play_team(policy, episodes=4)]
    episodes = paid(played, [0.0, 1.0, 0.0, 1.0])
    good, bad = logprobs(policy, episodes[1::2]).sum(), logprobs(policy, episodes[::2]).sum()
    tuner = Tuner(policy, ["assistant"], settings(algorithm="dpo", minibatch=0, learning_rate=3e-3))
    first = tuner.update(episodes)["assistant"]
    tuner.settings["assistant"] = dataclasses.replace(tuner.settings["assistant"], minibatch=minibatch)
    for _ in range(10):
        last = tuner.update(episodes)["assistant"]

    assert first["loss"] == pytest.approx(math.log(2), abs=1e-12)
    assert first["margin"] == pytest.approx(0.0, abs=1e-12)
    assert 2.0 == first["pairs"]
    assert last["loss"] < 0.9 * math.log(2)
    assert 1.0 == last["preferred"]
    assert logprobs(policy, episodes[1::2]).sum() - good > logprobs(policy, episodes[::2]).sum() - bad


def test_dpo_learns_from_what_it_did_not_say(make_policy: MakePolicy) -> None:
    """Preferences that nobody sampled: the chosen token becomes likelier; KL and lengths count sampled tokens alone."""
    policy = make_policy(dtype=torch.float64)
    alone = said(policy, 50, reward=1.0, episode=0, task="another")
    pair = [said(policy, token, reward=float(token == 40), episode=token) for token in (41, 40)]
    before = logprobs(policy, pair)
    for episode in pair:
        episode.dialogues["assistant"][0].logprobs[-1] = 0.0
    statistics = Tuner(policy, ["assistant"], settings(algorithm="dpo")).update([alone], preferences=pair)["assistant"]
    gained = logprobs(policy, pair) - before

    assert gained[1] > 0 > gained[0]
    assert (1.0, 1.0, 1.0) == (statistics["tokens"], statistics["pairs"], statistics["return"])
    assert statistics["kl"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "dpo"])
def test_others_refuse_what_the_policy_did_not_say(make_policy: MakePolicy, algorithm: str) -> None:
    """Its log-probabilities are not the sampler's, so that a ratio would mean nothing."""
    policy = make_policy()
    episode = said(policy, 40, reward=1.0, episode=0)
    with pytest.raises(ConfigError, match=f"{algorithm} cannot learn from preferences; wanted dpo"):
        Tuner(policy, ["assistant"], settings(algorithm=algorithm)).update([episode], preferences=[episode])


def test_a_group_of_samples_shares_its_task(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """Episodes that differ in their sample alone are one group for GRPO, other seeds are others."""
    policy = make_policy()
    trajectories = play_team(policy, episodes=[Episode(3), Episode(3, sample=1), Episode(5)])

    assert [0, 0, 1] == role_batch(trajectories, "assistant").groups.tolist()
    assert trajectories[0].dialogues["assistant"][0].token_ids != trajectories[1].dialogues["assistant"][0].token_ids


def test_values_are_those_that_were_said_while_sampling(
    make_policy: MakePolicy, play_team: PlayTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several turns they are what a forward pass gives; so none is made, but for an episode that a limit cut."""
    policy = make_policy()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in policy.weights.value_parameters("assistant"):
            torch.nn.init.normal_(parameter, std=0.3)
    played = [dataclasses.replace(t, truncated=False) for t in play_team(policy, episodes=3)]
    tuner = Tuner(policy, ["assistant"], settings())
    silent = [dataclasses.replace(t, steps=tuple(without_values(step) for step in t.steps)) for t in played]
    evaluated, _ = tuner._values(role_batch(silent, "assistant"), "assistant")
    asked: list[int] = []
    evaluate = policy.evaluate

    def counted(tokens: TokenBatch, role: str) -> Evaluation:
        asked.append(int(tokens.segments.max()) + 1)
        return evaluate(tokens, role)

    monkeypatch.setattr(policy, "evaluate", counted)
    said_then, last = tuner._values(role_batch(played, "assistant"), "assistant")
    assert [] == asked
    cut = [played[0], dataclasses.replace(played[1], truncated=True), played[2]]
    with_one, bootstrap = tuner._values(role_batch(cut, "assistant"), "assistant")

    assert [1] == asked
    assert bool(evaluated.any())
    assert torch.allclose(evaluated, said_then, rtol=0, atol=1e-4)
    assert torch.allclose(evaluated, with_one, rtol=0, atol=1e-4)
    assert [0.0, 0.0, 0.0] == last.tolist()
    assert [0, 2] == bootstrap.eq(0).nonzero().flatten().tolist()


def without_values(step: Step) -> Step:
    """As a policy without value heads would have said it."""
    return dataclasses.replace(step, generation=dataclasses.replace(step.generation, values=None))


class Fixed:
    """A policy whose value of a state is the token that led there, over 100; `evaluate` counts its calls."""

    def __init__(self, policy: HFPolicy) -> None:
        self.weights, self.weights_changed, self.generate = policy.weights, policy.weights_changed, policy.generate

    def evaluate(self, batch: TokenBatch, role: str) -> Any:
        """Values and last values by rule, everything else 0."""

        del role
        before = batch.token_ids[:, :-1][batch.action_mask[:, 1:]].float() / 100
        nothing = torch.zeros_like(before)
        ends = [int(batch.token_ids[batch.segments == row][-1]) / 100 for row in range(int(batch.segments.max()) + 1)]
        return Evaluation(nothing, before, nothing, torch.tensor(ends))

    def reference_logprobs(self, batch: TokenBatch, role: str) -> torch.Tensor:
        """All certain."""
        del role
        return torch.zeros(int(batch.action_mask.sum()))


@pytest.mark.parametrize("lengths", [(9, 2), (2, 9)], ids=["first longer", "last longer"])
@pytest.mark.parametrize("width", [0, 64])
def test_a_truncated_episode_is_bootstrapped_behind_its_last_dialogue(
    make_policy: MakePolicy, lengths: tuple[int, int], width: int
) -> None:
    """However the rows are packed: the value behind token 80 of the second dialogue, not behind 30 of the first."""
    dialogues = []
    for length, token in zip(lengths, (30, 80), strict=True):
        dialogue = Dialogue("assistant", messages=[Message("user", "...")])
        dialogue.encode([1] * length)
        dialogue.reply(Generation("", (token,), (0.0,)))
        dialogues.append(dialogue)
    policy = make_policy()
    trajectory = said(policy, 40, reward=0.0, episode=0)
    trajectory = dataclasses.replace(trajectory, dialogues={"assistant": tuple(dialogues)}, truncated=True)
    tuner = Tuner(Fixed(policy), ["assistant"], settings(line_width=width, lam=1.0))
    values, last = tuner._values(role_batch([trajectory], "assistant"), "assistant")
    credit = tuner._estimate(role_batch([trajectory], "assistant"), "assistant", torch.zeros(1, 2))

    assert [0.01, 0.01] == pytest.approx(values[0].tolist())
    assert [0.8] == pytest.approx(last.tolist())
    assert [0.8, 0.8] == pytest.approx(credit.returns[0].tolist())


def test_the_kl_penalty_is_part_of_the_reward(make_policy: MakePolicy) -> None:
    """PPO: each token is paid -beta * (logprob - reference); returns by hand with beta 0.5 and values of 0.01."""
    policy = make_policy()
    trajectory = said(policy, 40, reward=1.0, episode=0)
    trajectory.dialogues["assistant"][0].logprobs[-1] = -1.0
    tuner = Tuner(Fixed(policy), ["assistant"], settings(kl_beta=0.5))
    credit = tuner._estimate(role_batch([trajectory], "assistant"), "assistant", torch.tensor([[-3.0]]))

    assert [[0.0]] == credit.returns.tolist()  # 1 - 0.5 * (-1 + 3)


# -- the reference -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", ["full", "lora"])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_reference_is_the_base_before_tuning(
    make_policy: MakePolicy, play_team: PlayTeam, adapter: str, family: str
) -> None:
    """After any update: with the adapter off, or from the frozen copy, the log-probabilities of the untuned model."""
    policy, untouched = make_policy(adapter=adapter, family=family), make_policy(adapter="shared", family=family)
    trajectories = play_team(policy, episodes=3)
    Tuner(policy, ["assistant", "checker"], settings(epochs=3)).update(paid(trajectories, [1.0, 0.0, 1.0]))
    tokens, order = pack(role_batch(trajectories, "assistant").rows, width=0)
    with torch.no_grad():
        wanted = untouched.evaluate(tokens, "assistant").logprobs
        now = policy.evaluate(tokens, "assistant").logprobs

    assert torch.equal(wanted, policy.reference_logprobs(tokens, "assistant"))
    assert not torch.equal(wanted, now)
    assert torch.equal(now, policy.evaluate(tokens, "assistant").logprobs.detach())
    assert len(order) == 3


def test_the_penalty_pulls_back_to_the_base(make_policy: MakePolicy) -> None:
    """GRPO: after moving away, updates with a heavy KL weight bring the tokens' log-probabilities back again."""
    policy = make_policy(dtype=torch.float64)

    def episodes() -> list[Trajectory]:
        return [said(policy, token, reward=float(token == 40), episode=token) for token in (40, 41)]

    base = logprobs(policy, episodes())
    distances = [0.0]
    for beta in (0.0, 100.0):
        tuner = Tuner(policy, ["assistant"], settings(algorithm="grpo", kl_beta=beta, kl_gain=0.0, learning_rate=1e-3))
        for _ in range(20):
            tuner.update(episodes())
        distances.append((logprobs(policy, episodes()) - base).abs().mean().item())

    assert distances[1] > 0.5
    assert distances[2] < distances[1] / 2


def test_beta_follows_the_measured_kl(make_policy: MakePolicy) -> None:
    """Before anything has moved the KL is 0, far below its target: beta shrinks by a tenth."""
    policy = make_policy()
    tuner = Tuner(policy, ["assistant"], settings(kl_beta=1.0, kl_gain=0.5, kl_target=0.1))
    tuner.update([said(policy, token, reward=float(token == 40), episode=token) for token in (40, 41)])

    assert tuner.kl["assistant"].beta == pytest.approx(0.9)


@pytest.mark.parametrize("broken", [math.nan, -math.inf])
def test_a_kl_that_is_no_number_stops_the_run(make_policy: MakePolicy, broken: float) -> None:
    """Weights that have diverged are an error with the role's name, before any further step."""
    policy = make_policy()
    trajectory = said(policy, 40, reward=1.0, episode=0)
    trajectory.dialogues["assistant"][0].logprobs[-1] = broken
    before = copied(policy, "assistant")

    with pytest.raises(FloatingPointError, match="KL of role 'assistant'"):
        Tuner(policy, ["assistant"], PLAIN).update([trajectory])
    assert same(before, copied(policy, "assistant"))


# -- state -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_restored_tuner_goes_on_bit_for_bit(make_policy: MakePolicy, play_team: PlayTeam, adapter: str) -> None:
    """Two updates, against one update, a checkpoint into a fresh policy, and another update: the same weights."""
    rule = settings(epochs=2, minibatch=2, kl_beta=0.1, warmup=3, value_warmup=1, line_width=200)
    policy = make_policy(adapter=adapter)
    trajectories = paid(play_team(policy, episodes=5), [1.0, 0.0, 0.0, 1.0, 0.0])
    tuner = Tuner(policy, ["assistant", "checker"], rule, seed=7)
    tuner.update(trajectories)
    weights, state = policy.weights.state_dict(), tuner.state_dict()
    other = make_policy(adapter=adapter)
    other.weights.load_state_dict(weights)
    restored = Tuner(other, ["assistant", "checker"], rule, seed=7)
    restored.load_state_dict(state)
    first, second = tuner.update(trajectories), restored.update(trajectories)

    assert first == second
    assert tuner.iteration == restored.iteration == 2
    for role in ("assistant", "checker"):
        assert same(copied(policy, role), copied(other, role))
        assert same(policy.weights.value_parameters(role), other.weights.value_parameters(role))


def test_the_learning_rate_is_warmed_up(make_policy: MakePolicy) -> None:
    """A third, two thirds, then all of it; the value head's is not."""
    policy = make_policy()
    tuner = Tuner(policy, ["assistant"], settings(warmup=3, learning_rate=0.3))
    rates = []
    for _ in range(4):
        tuner.update([said(policy, token, reward=float(token == 40), episode=token) for token in (40, 41)])
        rates.append([round(group["lr"], 9) for group in tuner.optimizers["assistant"].param_groups])

    assert [[0.1, 1e-3], [0.2, 1e-3], [0.3, 1e-3], [0.3, 1e-3]] == rates


@pytest.mark.parametrize(
    ("iteration", "share"), [(0, 0.5), (1, 1.0), (2, 1.0), (6, 0.55), (10, 0.1), (50, 0.1)], ids=str
)
def test_the_learning_rate_decays_to_a_tenth(iteration: int, share: float) -> None:
    """Warm-up over 2 iterations, decay until the 10th: in the 6th half of 0.9 is gone, and later a tenth stays."""
    assert share == pytest.approx(schedule(iteration, settings(warmup=2, decay=10)))
    assert min(1.0, (iteration + 1) / 2) == schedule(iteration, settings(warmup=2))


def test_a_role_is_updated_by_its_own_settings(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """A learning rate of 0 for the checker alone: it stays as it is, and the assistant learns as ever."""
    policy = make_policy()
    tuner = Tuner(policy, ("assistant", "checker"), settings(roles={"checker": {"learning_rate": 0.0}}))
    before = {role: copied(policy, role) for role in tuner.roles}
    tuner.update(paid(play_team(policy, episodes=4), [1, 0, 1, 0]))

    assert same(before["checker"], copied(policy, "checker"))
    assert not same(before["assistant"], copied(policy, "assistant"))


def test_minibatches_hold_every_row_once_an_epoch(make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven episodes by three: parts of at most four, each episode once in each epoch, in an order of the seed."""
    policy = make_policy()
    episodes = [said(policy, 40 + i, reward=float(i % 2), episode=i) for i in range(7)]
    parts: list[list[int]] = []
    evaluate = policy.evaluate

    def watched(batch: TokenBatch, role: str) -> Any:
        if torch.is_grad_enabled():
            parts.append(sorted(batch.token_ids[batch.action_mask].tolist()))
        return evaluate(batch, role)

    monkeypatch.setattr(policy, "evaluate", watched)
    Tuner(policy, ["assistant"], settings(epochs=2, minibatch=3)).update(episodes)
    whole = list(range(40, 47))

    assert [4, 3, 4, 3] == [len(part) for part in parts]
    assert whole == sorted(parts[0] + parts[1]) == sorted(parts[2] + parts[3])
    assert parts[0] != parts[2]


def test_no_episodes_is_no_update(make_policy: MakePolicy) -> None:
    """All dropped: statistics say so, weights stay."""
    policy = make_policy()
    before = copied(policy, "assistant")

    assert {"assistant": {"tokens": 0.0}} == Tuner(policy, ["assistant"], PLAIN).update([])
    assert same(before, copied(policy, "assistant"))


def test_shared_weights_are_not_tuned(make_policy: MakePolicy) -> None:
    """Their reference would move with them, and the KL be 0 for ever."""
    policy = make_policy(adapter="shared")
    before = copied(policy, "assistant")
    with pytest.raises(ConfigError, match="shared weights keep no frozen base"):
        Tuner(policy, ["assistant"], PLAIN).update([said(policy, 40, reward=1.0, episode=0)])

    assert same(before, copied(policy, "assistant"))


def test_what_cannot_be_tuned_is_refused(make_policy: MakePolicy) -> None:
    """A scripted policy has no weights, and a role may have none."""
    with pytest.raises(ConfigError, match="EchoPolicy cannot be tuned"):
        Tuner(EchoPolicy(), ["assistant"], PLAIN)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean 'checker'"):
        Tuner(make_policy(), ["cheker"], PLAIN)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"algorithm": "pppo"}, "did you mean 'ppo'"),
        ({"credit": "step"}, "credit"),
        ({"normalise": "batch"}, "normalise"),
        ({"epochs": 0}, "epochs"),
        ({"clip": 0.0}, "clip"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"gamma": 1.1}, "gamma"),
        ({"lam": -0.1}, "lam"),
        ({"kl_target": 0.0}, "kl_target"),
        ({"dpo_beta": 0.0}, "dpo_beta"),
        ({"roles": {"checker": {"dpo_beta": -1.0}}}, "dpo_beta"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], word: str) -> None:
    """Each with its name."""
    with pytest.raises(ConfigError, match=word):
        settings(**change)


def test_reinforce_learns_from_a_sample_once() -> None:
    """A second pass would be off-policy without a ratio to correct it; that holds for each role."""
    with pytest.raises(ConfigError, match=r"epochs=2; set tuner\.epochs=1"):
        TunerSettings(algorithm="reinforce")
    with pytest.raises(ConfigError, match="epochs=3"):
        TunerSettings(algorithm="reinforce", epochs=1, roles={"checker": {"epochs": 3}})
