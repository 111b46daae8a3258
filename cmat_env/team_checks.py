"""Does a collaboration keep PettingZoo's contract and ours? For `cmat_env.testing`."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict

from pettingzoo.test.api_test import api_test
from pettingzoo.test.seed_test import seed_test

from cmat_env.collab import CollabEnv
from cmat_env.errors import ContractError
from cmat_env.invariants import JUNK, broken, check_equal, global_random, nothing_left, plain, short
from cmat_env.spaces import AnyText
from cmat_env.task_player import attempt
from cmat_env.team import Forkable

_API_CYCLES = 60
_SEED_CYCLES = 60
_FORKS = 4
_SAMPLES = 6


class TeamPlayer:
    """Plays one CollabEnv, checks everything after every turn, and writes it down.

    Attributes:
        lines: the canonical JSON of what the acting agent was given, by turn.
    """

    def __init__(self, env: CollabEnv) -> None:
        self.env = env
        self.lines: list[str] = []
        self._owed: dict[str, float] = {}
        self._paid: dict[str, float] = {}

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        attempt(lambda: self.env.reset(seed=seed), "reset(seed=...)")
        if self.env.agents != self.env.possible_agents or any(self.env.terminations.values()):
            raise broken(
                came=f"after reset() agents={self.env.agents}, terminations={self.env.terminations}",
                wanted="all agents, alive",
                mend="let reset() fill agents, rewards, terminations, truncations and infos",
            )
        self.lines = []
        self._owed = dict.fromkeys(self.env.agents, 0.0)
        self._paid = dict.fromkeys(self.env.agents, 0.0)
        self._look()

    def step(self, action: str | None) -> None:
        """Take one turn; an agent that is done gets None."""
        env = self.env
        agent = env.agent_selection
        _, reward, terminated, truncated, _ = env.last()
        if not math.isclose(reward, self._owed[agent], abs_tol=1e-9):
            raise broken(
                came=f"last() pays {agent} {reward}, and its rewards since its last turn are {self._owed[agent]}",
                wanted="rewards that accumulate until the agent acts",
                mend="set _cumulative_rewards[agent] = 0 when it acts, then call _accumulate_rewards() once",
            )
        self._owed[agent] = 0.0
        done = terminated or truncated
        attempt(lambda: env.step(None if done else action), f"{agent}: step({short(action)})")
        for each, amount in env.rewards.items():
            self._owed[each] += amount
            self._paid[each] += 0.0 if done else amount
        self._look()

    def play(self, actions: Sequence[str | None], max_turns: int) -> TeamPlayer:
        """Take turns until all agents are done."""
        for turn in range(max_turns):
            if not self.env.agents:
                return self
            self.step(_action(actions, turn))
        raise broken(
            came=f"an episode of {self.env.env_id} did not end within {max_turns} turns",
            wanted="an end, whatever the agents say",
            mend="let the task count rounds, and the turn order reach the task; or raise max_turns of this check",
        )

    def _look(self) -> None:
        """Check all that PettingZoo and the ledger show, and note what the next agent is given."""
        env = self.env
        for name in ("rewards", "terminations", "truncations", "infos"):
            if set(getattr(env, name)) != set(env.agents):
                raise broken(
                    came=f"{name} has the keys {sorted(getattr(env, name))}, agents are {env.agents}",
                    wanted="one entry for each live agent",
                    mend=f"keep {name} in step with agents; _was_dead_step() removes who is done",
                )
        for agent in env.agents:
            self._look_at(agent)
        for role in env.roles:
            agent = f"{role}_0"
            if not math.isclose(env.ledger.total(role), self._paid[agent], abs_tol=1e-9):
                raise broken(
                    came=f"the ledger pays {role} {env.ledger.total(role)}, and its rewards sum to {self._paid[agent]}",
                    wanted="every reward to be an entry of the ledger, and every entry a reward",
                    mend="pay through Ledger.pay alone",
                )
        self.lines.append(_line(env))

    def _look_at(self, agent: str) -> None:
        env = self.env
        observation = env.observe(agent)
        if not env.observation_space(agent).contains(observation):
            raise broken(
                came=f"observe({agent!r}) gave {short(observation)}, which is not in {env.observation_space(agent)!r}",
                wanted="an observation in its space at every turn",
                mend="cut long messages, and keep 'speaker' an int",
            )
        if env.observation_space(agent) is not env.observation_space(agent) or (
            env.action_space(agent) is not env.action_space(agent)
        ):
            raise broken(
                came=f"the spaces of {agent} are new objects on every call",
                wanted="the same object, so that seeding it lasts",
                mend="make the spaces in __init__",
            )
        flags = env.terminations[agent], env.truncations[agent]
        if not all(isinstance(flag, bool) for flag in flags) or all(flags):
            raise broken(
                came=f"{agent} has terminated, truncated = {flags}",
                wanted="two bools, not both True",
                mend="terminated = answered or failed for good; truncated = a limit",
            )


def _line(env: CollabEnv) -> str:
    """The canonical JSON of what the agent whose turn it is is given; of the ledger, when all are done."""
    if not env.agents:
        return plain([asdict(entry) for entry in env.ledger.entries], where="the ledger")
    agent = env.agent_selection
    observation, reward, *_, info = env.last()
    return plain([agent, observation, reward, info], where=f"what last() gave {agent}")


def check_collab(make: Callable[[], CollabEnv], *, seeds: Sequence[int] = (0, 1), max_turns: int = 1000) -> None:
    """Play a collaboration in many ways and raise at the first broken rule.

    Checked beside PettingZoo's `api_test` and `seed_test`: observations in their spaces and the bookkeeping of all
    agents after every turn, junk and None as actions, an end within `max_turns`, rewards that accumulate and equal the
    ledger, JSON, the same episode from the same seed over its whole length and whatever the global random state is,
    that a snapshot, a pickle and a deep copy go on as the original, `close` twice, with nothing left behind.

    Args:
        make: makes a fresh environment each time.
        seeds: of the episodes.
        max_turns: turns of agents within which every episode must end.

    Raises:
        ContractError: what came, what was wanted, and how to mend it.
    """
    if not isinstance(make(), CollabEnv):
        raise broken(came=f"make() gave a {type(make()).__name__}", wanted="a CollabEnv", mend="use cmat_env.make")
    runs = []
    for state in (1, 2):
        with global_random(state, what="the collaboration"):
            runs.append([line for seed in seeds for line in _episode(make, seed, max_turns)])
    mend = "draw from the task's own generator alone, and keep time and process ids out of infos"
    check_equal(runs[0], runs[1], "under another global random state", mend)
    _check_step_without_episode(make())
    envs = []
    with nothing_left(what="the collaboration"):
        for seed in seeds:
            envs.append(make())
            player = TeamPlayer(envs[-1])
            player.reset(seed)
            player.play(_script(seed), max_turns)
            for _ in range(2):
                attempt(envs[-1].close, "close(), which may be called twice,")
    _check_pettingzoo(make)


def _script(seed: int) -> list[str | None]:
    space = AnyText(1000, seed=seed)
    verdicts = ["Verdict: revise. again", "Verdict: approve"]
    return [None, *(text for _, text in JUNK), *verdicts, *(space.sample() for _ in range(_SAMPLES))]


def _action(script: Sequence[str | None], turn: int) -> str | None:
    return script[turn] if turn < len(script) else script[-1 - turn % _SAMPLES]


def _episode(make: Callable[[], CollabEnv], seed: int, max_turns: int) -> list[str]:
    """One episode, compared with its repetitions and forks."""
    for junk in (None, *(text for _, text in JUNK)):
        everywhere = TeamPlayer(make())
        everywhere.reset(seed)
        everywhere.play([junk] * _SAMPLES, max_turns)
    script = _script(seed)
    env = make()
    player = TeamPlayer(env)
    player.reset(seed)
    lines = player.play(script, max_turns).lines
    again = TeamPlayer(env)
    again.reset(seed + 1)
    again.step(script[0])
    again.reset(seed)
    check_equal(
        lines, again.play(script, max_turns).lines, "after an episode that was left",
        "let reset() begin everything anew",
    )  # fmt: skip
    twins = [TeamPlayer(make()), TeamPlayer(make())]
    for twin in twins:
        twin.reset(seed)
    for turn in range(len(lines) - 1):
        for twin in twins:
            twin.step(_action(script, turn))
    for twin in twins:
        check_equal(lines, twin.lines, "of two instances side by side", "keep state in the instance")
    _check_forks(make, lines, seed, max_turns)
    return lines


def _check_forks(make: Callable[[], CollabEnv], lines: Sequence[str], seed: int, max_turns: int) -> None:
    script = _script(seed)
    player = TeamPlayer(make())
    player.reset(seed)
    for turn in range(min(_FORKS, len(lines) - 1)):
        for name, fork in _forks(make, player.env, seed):
            went = []
            for later in range(turn, len(lines) - 1):
                fork.step(_legal(fork, _action(script, later)))
                went.append(_line(fork))
            check_equal(
                lines[turn + 1 :], went, f"when it goes on from {name} of turn {turn}",
                f"let {name} carry all that an episode depends on",
            )  # fmt: skip
        player.step(script[turn])


def _forks(make: Callable[[], CollabEnv], env: CollabEnv, seed: int) -> list[tuple[str, CollabEnv]]:
    forks: list[tuple[str, CollabEnv]] = []
    if isinstance(env.task, Forkable):
        state = attempt(env.snapshot, "snapshot()")
        for name in ("a snapshot", "a snapshot that was restored before"):
            other = make()
            other.reset(seed=seed + 1)
            other.restore(state)
            forks.append((name, other))
    for name, clone in (("a deep copy", copy.deepcopy), ("a pickle", _pickled)):
        with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
            forks.append((name, clone(env)))
    return forks


def _pickled(env: CollabEnv) -> CollabEnv:
    twin: CollabEnv = pickle.loads(pickle.dumps(env))
    return twin


def _legal(env: CollabEnv, action: str | None) -> str | None:
    agent = env.agent_selection
    return None if env.terminations[agent] or env.truncations[agent] else action


def _check_step_without_episode(env: CollabEnv) -> None:
    try:
        env.step("hello")
    except ContractError:
        return
    raise broken(came="step() before reset() went through", wanted="a ContractError", mend="do not override step()")


def _check_pettingzoo(make: Callable[[], CollabEnv]) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            api_test(make(), num_cycles=_API_CYCLES)  # type: ignore[no-untyped-call]
            seed_test(make, num_cycles=_SEED_CYCLES)  # type: ignore[no-untyped-call]
        except AssertionError as error:
            raise broken(
                came=f"PettingZoo's own test says: {error}",
                wanted="an environment that passes api_test and seed_test",
                mend="see the PettingZoo documentation of that rule",
            ) from error
