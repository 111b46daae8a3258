"""`cmat/KG-v0`: find an answer in a knowledge graph by AgentBench's seven tools.

observation: the question with its entities, then what each call gave: a menu, a new variable, or a refusal
action:      any text; a codec finds calls and the answer in it
reward:      0 or 1 (exact match), or F1, at the end
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmat_env.envs.knowledge_graph.codec import CODECS, Codec, Final, FormatName, Malformed, Move, state
from cmat_env.envs.knowledge_graph.compiler import Dialect, Fidelity, ImpossibleError
from cmat_env.envs.knowledge_graph.demonstrate import Demonstrator
from cmat_env.envs.knowledge_graph.episode import Episode, KGSettings, RewardName
from cmat_env.envs.knowledge_graph.grade import Grade, grade
from cmat_env.envs.knowledge_graph.graphs import open_graph
from cmat_env.envs.knowledge_graph.judge import Judge, id_refusal
from cmat_env.envs.knowledge_graph.knowledge import Knowledge, Names
from cmat_env.envs.knowledge_graph.source import open_source
from cmat_env.envs.knowledge_graph.store import Limits, QueryTimeoutError, Store
from cmat_env.envs.knowledge_graph.tasks import Call, KGTask
from cmat_env.envs.knowledge_graph.tools import perform
from cmat_env.envs.task_env import RestorableEnv, Snapshot
from cmat_env.envs.tool_calls import MAX_CALLS
from cmat_env.lessons import NOTHING, Lessons, reflection
from cmat_env.protocols import Uniform
from cmat_env.spaces import AnyText
from cmat_env.types import Judgement

NO_VARIABLE = "Invalid variable id! Need to recheck the action."
TRUNCATED = "[TRUNCATED]"
TASK_GRAPH = "urn:kgtask:{id}"


class KGEnv(RestorableEnv[KGTask, Episode]):
    """One agent at a knowledge graph.

    Args:
        tasks: "generated:train", "generated:dev", "generated:heldout", the path of an AgentBench file, or the tasks
            themselves.
        graphs: None = our own graph; a file of triples or quads (.nt .nq .ttl .trig .rdf .n3, also .gz); a folder that
            `build_folder` made; the URL of a SPARQL endpoint; or a store.
        ontology: AgentBench's ontology folder; by default the one beside a file of Freebase's, else read off the graph.
        dialect: of an endpoint, "1.1" or "virtuoso".
        named_graph: where the triples of a task lie, such as "urn:kgtask:{id}"; None = that for a store that holds
            named graphs only, else the default graph.
        families: of generated tasks; by default all.
        limits: of a query and a program.
        action_format, fidelity, reward, max_rounds, max_observation, demonstrator_error: see `KGSettings`.

    `reset(seed=, options={"task": ...})`: of generated tasks, each seed has its own; of a list, seeds go round it;
    options name one by id or number. At the end, infos hold success, score (F1), outcome ("correct", "wrong", "bad
    variable", "round limit", or "offline: " and why the graph cannot answer the task), ended, f1, em, executable,
    truncated_answer and metrics.

    Raises:
        ConfigError, UnknownNameError, TaskFileError: an argument is not what it should be.
    """

    def __init__(
        self,
        tasks: str | Path | Sequence[KGTask] = "generated:train",
        *,
        graphs: str | Path | Store | None = None,
        ontology: str | Path | None = None,
        dialect: Dialect = "1.1",
        named_graph: str | None = None,
        families: Sequence[str] = (),
        limits: Limits | None = None,
        action_format: FormatName = "v0.2",
        fidelity: Fidelity = "upstream",
        reward: RewardName = "em",
        max_rounds: int = 15,
        max_observation: int = 20_000,
        demonstrator_error: float = 0.5,
    ) -> None:
        self.settings = KGSettings(action_format, fidelity, reward, max_rounds, max_observation, demonstrator_error)
        whole = named_graph if named_graph is not None and "{id}" not in named_graph else None
        self.graph = open_graph(graphs, ontology=ontology, dialect=dialect, named_graph=whole)
        file = graphs if isinstance(graphs, str | Path) else None
        self.source = open_source(tasks, lambda: self.graph.facts, only=families, graphs=file)
        self.task_types = self.source.families
        self.limits = limits or Limits()
        self._named_graph = named_graph or (TASK_GRAPH if self.graph.store.graphs_named else None)
        self.observation_space = AnyText(max(100_000, MAX_CALLS * (max_observation + 100)))
        self.action_space = AnyText(1_000_000)
        self._judge: Judge | None = None

    @property
    def codec(self) -> Codec:
        """How actions are written."""
        return CODECS[self.settings.action_format]

    @property
    def instructions(self) -> str:
        """The tools, and how to write an action."""
        return self.codec.instructions(self.settings.max_rounds)

    @property
    def knowledge(self) -> Knowledge:
        """The graph as this episode may ask it."""
        graph = None if self._named_graph is None else self._named_graph.replace("{id}", self.task.id)
        return Knowledge(self.graph.store, self.graph.schema, self.settings.fidelity, self.limits, graph)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        Raises:
            UnknownNameError: options["task"] names no task.
        """
        return self.begin(self._pick(seed, options))

    def begin(self, task: KGTask, *, fresh: bool = True) -> tuple[str, dict[str, Any]]:
        """Begin an episode of this task; unless it is fresh, the variables of the one before stay at hand."""
        self._episode = Episode(task) if fresh else Episode(task, session=self._state.session)
        self._judge = None
        return state(task.question, task.entities), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one turn; whatever is no text counts as an empty one.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
            StoreError: the store failed; the episode cannot be scored.
        """
        before = self._running()
        last_round = before.rounds + 1 >= self.settings.max_rounds
        self._episode = replace(before, rounds=before.rounds + 1)
        seen: list[str] = []
        for move in self._parse(action):
            if isinstance(move, Call):
                seen.append(self._call(move))
            elif isinstance(move, Malformed):
                seen.append(move.message)
            else:
                ended = self._answer(move, seen)
                if ended is not None:
                    return ended
        if last_round:
            return self._end("round limit", seen)
        return "\n".join(seen), 0.0, False, False, self._info()

    def _parse(self, action: object) -> tuple[Move, ...]:
        return self.codec.parse(action if isinstance(action, str) else "", names=self.task.entities)

    def _info(self) -> dict[str, Any]:
        info = {"task_id": self.task.id, "task_type": self.task.family}
        return info | ({"offline": self._offline} if self._offline else {})

    @property
    def _offline(self) -> str:
        """Why nobody can answer this task by these rules on this graph, as far as it is known."""
        schema, fidelity = self.graph.schema, self.settings.fidelity
        return self.task.offline or id_refusal(self.task, freebase=schema.freebase, fidelity=fidelity)

    def _call(self, call: Call) -> str:
        """Execute a call, count what happened, and show what it gave."""
        before = self._state
        outcome = perform(call, before.session, knowledge=self.knowledge, names=before.task.entities)
        self._episode = replace(
            before,
            session=outcome.session,
            calls=before.calls + 1,
            errors=before.errors + (outcome.error not in ("", "timeout")),
            timeouts=before.timeouts + (outcome.error == "timeout"),
            truncations=before.truncations + outcome.truncated,
            made=before.made + ((call,) if len(outcome.session.variables) > len(before.session.variables) else ()),
        )
        limit = self.settings.max_observation
        text = outcome.observation
        return text if len(text) <= limit else text[:limit] + TRUNCATED

    def _answer(self, move: Final, seen: list[str]) -> tuple[str, float, bool, bool, dict[str, Any]] | None:
        """Grade an answer and end; None if the episode goes on, with a word about it in `seen`."""
        number = int(move.number)
        if number >= len(self._state.session.variables):
            if self.settings.action_format == "tools":
                return self._end("bad variable", seen)
            seen.append(NO_VARIABLE)
            return None
        try:
            given = self._given(number)
        except QueryTimeoutError as error:
            self._episode = replace(self._state, timeouts=self._state.timeouts + 1)
            seen.append(f"Final Answer: #{number} was stopped after {error}: the query takes too long.")
            return None
        result = grade(given.values, self.task.answers, fidelity=self.settings.fidelity)
        return self._end("correct" if result.exact else "wrong", seen, result, truncated_answer=given.truncated)

    def _given(self, number: int) -> Names:
        """What a variable stands for; nothing where it cannot be asked."""
        try:
            return self.knowledge.answer(self._state.session.variables[number].program)
        except ImpossibleError:
            return Names(())

    def _end(
        self, ended: str, seen: Sequence[str], result: Grade | None = None, *, truncated_answer: bool = False
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Close the episode."""
        self._episode = replace(self._state, over=True)
        result = result or Grade()
        reward = float(result.exact) if self.settings.reward == "em" else result.f1
        outcome = f"offline: {self._offline}" if self._offline and not result.exact else ended
        info = self._info() | {
            "success": result.exact,
            "score": result.f1,
            "outcome": outcome,
            "ended": ended,
            "em": result.exact,
            "f1": result.f1,
            "executable": result.executable,
            "truncated_answer": truncated_answer,
            "metrics": self._state.metrics,
        }
        truncated = ended == "round limit"
        return "\n".join(seen), reward, not truncated, truncated, info

    def solution(self) -> list[str]:
        """The actions of a right episode; see `solution_of`."""
        return self.solution_of(self.task)

    def solution_of(self, task: KGTask) -> list[str]:
        """The actions that solve a task: the known calls, with entities by name, then the last variable."""
        made = sum(call.tool not in ("get_relations", "get_attributes") for call in task.actions)
        return [*(self.codec.call(call) for call in _calls(task)), self.codec.final(max(made - 1, 0))]

    def plan(self, rng: Uniform, *, right: bool = False) -> tuple[str, ...]:
        """What the demonstrator would do if it had to try the task again.

        Args:
            rng: as of `demonstrate`.
            right: have its choices turned out to be right? Then they are these, else one of them is another.
        """
        state = self._state
        if right:
            return tuple(str(call) for call in state.made)
        before = replace(state.session, variables=state.session.variables[: -len(state.made) or None])
        return self._demonstrator.plan(state.made, before, rng)

    def lesson(self, rng: Uniform) -> str:
        """The demonstrator's reflection on an episode that failed."""
        return reflection(self.plan(rng))

    def demonstrate(self, rng: Uniform, rejected: Sequence[str] = (), lessons: Lessons = NOTHING) -> str:
        """The next action of the imperfect demonstrator.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`.
            rejected: its proposals that were refused in this turn.
            lessons: what it was told of earlier trials and tasks.
        """
        state = self._state
        calls = _calls(state.task)
        if state.rounds >= len(calls):
            return self.solution()[-1]
        chosen = self._demonstrator.act(
            calls[state.rounds],
            state.session,
            rng,
            error=self.settings.demonstrator_error,
            rejected=lambda call: self.codec.call(call) in rejected,
            lessons=lessons,
        )
        return self.codec.call(chosen)

    @property
    def _demonstrator(self) -> Demonstrator:
        return Demonstrator(self.knowledge, self.task.entities)

    def judge(self, action: str) -> Judgement | None:
        """Should this action be taken now? The episode stays as it is; see `Judge`.

        The first bad move of several counts, else the last opinion. None = no opinion, or no episode to judge in.
        """
        if self._episode is None or self._episode.over:
            return None
        if self._judge is None:
            self._judge = Judge(self.task, self.knowledge)
        return self._judge.opinion(self._parse(action), self._episode.session)

    def restore(self, snapshot: Snapshot[Episode]) -> None:
        """Go on from a snapshot, which may be used again."""
        super().restore(snapshot)
        self._judge = None

    def close(self) -> None:
        """End the episode; the graph stays open for the other environments of this process. Twice is fine."""
        self._episode = None


def _calls(task: KGTask) -> list[Call]:
    """The calls of a right episode, with entities by name, but for those that earlier parts have made."""
    names = {id: name for name, id in reversed(list(task.entities.items()))}
    written = [Call(call.tool, tuple(names.get(each, each) for each in call.arguments)) for call in task.actions]
    return written[task.done :]
