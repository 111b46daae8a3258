"""The warm start: demonstrations played by the team itself, a TinyAgent made for them, and supervised training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cmat_env import durable
from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.agents.parsing import format_verdict
from cmat_env.agents.reflection import requests_of
from cmat_env.chat_rows import read_rows
from cmat_env.errors import CheckpointError, ConfigError
from cmat_env.experience import Experience
from cmat_env.lessons import TASKS, TRIALS
from cmat_env.plan import Trials
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.scripted import DemonstratorPolicy, OracleChecker
from cmat_env.policies.spec import parse_spec
from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer
from cmat_env.rollout import Episode, OnEnd, Rollout
from cmat_env.tuning import checkpoint, pairs, sft
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.events import Interrupted, Report
from cmat_env.tuning.folder import WARM_START, RunFolder
from cmat_env.tuning.state import RandomStates, Stateful, collect, restore
from cmat_env.tuning.team import make_env, prompts
from cmat_env.types import Dialogue, Policy, Trajectory, Verdict

FIRST_DEMONSTRATION = 1 << 40
"""Seeds of demonstrations begin here, far from those of training episodes."""
_RECALLING = 2 / 3
"""Of the streams that teach lessons, the share whose prompts recall earlier tasks; the others tell of trials alone."""


def warm_up(
    settings: RunSettings, folder: RunFolder, *, resume: bool, report: Report, stop: Callable[[], bool]
) -> None:
    """Let a new TinyAgent, or the model that is given, imitate demonstrations, and save it in the run's folder.

    Args:
        settings: of the run.
        folder: of the run.
        resume: go on from the latest checkpoint of the imitation. Demonstrations are played again, from the same
            seeds; where they come out otherwise all the same, the imitation begins anew.
        report: told what happens.
        stop: asked now and then whether to stop.

    Raises:
        Interrupted: the user asked to stop.
    """
    imitated = folder.checkpoints / WARM_START
    played = 0

    def on_end(index: int, trajectory: Trajectory) -> None:
        nonlocal played
        played += 1
        if played % 100 == 0 or played == settings.warm_start.episodes:
            report("demonstrations", {"episodes": played, "of": settings.warm_start.episodes})
        if stop():
            raise Interrupted

    rows = read_rows(settings.warm_start.file) if settings.warm_start.file else []
    dialogues = [row.dialogue() for row in rows] or demonstrate(settings, on_end)
    policy = given(settings) if settings.model.path else tiny_agent(settings, dialogues)
    count = sum(parameter.numel() for parameter in policy.weights.base.parameters())
    report("model", {"parameters": count, "vocabulary": len(policy.chat.tokenizer)})
    pairs.of_settings(settings, policy)  # too long a pair is told before an hour of imitation
    encoded = [policy.tokenize(dialogue) for dialogue in dialogues]
    if rows:
        encoded = [row.unlearned(each) for row, each in zip(rows, encoded, strict=True)]
    encoded = _that_fit(encoded, policy, report)
    imitation = sft.Imitation(policy, encoded, settings.warm_start.sft, seed=settings.seed)
    parts: dict[str, Stateful] = {"imitation": imitation, "random": RandomStates()}
    if resume:
        _go_on(imitated, parts, report)

    def on_step(step: int, loss: float) -> None:
        report("warm_start", {"step": step + 1, "steps": settings.warm_start.sft.steps, "loss": loss})
        every, asked = settings.warm_start.checkpoint_every, stop()
        if every and (asked or (step + 1) % every == 0):
            checkpoint.save(imitated, step + 1, collect(parts), keep=settings.keep_checkpoints)
        if asked:
            raise Interrupted

    imitation.finish(on_step)
    if settings.model.path:
        policy.weights.merge(policy.weights.roles[0])
    folder.save_model(policy, WARM_START)
    if imitated.exists():
        durable.remove_folder(imitated)


def _that_fit(encoded: list[Dialogue], policy: HFPolicy, report: Report) -> list[Dialogue]:
    """Those beyond the context are left out, and counted."""
    fitting = [dialogue for dialogue in encoded if len(dialogue.token_ids) <= policy.context]
    if not fitting:
        size = f"model.context={policy.context} tokens"
        raise ConfigError(f"all {len(encoded)} dialogues are longer than {size}; raise that, or shorten them")
    if len(fitting) < len(encoded):
        lost = f"{len(encoded) - len(fitting)} of {len(encoded)} dialogues"
        report("notice", {"text": f"{lost} are longer than model.context={policy.context} tokens and are left out"})
    return fitting


def _go_on(folder: Path, parts: Mapping[str, Stateful], report: Report) -> None:
    """From the latest checkpoint that is whole and fits, or from the beginning."""
    try:
        found = checkpoint.latest(folder, on_damaged=lambda path, why: report("notice", {"text": why}))
        if found:
            restore(found, parts)
    except CheckpointError as error:
        report("notice", {"text": f"{error}; the warm start begins anew"})


def demonstrate(settings: RunSettings, on_end: OnEnd | None = None) -> list[Dialogue]:
    """Play demonstrations, and return the dialogues to imitate.

    The assistant is the task's imperfect demonstrator. The checker refuses some bad proposals, and some good ones: what
    is to be learned from it is how a verdict is written, and from the assistant how to answer a refusal.
    """
    warm = settings.warm_start
    first = FIRST_DEMONSTRATION + settings.seed * warm.episodes
    if not warm.lessons:
        finished = _with_checker(settings, [Episode(first + index) for index in range(warm.episodes)], on_end)
    else:
        first -= first % warm.stream  # tasks that belong together begin at a multiple
        finished = _in_streams(settings, [Episode(first + index) for index in range(warm.episodes)], on_end)
    share = np.random.default_rng(settings.seed).random(len(finished))
    dialogues: list[Dialogue] = []
    for trajectory, draw in zip(finished, share, strict=True):
        dialogues.extend(trajectory.dialogues["assistant"])
        if "checker" in trajectory.dialogues and draw < warm.checker_share:
            dialogues.extend(trajectory.dialogues["checker"])
        if "user" in settings.team.learners:
            dialogues.extend(trajectory.dialogues["user"])
    return dialogues


def _rollout(settings: RunSettings, policies: Mapping[str, Policy], trials: Trials | None = None) -> Rollout:
    return Rollout(
        lambda: make_env(settings, settings.task.train, tuple(policies), **settings.warm_start.settings),
        policies,
        prompts=prompts(settings),
        seed=settings.seed,
        width=16,
        trials=trials,
    )


def _with_checker(settings: RunSettings, episodes: Sequence[Episode], on_end: OnEnd | None) -> list[Trajectory]:
    """Play episodes with the whole team."""
    warm = settings.warm_start
    policies: dict[str, Policy] = {
        "user": parse_spec(settings.team.user, role="user"),
        "assistant": DemonstratorPolicy(),
        "checker": OracleChecker(refuse_bad=warm.revise_bad, refuse_good=warm.revise_good),
    }
    rollout = _rollout(settings, {role: policies[role] for role in settings.team.roles})
    finished = rollout.run(episodes, on_end=on_end).finished
    rollout.close()
    return finished


def _in_streams(settings: RunSettings, episodes: Sequence[Episode], on_end: OnEnd | None) -> list[Trajectory]:
    """Play some streams of episodes with the whole team, and some without a checker, that teach to learn from failures.

    A prompt of these tells what the assistant itself has written about earlier trials and tasks, and nothing else.
    """
    warm = settings.warm_start
    alone: dict[str, Policy] = {
        "user": parse_spec(settings.team.user, role="user"),
        "assistant": DemonstratorPolicy(reflects=True),
    }
    trials = Trials(warm.trials, requests=requests_of(settings.team.prompts), roles=("assistant",))
    rollout = _rollout(settings, {role: alone[role] for role in alone if role in settings.team.roles}, trials)
    rng = np.random.default_rng(settings.seed)
    finished: list[Trajectory] = []
    for start in range(0, len(episodes), warm.stream):
        part, draw = episodes[start : start + warm.stream], rng.random()
        if draw >= warm.lessons:
            finished += _with_checker(settings, part, on_end)
        elif draw >= warm.lessons * _RECALLING:
            rollout.experience = None
            finished += rollout.run(part, on_end=on_end).finished
        else:
            with LongTermMemory(":memory:", MemorySettings(recall=warm.recall)) as memory:
                rollout.experience = Experience(memory, writes=True)
                for episode in part:
                    told = rollout.run([episode], on_end=on_end).finished
                    rollout.experience.learn(told, roles=rollout.minds)
                    finished += told
    rollout.close()
    return finished


def tiny_agent(settings: RunSettings, dialogues: Sequence[Dialogue]) -> HFPolicy:
    """A TinyAgent with a tokenizer for these dialogues, its weights at random, all roles sharing them."""
    size = settings.model
    tokenizer = train_tokenizer(
        (message.content for dialogue in dialogues for message in dialogue.messages),
        vocabulary=size.vocabulary,
        phrases=fixed_phrases(dialogues),
    )
    config = TinyConfig(size.vocabulary, size.width, size.layers, size.heads, size.feed_forward, size.context)
    return HFPolicy(
        make_model(tokenizer, config, seed=settings.seed),
        tokenizer,
        roles=settings.team.roles,
        adapter=AdapterSettings("shared"),
        sampling=Sampling(max_new_tokens=size.max_new_tokens),
        seed=settings.seed,
    )


def given(settings: RunSettings) -> HFPolicy:
    """The model that is given, with one LoRA that all roles share while they imitate."""
    size = settings.model
    base = HFPolicy.load(size.path, dtype=size.dtype, device=size.device)
    return HFPolicy(
        base.weights.base,
        base.chat.tokenizer,
        adapter=AdapterSettings("lora", rank=size.rank),
        seed=settings.seed,
        gradient_checkpointing=size.gradient_checkpointing,
    )


def fixed_phrases(dialogues: Sequence[Dialogue]) -> list[str]:
    """The fixed wording of the protocols that occurs in the dialogues; each becomes one token.

    These are the frames of AgentBench's v0.2 actions, of our shop, of our verdicts, of what the checker is shown, and
    of what is reflected on and recalled.
    """
    known = [
        "Action: Operation\n```sql\n",
        "\n```",
        "Action: Answer\nFinal Answer: ",
        "Think: I run this.\n\nAct: bash\n\n```bash\n",
        "Think: I am done.\n\nAct: answer(",
        "Think: I am done.\n\nAct: finish",
        "The output of the OS:\n\n",
        "The output of the OS is empty.",
        "Action: get_relations(",
        "Action: get_neighbors(",
        "Action: get_attributes(",
        ", which are instances of ",
        "Final Answer: #",
        "Action: search[",
        "Action: click[",
        "Observation:\n",
        "\n\nAvailable Actions:\n{'has_search_bar': ",
        "False, 'clickables': ['back to search', ",
        "'description', 'features', 'reviews', 'buy now'",
        " [SEP] ",
        format_verdict(Verdict(approve=True)),
        format_verdict(Verdict(approve=False)),
        "\nProposal:\n",
        "Proposal:\n",
        "\nDry run: ",
        "Outcome: ",
        "the episode would end",
        f"{TASKS}\n- ",
        f"{TRIALS}\n- ",
        "Solved: ",
        " By: Action: Operation ```sql ",
        " ``` Then: Action: Answer Final Answer: ",
        "I will try ",
        "Not solved: wrong. Reflect.",
        "Action: get_relations(",
        "Action: get_neighbors(",
        "Action: get_attributes(",
        "Observation: variable #",
        ", which are instances of ",
        "Final Answer: #",
    ]
    texts = [message.content for dialogue in dialogues for message in dialogue.messages]
    return [phrase for phrase in known if any(phrase in text for text in texts)]
