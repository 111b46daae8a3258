"""The checks for plug-in authors: a right task, team and policy pass, and every way to be wrong is named."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, ContractError
from cmat_env.invariants import plain
from cmat_env.spaces import AnyText
from cmat_env.testing import check_collab, check_policy, check_task
from cmat_env.types import Dialogue, Generation, Judgement, Message

Change = Callable[[Any, Any], Any]


def altered_step(task: Any, index: int, value: Any) -> Any:
    """A task class whose step has something else at one place of what it returns."""

    class Altered(task):  # type: ignore[misc]
        def step(self, action: str) -> Any:
            result = list(super().step(action))
            result[index] = value(self, result) if callable(value) else value
            return tuple(result)

    return Altered


def with_method(task: Any, name: str, method: Any) -> Any:
    """A task class with one method or attribute more, or another one."""
    return type("Altered", (task,), {name: method})


def test_a_right_task_passes(guess_task: Any) -> None:
    """With all the extras, and with none."""
    check_task(guess_task)
    bare = type("Bare", (guess_task,), {"judge": None, "solution": None})

    class Bare(gymnasium.Env[str, str]):
        observation_space, action_space = bare().observation_space, bare().action_space

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            self.rounds = 0
            return "go", {"task_id": "1", "task_type": "only"}

        def step(self, action: str) -> Any:
            self.rounds += 1
            end = {"success": False, "score": 0.0} if self.rounds == 5 else {}
            return "again", 0.0, False, self.rounds == 5, {"task_id": "1", "task_type": "only", **end}

    check_task(Bare)


def test_the_checks_leave_global_random_state_alone(guess_task: Any) -> None:
    """They set it while they look, and put it back."""
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    check_task(guess_task, seeds=(0,))

    assert before == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]


COUNT = [0]
LEFT: list[Any] = []


def _reset_without(key: str) -> Any:
    def make(task: Any) -> Any:
        def reset(self: Any, *, seed: Any = None, options: Any = None) -> Any:
            observation, info = task.reset(self, seed=seed, options=options)
            return observation, {name: value for name, value in info.items() if name != key}

        return with_method(task, "reset", reset)

    return make


def _reset_with_type(name: str) -> Any:
    def make(task: Any) -> Any:
        def reset(self: Any, *, seed: Any = None, options: Any = None) -> Any:
            observation, info = task.reset(self, seed=seed, options=options)
            return observation, {**info, "task_type": name}

        return with_method(task, "reset", reset)

    return make


def _forgetful(task: Any) -> Any:
    """Reset does not begin the rounds anew."""

    def reset(self: Any, *, seed: Any = None, options: Any = None) -> Any:
        rounds = self.rounds % self.max_rounds
        result = task.reset(self, seed=seed, options=options)
        self.rounds = rounds + 1 if rounds else 0
        return result

    return with_method(task, "reset", reset)


def _unseeded(task: Any) -> Any:
    def reset(self: Any, *, seed: Any = None, options: Any = None) -> Any:
        return task.reset(self, seed=None, options=options)

    return with_method(task, "reset", reset)


def _global_random(task: Any) -> Any:
    def reset(self: Any, *, seed: Any = None, options: Any = None) -> Any:
        return task.reset(
            self, seed=seed, options={"task": random.Random(seed).randint(1, 16) + 0 * random.randint(1, 2)}
        )

    return with_method(task, "reset", reset)


def _reads_global_random(task: Any) -> Any:
    def observation(self: Any, result: list[Any]) -> str:
        return f"{result[0]} {random.getstate()[1][5]}"

    return altered_step(task, 0, observation)


def _shared(task: Any) -> Any:
    """Rounds are counted in the module, for all instances."""

    def observation(self: Any, result: list[Any]) -> str:
        COUNT[0] += 1
        return f"{result[0]} {COUNT[0]}"

    return altered_step(task, 0, observation)


def _timed(task: Any) -> Any:
    return altered_step(task, 4, lambda self, result: {**result[4], "seconds": time.perf_counter()})


def _one_info(task: Any) -> Any:
    """The same dictionary every time, written over."""

    def info(self: Any, result: list[Any]) -> dict[str, Any]:
        self.__dict__.setdefault("kept", {}).update({**result[4], "round": self.rounds})
        return self.kept  # type: ignore[no-any-return]

    return altered_step(task, 4, info)


def _crashing(on: Callable[[str], bool]) -> Any:
    def make(task: Any) -> Any:
        def step(self: Any, action: str) -> Any:
            if on(action):
                raise ValueError("bad action")
            return task.step(self, action)

        return with_method(task, "step", step)

    return make


def _leaky(leave: Callable[[], Any]) -> Any:
    def make(task: Any) -> Any:
        def reset(self: Any, *, seed: Any = None, options: Any = None) -> Any:
            LEFT.append(leave())
            return task.reset(self, seed=seed, options=options)

        return with_method(task, "reset", reset)

    return make


def _orphan() -> int:
    """The number of a process whose parent has ended."""
    return int(subprocess.check_output(["sh", "-c", "sleep 60 >/dev/null & echo $!"]))


def _closes_once(task: Any) -> Any:
    def close(self: Any) -> None:
        del self.secret

    return with_method(task, "close", close)


def _judge_that_acts(task: Any) -> Any:
    def judge(self: Any, action: str) -> Judgement:
        self.rounds += 1
        return Judgement(good=True)

    return with_method(task, "judge", judge)


def _half_snapshot(task: Any) -> Any:
    def snapshot(self: Any) -> Any:
        return (*task.snapshot(self)[:3], 0)

    return with_method(task, "snapshot", snapshot)


BROKEN: dict[str, tuple[Any, str]] = {
    "the observation is no string": (lambda t: altered_step(t, 0, 3), r"the observation 3, not in AnyText\(1000\)"),
    "the observation is too long": (
        lambda t: altered_step(t, 0, "x" * 1001),
        r"not in AnyText\(1000\)\. Wanted: a string in observation_space\. Mend it: cut",
    ),
    "a numpy bool": (lambda t: altered_step(t, 2, np.bool_(False)), r"terminated=.*, a bool.*Mend it: write bool"),
    "both ends at once": (
        lambda t: altered_step(altered_step(t, 2, lambda s, r: s.rounds > 2), 3, lambda s, r: s.rounds > 2),
        "terminated and truncated at once.*let terminated win",
    ),
    "the reward is NaN": (lambda t: altered_step(t, 1, float("nan")), "reward=nan.*finite"),
    "the reward is a numpy float": (lambda t: altered_step(t, 1, np.float32(0)), r"reward=.*write float"),
    "four values": (lambda t: with_method(t, "step", lambda self, action: ("a", 0.0, False, {})), "return these five"),
    "the info is no JSON": (
        lambda t: altered_step(t, 4, lambda s, r: {**r[4], "set": {1}}),
        "JSON cannot carry.*Mend it: convert",
    ),
    "a tuple in the info": (
        lambda t: altered_step(t, 4, lambda s, r: {**r[4], "pair": (1, 2)}),
        "JSON gives back as.*use lists for tuples",
    ),
    "no success": (
        lambda t: altered_step(t, 4, lambda s, r: {k: v for k, v in r[4].items() if k != "success"}),
        r"success=None.*Wanted: info\['success'\], a bool",
    ),
    "no score": (lambda t: altered_step(t, 4, lambda s, r: {**r[4], "score": "1"}), "score='1'.*finite int or float"),
    "no task id": (_reset_without("task_id"), r"task_id=None.*Wanted: info\['task_id'\]"),
    "no task type": (_reset_without("task_type"), r"task_type=None"),
    "an unlisted task type": (_reset_with_type("prime"), "task_type='prime' is not among task_types"),
    "an endless episode": (
        lambda t: altered_step(altered_step(t, 3, False), 2, False),
        "did not end within 200 actions.*count rounds",
    ),
    "an error for an empty action": (_crashing(lambda text: text == ""), r"step\(''\) raised ValueError: bad action"),
    "an error for a megabyte": (_crashing(lambda text: len(text) > 10**5), r"1000002 characters\)\) raised ValueError"),
    "an error for a surrogate": (_crashing(lambda text: bool(text.encode() and 0)), "raised UnicodeEncodeError"),
    "state that survives reset": (_forgetful, "after another episode of the same instance.*begin everything anew"),
    "the seed is not used": (_unseeded, r"answer \d+ is another|end after"),
    "state shared by instances": (_shared, "answer 1 is another of two instances.*keep state in the instance"),
    "a clock in the info": (_timed, "no time, id or address"),
    "global random numbers": (_global_random, "global random state of random.*self.np_random"),
    "global random numbers only read": (_reads_global_random, "under another global random state"),
    "an info that changes later": (_one_info, "changed after it was given.*new dictionary"),
    "a narrow action space": (
        lambda t: with_method(t, "action_space", property(lambda s: gymnasium.spaces.Text(50), lambda s, v: None)),
        r"action_space is Text.*'' is not in it.*AnyText\(max_length\)",
    ),
    "close once only": (_closes_once, r"close\(\), which may be called twice, raised AttributeError"),
    "a judge that acts": (_judge_that_acts, r"when judge\(\) is called before each action"),
    "a judge of another type": (lambda t: with_method(t, "judge", lambda self, action: True), "gave True.*Judgement"),
    "a judge against the solution": (
        lambda t: with_method(t, "judge", lambda self, action: Judgement(good=False)),
        "own solution bad: '",
    ),
    "a solution that fails": (
        lambda t: with_method(with_method(t, "judge", None), "solution", lambda self: ["x"]),
        r"own solution \['x'\] does not solve seed 0",
    ),
    "a solution of another type": (lambda t: with_method(t, "solution", lambda self: "5"), "list of actions"),
    "a snapshot that forgets": (_half_snapshot, "goes on from a snapshot of turn 1"),
    "a snapshot without restore": (lambda t: with_method(t, "restore", property()), "one of snapshot"),
    "a snapshot that cannot be pickled": (
        lambda t: with_method(
            with_method(t, "snapshot", lambda self: (t.snapshot(self), lambda: 0)),
            "restore",
            lambda self, state: t.restore(self, state[0]),
        ),
        "cannot be pickled",
    ),
    "a temporary file": (_leaky(lambda: tempfile.mkstemp(prefix="left-")), "left .* behind.*release in close"),
    "an open file": (_leaky(Path("/dev/null").open), "open files behind: .*/dev/null"),
    "an orphan": (_leaky(_orphan), "left 3 orphaned processes behind"),
    "a process": (_leaky(lambda: subprocess.Popen(["sleep", "60"])), "left 3 child processes behind"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_task_is_found_out(guess_task: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule has a task that breaks only it, and a message that says what, and how to mend it."""
    monkeypatch.setattr("cmat_env.invariants._MOMENT", 0.5)
    make, message = BROKEN[name]
    if name in {"a process", "an orphan"} and not Path("/proc/self/task").is_dir():
        pytest.skip("this system does not tell of child processes")
    try:
        with pytest.raises(ContractError, match=f"(?s){message}") as caught:
            check_task(make(guess_task))
    finally:
        while LEFT:
            left = LEFT.pop()
            if isinstance(left, subprocess.Popen):
                left.kill()
                left.wait()
            elif isinstance(left, int):
                os.kill(left, signal.SIGKILL)
            elif isinstance(left, tuple):
                os.close(left[0])
            else:
                left.close()
    assert all(part in str(caught.value) for part in (". Wanted: ", ". Mend it: "))


def test_what_is_no_task_is_refused(guess_task: Any) -> None:
    """An instance in place of a factory, and an object that is no environment."""
    with pytest.raises(ContractError, match="Wanted: a function that makes a task"):
        check_task(guess_task())
    with pytest.raises(ContractError, match=r"Wanted: a gymnasium.Env\[str, str\]"):
        check_task(object)


@pytest.mark.parametrize(
    "settings", [{}, {"roles": ("assistant",)}, {"dry_run": True, "max_revisions": 2}, {"max_message": 64}]
)
def test_a_right_team_passes(guess_task: Any, settings: dict[str, Any]) -> None:
    """Whatever its roles and settings."""
    check_collab(lambda: CollabEnv(guess_task(), **settings))


class Overpaid(CollabEnv):
    """Pays beside the ledger."""

    def _accumulate_rewards(self) -> None:
        self.rewards["assistant_0"] += 0.5
        super()._accumulate_rewards()


class Hoarding(CollabEnv):
    """Never pays what was accumulated."""

    def _accumulate_rewards(self) -> None:
        pass


class Garbling(CollabEnv):
    """Shows a speaker that is not in the space."""

    def observe(self, agent: str) -> dict[str, Any]:
        """Wrong."""
        return {**super().observe(agent), "speaker": 9}


class Forgetting(CollabEnv):
    """Restores the start of the ledger only."""

    def restore(self, snapshot: Any) -> None:
        """Wrong."""
        super().restore(snapshot)
        self.ledger.entries.clear()
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)


class Fresh(CollabEnv):
    """Makes its spaces anew each time."""

    def action_space(self, agent: str) -> Any:
        """Wrong."""
        return AnyText(100_000)


@pytest.mark.parametrize(
    ("team", "message"),
    [
        (Overpaid, "the ledger pays user|the ledger pays assistant"),
        (Hoarding, "rewards that accumulate until the agent acts"),
        (Garbling, "which is not in Dict"),
        (Forgetting, "goes on from a snapshot of turn"),
        (Fresh, "are new objects on every call"),
    ],
)
def test_a_broken_team_is_found_out(guess_task: Any, team: Any, message: str) -> None:
    """Also where PettingZoo's own test looks away."""
    with pytest.raises(ContractError, match=message):
        check_collab(lambda: team(guess_task()))


def test_what_is_no_team_is_refused(guess_task: Any) -> None:
    """A bare task is not a collaboration."""
    with pytest.raises(ContractError, match="Wanted: a CollabEnv"):
        check_collab(guess_task)


class Right:
    """A token policy in small: ids are characters, drawn from a generator of the dialogue's own."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Say a number."""
        return [self.answer(dialogue, seed) for dialogue in dialogues]

    def answer(self, dialogue: Dialogue, seed: int) -> Generation:
        """Encode what is pending, and draw."""
        dialogue.encode([len(message.content) for message in dialogue.pending])
        text = str(random.Random(f"{seed} {dialogue.seed} {dialogue.replies} {dialogue.role}").randint(0, 10**6))
        return Generation(text, tuple(map(ord, text)), (-2.3,) * len(text))


class Oracular(Right):
    """Meets the task."""

    def begin(self, dialogue: Dialogue, task: Any) -> None:
        """Remember nothing."""
        assert task.solution()


class _GlobalDraws(Right):
    def answer(self, dialogue: Dialogue, seed: int) -> Generation:
        return Generation(str(random.random()))


class _OneGenerator(Right):
    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        rng = random.Random(seed)
        return [Generation(str(rng.random())) for _ in dialogues]


class _Meddling(Right):
    def answer(self, dialogue: Dialogue, seed: int) -> Generation:
        dialogue.say(Message("assistant", "hm"))
        return Generation("hm")


class _Lazy(Right):
    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        return [self.answer(dialogue, seed) for dialogue in dialogues if dialogue.messages[-1].content]


class _Improbable(Right):
    def answer(self, dialogue: Dialogue, seed: int) -> Generation:
        return Generation("a", (1,), (0.5,))


class _Odd(Right):
    def answer(self, dialogue: Dialogue, seed: int) -> Generation:
        return Generation("a", finish_reason="eos")  # type: ignore[arg-type]


class _Fragile(Right):
    def answer(self, dialogue: Dialogue, seed: int) -> Generation:
        return Generation(dialogue.messages[-1].content.split()[0])


def test_a_right_policy_passes(guess_task: Any) -> None:
    """With tokens, and as an oracle that meets a task."""
    check_policy(Right())
    check_policy(Oracular(), task=guess_task)
    with pytest.raises(ConfigError, match="Oracular is an Oracle"):
        check_policy(Oracular())


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (_GlobalDraws(), "global random state of random"),
        (_OneGenerator(), "in a batch.*one generator a dialogue"),
        (_Meddling(), r"changed Dialogue.*Dialogue\.reply"),
        (_Lazy(), "one Generation for each"),
        (_Improbable(), r"logprobs=\(0\.5,\).*none above 0"),
        (_Odd(), "finish_reason='eos'"),
        (_Fragile(), "raised IndexError"),
        (object(), "has no generate"),
    ],
)
def test_a_broken_policy_is_found_out(policy: Any, message: str) -> None:
    """Each rule has a policy that breaks only it."""
    with pytest.raises(ContractError, match=f"(?s){message}"):
        check_policy(policy)


@pytest.mark.parametrize("value", [{1: "a"}, (1,), float("inf"), np.int64(3), {"a": [object()]}])
def test_plain_data_survives_json(value: Any) -> None:
    """What comes back as something else is not plain."""
    with pytest.raises(ContractError, match="the info"):
        plain(value, where="the info")
    assert '{"a": [1, 2.5, "\\ud800", null, true]}' == plain({"a": [1, 2.5, "\ud800", None, True]}, where="the info")


def test_the_checks_do_not_import_torch() -> None:
    """A plug-in author without the training extra can check too."""
    code = "import sys, cmat_env.testing; sys.exit('torch' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
