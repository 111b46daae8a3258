"""Trials, reflections and experience: who is told what, who is paid for what, and what never leaks."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError
from cmat_env.experience import Experience
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.policies.scripted import ApprovePolicy, CoinPolicy, DemonstratorPolicy, EchoPolicy, GoldPolicy
from cmat_env.reexecution import verify
from cmat_env.replay_html import write_html
from cmat_env.replay_view import whole
from cmat_env.rollout import Episode, Limits, Rollout, RolloutResult, Trials
from cmat_env.trials import who_reflects
from cmat_env.types import Dialogue, Generation, Policy, Recalled, Task, Trajectory

MakeTask = Callable[..., Task]


class Learner:
    """Guesses 1, and one more for each reflection that its prompt holds; as the checker it approves.

    Attributes:
        heard: every message of every dialogue, as it was when asked.
    """

    def __init__(self) -> None:
        self.heard: list[str] = []

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """A guess, or a reflection where that is asked for."""
        self.heard.extend(message.content for dialogue in dialogues for message in dialogue.messages)
        return [Generation(self._text(dialogue)) for dialogue in dialogues]

    def _text(self, dialogue: Dialogue) -> str:
        guess = 1 + self._prompt(dialogue).count("- It was not")
        if "was not solved" in dialogue.messages[-1].content:
            return (
                f"It was not {guess}. I will say {guess + 1}. And so on." if dialogue.role == "assistant" else "Look!"
            )
        return str(guess) if dialogue.role == "assistant" else "Verdict: approve"

    def _prompt(self, dialogue: Dialogue) -> str:
        first = dialogue.messages[0]
        return first.content if first.speaker == "system" else ""


def play(
    make_task: MakeTask,
    policies: Mapping[str, Policy],
    episodes: Sequence[Episode],
    *,
    trials: Trials | None = None,
    **settings: Any,
) -> RolloutResult:
    """With one guess a trial."""
    rollout = Rollout(
        lambda: CollabEnv(make_task(highest=16, max_rounds=1), roles=tuple(policies)),
        policies,
        trials=trials or Trials(3),
        **settings,
    )
    result = rollout.run(episodes)
    rollout.close()
    return result


def guessing(number: int) -> Episode:
    """The task whose number this is."""
    return Episode(0, {"task": number})


def said(trajectory: Trajectory) -> list[tuple[str, str, str]]:
    """Role, kind and words of each step."""
    return [(step.role, step.kind, step.generation.text) for step in trajectory.steps]


# -- trials ------------------------------------------------------------------------------------------------------


def test_a_failed_task_is_tried_again_with_the_reflection_in_the_prompt(guess_task: MakeTask) -> None:
    """1 and 2 are wrong, 3 is right; what each trial was told is in its record, and the task is the same."""
    result = play(guess_task, {"assistant": Learner()}, [guessing(3)])

    assert [
        [("assistant", "act", "1"), ("assistant", "reflect", "It was not 1. I will say 2. And so on.")],
        [("assistant", "act", "2"), ("assistant", "reflect", "It was not 2. I will say 3. And so on.")],
        [("assistant", "act", "3")],
    ] == [said(trial) for trial in result.finished]
    one, two = Recalled("It was not 1. I will say 2."), Recalled("It was not 2. I will say 3.")
    assert [{}, {"assistant": (one,)}, {"assistant": (one, two)}] == [dict(t.recalled) for t in result.finished]
    assert [0, 1, 2] == [trial.trial for trial in result.finished]
    assert 1 == len({trial.task_id for trial in result.finished})
    assert [False, False, True] == [trial.success for trial in result.finished]
    assert result.trajectories == (result.finished[-1],)


def test_trials_are_bounded_and_the_last_failure_is_not_reflected_on(guess_task: MakeTask) -> None:
    """Nobody would read it."""
    result = play(guess_task, {"assistant": Learner()}, [guessing(9)], trials=Trials(2))

    assert ["reflect", "act"] == [trial.steps[-1].kind for trial in result.finished]


def test_a_reflection_is_paid_what_the_next_trial_gained(guess_task: MakeTask) -> None:
    """Trial 2 pays no more than trial 1, trial 3 pays 1 more: the second reflection earned it, twice if so set."""
    for reward in (1.0, 2.0):
        trials = play(guess_task, {"assistant": Learner()}, [guessing(3)], trials=Trials(3, reward=reward)).finished
        paid = [[(p.role, p.amount, p.turn) for p in t.payments if p.reason == "reflection"] for t in trials]

        assert [[], [("assistant", reward, 1)], []] == paid
        assert trials[1].steps[-1].payments == trials[1].payments[-1:]


def test_both_roles_reflect_on_what_they_saw(guess_task: MakeTask) -> None:
    """The assistant, then the checker, each in its own dialogue; the checker is told its own words."""
    trials = play(guess_task, {"assistant": Learner(), "checker": Learner()}, [guessing(2)]).finished

    assert ["assistant", "checker"] == [step.role for step in trials[0].steps if step.kind == "reflect"]
    assert {"assistant", "checker"} == set(trials[1].recalled)
    assert (Recalled("Look!"),) == trials[1].recalled["checker"]
    assert "Look!" in trials[1].dialogues["checker"][0].messages[0].content
    assert "Look!" == trials[0].dialogues["checker"][0].messages[-1].content


def test_only_those_reflect_who_are_asked_to(guess_task: MakeTask) -> None:
    """The checker may be left out; a role that no request is for is the user's mistake."""
    team = {"assistant": Learner(), "checker": Learner()}
    trials = play(guess_task, team, [guessing(2)], trials=Trials(3, roles=("assistant",))).finished

    assert ["assistant"] == [step.role for step in trials[0].steps if step.kind == "reflect"]
    assert {"assistant"} == set(trials[1].recalled)
    with pytest.raises(ConfigError, match="nothing asks 'user' to reflect"):
        Trials(2, roles=("user",))


def test_an_oracle_reflects_only_if_it_says_so(guess_task: MakeTask) -> None:
    """A teacher that writes no more than its dialogue shows may; it is never one by default."""
    team: Mapping[str, Policy] = {"assistant": DemonstratorPolicy()}
    assert () == who_reflects(team, ["assistant"])
    assert ("assistant",) == who_reflects({"assistant": DemonstratorPolicy(reflects=True)}, ["assistant"])


def test_what_was_refused_is_not_remembered_as_what_solved_the_task(guess_task: MakeTask, tmp_path: Path) -> None:
    """A checker that refuses the first proposal: the experience holds the second one alone."""

    class RefusesOnce:
        reflects = False

        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            return [Generation("Verdict: revise" if d.replies == 0 else "Verdict: approve") for d in dialogues]

    class Counts:
        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            return [Generation(str(d.replies + 1)) for d in dialogues]

    with LongTermMemory(tmp_path / "m.sqlite") as memory:
        known = Experience(memory, writes=True)
        team: Mapping[str, Policy] = {"assistant": Counts(), "checker": RefusesOnce()}
        known.learn(play(guess_task, team, [guessing(2)], trials=Trials(1)).finished, roles=("assistant",))
        [entry] = memory.entries()

    assert entry.text.endswith("By: 2")


def test_without_reflection_a_trial_is_a_new_sample(guess_task: MakeTask) -> None:
    """Nothing is told, and the dice are others."""
    team: Mapping[str, Policy] = {"assistant": Learner(), "checker": CoinPolicy(0.5)}
    trials = play(guess_task, team, [guessing(16)], trials=Trials(8, reflect=False)).finished

    assert 8 == len(trials) == len({trial.dialogues["checker"][0].seed for trial in trials})
    assert {"act"} == {step.kind for trial in trials for step in trial.steps}
    assert 2 == len({step.generation.text for trial in trials for step in trial.steps if step.role == "checker"})


def test_the_first_trial_is_the_episode_as_it_always_was(guess_task: MakeTask) -> None:
    """Seeds and words do not depend on how many trials may follow."""
    [one] = play(guess_task, {"assistant": Learner()}, [guessing(3)], trials=Trials(1)).finished
    first = play(guess_task, {"assistant": Learner()}, [guessing(3)]).finished[0]

    assert one.steps == first.steps[:1]
    assert one.dialogues["assistant"][0].seed == first.dialogues["assistant"][0].seed


def test_neither_oracles_nor_rules_reflect(guess_task: MakeTask) -> None:
    """Gold would give the answer away; an approving checker has nothing to say."""
    team: Mapping[str, Policy] = {"user": EchoPolicy(), "assistant": DemonstratorPolicy(), "checker": ApprovePolicy()}
    trials = play(guess_task, team, [Episode(seed) for seed in range(8)]).finished

    assert any(not trial.success for trial in trials)
    assert {"act"} == {step.kind for trial in trials for step in trial.steps}


def test_results_do_not_depend_on_the_width(guess_task: MakeTask) -> None:
    """Trials of one episode run beside those of others."""
    episodes = [guessing(number) for number in (1, 2, 3, 4, 5, 16)]
    alone, together = (
        [
            (said(t), t.payments, t.recalled)
            for t in play(guess_task, {"assistant": Learner()}, episodes, width=w).finished
        ]
        for w in (1, 4)
    )

    assert alone == together
    assert 1 + 2 + 3 + 3 + 3 + 3 == len(alone)


def test_an_episode_that_was_cut_off_is_reflected_on(guess_task: MakeTask) -> None:
    """A limit is an outcome like any other, and holds for each trial by itself."""
    rollout = Rollout(
        lambda: CollabEnv(guess_task(max_rounds=50), roles=("assistant",)),
        {"assistant": Learner()},
        limits=Limits(turns=2),
        trials=Trials(2),
    )
    trials = rollout.run([guessing(16)]).finished
    rollout.close()

    assert [(3, "turn limit", True), (2, "turn limit", True)] == [
        (len(t.steps), t.outcome, t.truncated) for t in trials
    ]
    assert "not solved (turn limit)" in trials[0].steps[-1].observation["message"]


def test_a_crash_in_a_later_trial_costs_the_episode(guess_task: MakeTask) -> None:
    """It is dropped whole, and the next one has an environment of its own."""

    class Fragile(guess_task):  # type: ignore[misc,valid-type]
        resets = 0

        def reset(self, **arguments: Any) -> Any:
            type(self).resets += 1
            if type(self).resets == 2:
                raise OSError("gone")
            return super().reset(**arguments)

    result = play(Fragile, {"assistant": Learner()}, [guessing(3), guessing(1)], width=1)

    assert [None, True] == [t and t.success for t in result.trajectories]
    assert ["OSError: gone"] == [dropped.error for dropped in result.dropped]


@pytest.mark.parametrize(("wrong", "word"), [({"trials": 0}, "trials=0"), ({"reward": math.inf}, "reward=inf")])
def test_impossible_trials_are_refused(wrong: dict[str, Any], word: str) -> None:
    """With the setting's name."""
    with pytest.raises(ConfigError, match=word):
        Trials(**wrong)


# -- logs --------------------------------------------------------------------------------------------------------


def test_trials_are_logged_replayed_and_verified(guess_task: MakeTask, tmp_path: Path) -> None:
    """What comes back from the log is what was written; replay shows reflections and what was recalled."""
    with LongTermMemory(tmp_path / "m") as memory:
        known = Experience(memory, writes=True)
        first = play(guess_task, {"assistant": Learner()}, [guessing(2)], experience=known).finished
        known.learn(first, roles=("assistant",))
        trials = play(guess_task, {"assistant": Learner()}, [guessing(4)], experience=known).finished
    with EpisodeWriter(tmp_path / "log") as log:
        for trial in trials:
            log.write(trial)
    records = list(read_episodes(tmp_path / "log"))
    console = Console(file=io.StringIO(), width=200)
    for number, record in enumerate(records, start=1):
        console.print(*whole(record, number=number))
        assert None is verify(record, CollabEnv(guess_task(highest=16, max_rounds=1), roles=("assistant",)))
    write_html(records, tmp_path / "page.html", title="t")
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    assert [(t.trial, t.recalled, t.steps, t.payments) for t in trials] == [
        (r.trajectory.trial, r.trajectory.recalled, r.trajectory.steps, r.trajectory.payments) for r in records
    ]
    for page in (shown, (tmp_path / "page.html").read_text(encoding="utf-8")):
        assert "trial 2" in page
        assert "reflection" in page
        assert "assistant recalls, memory 1: It was not 1. I will say 2." in page
        assert "assistant recalls, an earlier trial: It was not" in page


# -- experience --------------------------------------------------------------------------------------------------


def test_reflections_and_successes_are_kept_with_what_they_were_worth(guess_task: MakeTask) -> None:
    """The reflection that led to success has helped once, the one before it has not; what was done is kept too."""
    with LongTermMemory(":memory:", MemorySettings(growth=0.0)) as memory:
        known = Experience(memory, writes=True)
        trials = play(guess_task, {"assistant": Learner()}, [guessing(3)], experience=known).finished
        known.learn(trials, roles=("assistant",))
        kept = memory.entries()

        assert [("reflection", 1, 0), ("reflection", 1, 1), ("experience", 0, 0)] == [
            (entry.kind, entry.uses, entry.helped) for entry in kept
        ]
        assert kept[2].text.startswith("Solved: ")
        assert kept[2].text.endswith(" By: 3")
        assert {("assistant", "custom", "guess-3")} == {(e.role, e.family, e.task) for e in kept}
        assert 3.0 == memory.now


def test_episodes_of_a_block_never_hear_of_each_other(guess_task: MakeTask) -> None:
    """Whatever the width; after `learn` the next block does, and success strengthens what was recalled."""
    with LongTermMemory(":memory:", MemorySettings(recall=10)) as memory:
        known = Experience(memory, writes=True)
        episodes = [guessing(1), guessing(2), guessing(3)]
        block = play(guess_task, {"assistant": Learner()}, episodes, experience=known, width=1).finished
        assert all(item.memory is None for trial in block for items in trial.recalled.values() for item in items)
        known.learn(block, roles=("assistant",))
        number = next(entry.id for entry in memory.entries() if entry.text.startswith("It was not 1"))
        before = memory.get(number)
        [after] = play(guess_task, {"assistant": Learner()}, [guessing(3)], experience=known, trials=Trials(1)).finished
        known.learn([after], roles=("assistant",))
        now = memory.get(number)

        assert after.success  # two memories say "It was not", so that the first guess is 3
        assert before is not None and now is not None
        assert (before.uses + 1, before.helped + 1) == (now.uses, now.helped)
        assert now.strength > before.strength


def test_what_may_not_write_leaves_the_file_alone(guess_task: MakeTask) -> None:
    """And a single trial is not reflected on for a memory that keeps nothing."""
    with LongTermMemory(":memory:") as memory:
        known = Experience(memory, writes=False)
        trials = play(guess_task, {"assistant": Learner()}, [guessing(3)], experience=known, trials=Trials(1)).finished
        known.learn(trials, roles=("assistant",))
        writing = Experience(memory, writes=True)
        [kept] = play(
            guess_task, {"assistant": Learner()}, [guessing(3)], experience=writing, trials=Trials(1)
        ).finished

        assert (0, 0.0) == (len(memory), memory.now)
        assert ["act"] == [step.kind for step in trials[0].steps]
        assert ["act", "reflect"] == [step.kind for step in kept.steps]


def test_an_oracle_neither_recalls_nor_is_remembered(guess_task: MakeTask) -> None:
    """What gold did would be the answer key."""
    with LongTermMemory(":memory:") as memory:
        known = Experience(memory, writes=True)
        rollout = Rollout(
            lambda: CollabEnv(guess_task(), roles=("assistant",)), {"assistant": GoldPolicy()}, experience=known
        )
        trials = rollout.run([guessing(3)]).finished
        known.learn(trials, roles=rollout.minds)
        rollout.close()

        assert ((), True, 0) == (rollout.minds, trials[0].success, len(memory))
