"""The knowledge-graph environment: AgentBench's rules of an episode, bad inputs, grading, judging, forks."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

import cmat_env
from cmat_env.envs.knowledge_graph import Call, KGEnv, KGTask, Limits, OxigraphStore
from cmat_env.envs.knowledge_graph.codec import NO_ACTION, NO_CALL
from cmat_env.envs.knowledge_graph.env import NO_VARIABLE, TRUNCATED
from cmat_env.errors import ConfigError, UnknownNameError
from cmat_env.testing import check_collab, check_task
from cmat_env.types import Judgement, Task

LIKES = (Call("get_relations", ("ada",)), Call("get_neighbors", ("ada", "likes")))
ENTITIES = {"Ada": "ada", "Ben": "ben", "Paris, France": "paris", "Rome (Italy)": "rome"}
HOP = KGTask("hop", "hop_1", "What does Ada like?", ENTITIES, ("bonn", "oslo", "paris", "rome"), LIKES)
BOTH = KGTask(
    "both", "meet", "What do both like?", ENTITIES, ("oslo", "rome"),
    (
        *LIKES, Call("get_relations", ("ben",)), Call("get_neighbors", ("ben", "likes")),
        Call("intersection", ("#0", "#1")),
    ),
)  # fmt: skip
MOST = KGTask(
    "most", "most", "Which is the largest that Ada likes?", ENTITIES, ("paris",),
    (*LIKES, Call("get_attributes", ("#0",)), Call("argmax", ("#0", "size"))),
)  # fmt: skip
MANY = KGTask("many", "count_1", "How many?", ENTITIES, ("4",), (*LIKES, Call("count", ("#0",))))
TASKS = [HOP, BOTH, MOST, MANY]
START = ("get_relations(Ada)", "get_neighbors(Ada, likes)")

Begin = Callable[..., KGEnv]


@pytest.fixture
def begin(people: OxigraphStore) -> Begin:
    """Makes an environment at the start of a task, with some actions done."""

    def make(task: KGTask = HOP, *actions: str, **settings: Any) -> KGEnv:
        env = KGEnv(TASKS, graphs=people, **settings)
        env.reset(seed=0, options={"task": task.id})
        for action in actions:
            env.step(f"Action: {action}")
        return env

    return make


def seen(env: KGEnv, action: str) -> str:
    """What an action shows."""
    return env.step(f"Action: {action}")[0]


def refused(call: str) -> str:
    """Upstream's words for a call that cannot be executed."""
    return f"{call} cannot be executed. You may make a mistake and need to fix it."


def test_the_statement_names_the_entities(begin: Begin) -> None:
    """In AgentBench's form; the task is named in the info."""
    env = begin()
    statement, info = env.reset(seed=0)

    assert "What does Ada like?\nEntities: [Ada, Ben, Paris, France, Rome (Italy)]" == statement
    assert {"task_id": "hop", "task_type": "hop_1"} == info
    assert isinstance(env, Task)


def test_the_seven_tools(begin: Begin) -> None:
    """Menus are sorted, variables are numbered from 0 and typed, programs are lazy."""
    env = begin()

    assert "Observation: [home, knows, likes]" == seen(env, "get_relations(Ada)")
    assert "Observation: variable #0, which are instances of city" == seen(env, "get_neighbors(Ada, likes)")
    assert "Observation: variable #1, which are instances of city" == seen(env, "get_neighbors(Ben, likes)")
    assert "Observation: variable #2, which are instances of city" == seen(env, "intersection(#0, #1)")
    assert "Observation: [seen, size]" == seen(env, "get_attributes(#0)")
    assert "Observation: variable #3, which are instances of city" == seen(env, "argmax(#0, size)")
    assert "Observation: variable #4, which are instances of city" == seen(env, "argmin(#0, size)")
    assert "Observation: variable #5, which is a number" == seen(env, "count(#4)")
    assert "Observation: [fans]" == seen(env, "get_relations(#2)")


@pytest.mark.parametrize(
    ("variable", "answers"),
    [(0, ["bonn", "oslo", "paris", "rome"]), (2, ["oslo", "rome"]), (3, ["paris"]), (4, ["oslo", "rome"])],
)
def test_variables_hold_sets(begin: Begin, variable: int, answers: list[str]) -> None:
    """Ties of a superlative are all of them."""
    env = begin(
        HOP, *START, "get_neighbors(Ben, likes)", "intersection(#0, #1)", "argmax(#0, size)", "argmin(#0, size)"
    )
    program = env.snapshot().episode.session.variables[variable].program

    assert answers == list(env.knowledge.answer(program).values)


def test_a_name_with_a_comma_or_brackets_works(begin: Begin) -> None:
    """Upstream's text format breaks on them."""
    env = begin()

    assert "Observation: [fans]" == seen(env, "get_relations(Paris, France)")
    assert "Observation: variable #0, which are instances of person" == seen(env, "get_neighbors(Paris, France, fans)")
    assert "Observation: variable #1, which are instances of person" == seen(env, "get_neighbors(Rome (Italy), fans)")


@pytest.mark.parametrize(
    "call",
    [
        "get_relations(#0)", "get_relations(#99)", "get_relations(#-1)", "get_relations(#abc)", "get_relations(#)",
        "get_relations(Nobody)", "get_relations(oslo)", "get_relations(m.0abc)", "get_relations()",
        "get_relations(ada> . } DELETE WHERE { ?s ?p ?o)", 'get_relations(ada")',
        "get_relations(http://example.org/oslo)",
        "get_neighbors(Ada, hates)", "get_neighbors(Ada, likes> ?x . ?y <p)", "get_neighbors(Ada)",
        "get_neighbors(#0, likes)",
        "get_neighbors(Ada, size)", "intersection(Ada, Ben)", "intersection(#0)", "get_attributes(Ada)",
        "argmax(Ada, size)", "argmax(#0, size)", "count(Ada)", "union(#0, #0)", "__import__(os)", "drop(all)",
    ],
)  # fmt: skip
def test_a_bad_call_is_refused_in_upstreams_words(begin: Begin, call: str) -> None:
    """Nothing raises, nothing changes, no variable is made; and nothing of it reaches SPARQL."""
    env = begin()
    observation, reward, terminated, truncated, _ = env.step(f"Action: {call}")
    written = call if call != "get_relations()" else "get_relations()"

    assert refused(written) == observation
    assert (0.0, False, False) == (reward, terminated, truncated)
    assert (1, ()) == (env.snapshot().episode.errors, env.snapshot().episode.session.variables)


@pytest.mark.parametrize("fidelity", ["upstream", "fixed"])
def test_a_real_id_with_more_behind_it_never_reaches_the_store(agentbench: Path, fidelity: Any) -> None:
    """Upstream's `$` lets a line break pass; here an id matches as a whole, or nothing is asked."""
    folder, asked = agentbench / "kg", list[str]()
    store = OxigraphStore.of_file(folder / "dev_graphs.nq.gz")

    class Spy:
        graphs_named = True

        def select(self, query: str, **settings: Any) -> Any:
            asked.append(query)
            return store.select(query, **settings)

        def close(self) -> None:
            """Nothing to close."""

    env = KGEnv(
        folder / "dev.json", graphs=Spy(), ontology=folder / "ontology", action_format="tools", fidelity=fidelity,
    )  # fmt: skip
    env.reset(seed=0)
    id = next(iter(env.task.entities.values()))

    def relations(variable: str) -> str:
        return env.step(json.dumps({"name": "get_relations", "arguments": {"variable": variable}}))[0]

    for more in (
        "\nx",
        "\n> . } DELETE WHERE { ?s ?p ?o",
        "> . } DELETE WHERE { ?s ?p ?o",
        '"',
        " ",
        "\\u003e",
        "\0",
        "-",
        "/../",
        "#",
        "ü",
        ".",
    ):
        assert "cannot be executed" in relations(f"{id}{more}x")
    assert "cannot be executed" in relations(f"http://rdf.freebase.com/ns/{id}")
    assert [] == asked
    assert "Observation: [" in relations(f"{id}\n")  # surrounding blanks are none of the id
    assert [True] == [f"/{id}>" in query and "\n>" not in query for query in asked]


def test_types_bound_the_intersection(begin: Begin) -> None:
    """upstream refuses sets of different types in its own words; fixed makes an empty set."""
    steps = (*START, "get_neighbors(Ada, knows)")
    says = seen(begin(HOP, *steps), "intersection(#0, #1)")

    assert "intersection(#0, #1) cannot be executed. The two variables are not of the same type." in says
    assert "variable #2" in seen(begin(HOP, *steps, fidelity="fixed"), "intersection(#0, #1)")


def test_nothing_can_be_asked_of_a_number(begin: Begin) -> None:
    """A count comes last."""
    env = begin(HOP, *START, "count(#0)")
    for call in (
        "get_relations(#1)", "get_neighbors(#1, likes)", "get_attributes(#1)", "argmax(#1, size)", "count(#1)",
        "intersection(#1, #1)",
    ):  # fmt: skip
        assert refused(call) == seen(env, call) or "not of the same type" in seen(env, call)


def test_mixed_values_have_an_order(begin: Begin) -> None:
    """Numbers come before dates, NaN is none: of 1.5, a date and NaN both extremes are 1.5."""
    env = begin(HOP, *START, "argmax(#0, seen)", "argmin(#0, seen)", fidelity="fixed")
    variables = env.snapshot().episode.session.variables

    assert [("paris",)] * 2 == [env.knowledge.answer(variable.program).values for variable in variables[1:]]


def test_an_empty_variable_is_a_wrong_answer(begin: Begin) -> None:
    """Nobody likes what both are fans of; the program runs, but is not executable in AgentBench's sense."""
    env = begin(HOP, *START, "get_neighbors(Ada, knows)", "get_neighbors(#0, fans)", fidelity="fixed")
    env.step("Action: intersection(#0, #2)")
    assert "Observation: []" == seen(env, "get_relations(#3)")
    assert "Observation: []" == seen(env, "get_attributes(#3)")
    *_, info = env.step("Final Answer: #3")

    assert ("wrong", False, 0.0) == (info["outcome"], info["executable"], info["score"])


def test_programs_have_a_bound(begin: Begin) -> None:
    """Intersecting a variable with itself doubles the text each time; it is refused before it explodes."""
    env = begin(HOP, *START, max_rounds=100)
    for number in range(20):
        observation = seen(env, f"intersection(#{number}, #{number})")
        if "cannot be executed" in observation:
            break
    last = env.snapshot().episode.session.variables[-1].program

    assert (5, 95) == (number, last.size)
    assert refused("intersection(#5, #5)") == observation
    env = begin(HOP, *START, fidelity="fixed", limits=Limits(depth=3))
    assert "at most 128 and 3 are allowed" in seen(begin_hops(env), "get_neighbors(#1, likes)")


def begin_hops(env: KGEnv) -> KGEnv:
    """One hop more."""
    env.step("Action: get_neighbors(#0, fans)")
    return env


def test_a_menu_and_an_answer_are_capped() -> None:
    """A hundred thousand members and a thousand relations: cut, and marked as cut."""
    lines = [f"<http://e/hub> <http://e/r> <http://e/n{index}> ." for index in range(100_000)]
    lines += [f"<http://e/hub> <http://e/p{index}> <http://e/n0> ." for index in range(1_000)]
    store = OxigraphStore.of_text("\n".join(lines), format="N_TRIPLES")
    env = KGEnv([KGTask("big", "hop_1", "?", {"Hub": "hub"}, ("n1",))], graphs=store)
    env.reset(seed=0)
    menu = seen(env, "get_relations(Hub)")
    env.step("Action: get_neighbors(Hub, p0)")
    rare = KGEnv([KGTask("big", "hop_1", "?", {"Hub": "hub"}, ("n1",))], graphs=store, limits=Limits(menu=2_000))
    rare.reset(seed=0)
    seen(rare, "get_neighbors(Hub, r)")
    *_, info = rare.step("Final Answer: #0")

    assert menu.endswith(", ...]") and 500 == menu.count(",")
    assert (True, "wrong") == (info["truncated_answer"], info["outcome"])
    assert 1 == env.snapshot().episode.truncations


def test_a_long_observation_is_cut(begin: Begin) -> None:
    """At max_observation characters of each call."""
    env = begin(max_observation=20)

    assert "Observation: [home, " + TRUNCATED == seen(env, "get_relations(Ada)")
    assert 20 + len(TRUNCATED) == len(seen(env, f"get_relations({'x' * 100_000})"))


@pytest.mark.parametrize(("reward", "amount"), [("em", 0.0), ("f1", 2 / 3)])
def test_the_reward_is_exact_match_or_f1(begin: Begin, reward: str, amount: float) -> None:
    """Half of the right answers: F1 2/3, no exact match."""
    env = begin(HOP, "get_neighbors(Ben, likes)", reward=reward)
    _, got, terminated, truncated, info = env.step("Final Answer: #0")

    assert amount == pytest.approx(got)
    assert (True, False) == (terminated, truncated)
    assert (False, pytest.approx(2 / 3), True) == (info["em"], info["f1"], info["executable"])
    assert (False, pytest.approx(2 / 3), "wrong") == (info["success"], info["score"], info["outcome"])


def test_a_right_answer(begin: Begin) -> None:
    """Ends the episode with what happened on the way."""
    env = begin(HOP, "nonsense", *START)
    _, reward, terminated, truncated, info = env.step("Thought: that is it.\nFinal Answer: #0")

    assert (1.0, True, False, "correct") == (reward, terminated, truncated, info["outcome"])
    assert {"rounds": 4, "calls": 2, "errors": 0, "timeouts": 0, "truncations": 0} == info["metrics"]
    with pytest.raises(ResetNeeded, match="over"):
        env.step("Final Answer: #0")


def test_a_variable_that_does_not_exist(begin: Begin) -> None:
    """v0.2 asks to recheck, the tool format ends the episode."""
    assert NO_VARIABLE == begin().step("Final Answer: #0")[0]
    assert NO_VARIABLE == begin().step(f"Final Answer: #{'9' * 5000}")[0]
    _, reward, terminated, _, info = begin(action_format="tools").step("Final Answer: #0")
    assert (0.0, True, "bad variable") == (reward, terminated, info["outcome"])


@pytest.mark.parametrize(("format", "says"), [("v0.2", NO_ACTION), ("tools", NO_CALL)])
def test_rounds_run_out(begin: Begin, format: str, says: str) -> None:
    """Every message counts, also an empty one; the fifteenth is the last, in which an answer still counts."""
    env = begin(action_format=format)
    for _ in range(14):
        assert (says, 0.0, False, False) == env.step("hello")[:4]
    *_, truncated, info = env.step(None)  # type: ignore[arg-type]
    assert (True, "round limit", 15) == (truncated, info["outcome"], info["metrics"]["rounds"])

    env = begin(HOP, *["count(x)"] * 12, *START)
    assert "correct" == env.step("Final Answer: #0")[-1]["outcome"]


def test_the_tool_format_runs_several_calls_in_a_turn(begin: Begin) -> None:
    """In order, each with its own observation; both formats share one core."""
    env = begin(action_format="tools")
    calls = [
        {"name": "get_relations", "arguments": {"variable": "Paris, France"}},
        {"name": "get_neighbors", "arguments": {"variable": "Ada", "relation": "likes"}},
        {"name": "count", "arguments": {"variable": "#0"}},
    ]
    observation = env.step(json.dumps(calls))[0]

    assert [
        "Observation: [fans]",
        "Observation: variable #0, which are instances of city",
        "Observation: variable #1, which is a number",
    ] == observation.split("\n")
    assert "correct" == env.step("Final Answer: #0")[-1]["outcome"]


def test_made_up_observations_are_cut(begin: Begin) -> None:
    """What a model writes after "Observation:" is never read as an action or an answer."""
    env = begin(HOP, *START)
    text = "Action: get_relations(#0)\nObservation: [x]\nFinal Answer: #0"

    assert "Observation: [fans]" == env.step(text)[0]


def test_fixed_rules_are_lenient_with_names_and_say_why(begin: Begin) -> None:
    """Case, quotes and invisible characters of a name; the reason of a refusal."""
    env = begin(fidelity="fixed")

    assert "Observation: [home, knows, likes]" == seen(env, "get_relations(\u200bADA)")
    assert "Observation: [fans]" == seen(env, 'get_relations("paris, france")')
    assert "is not among the relations of Ada; get_relations shows them." in seen(env, "get_neighbors(Ada, hates)")
    assert refused("get_relations(ADA)") == seen(begin(), "get_relations(ADA)")


@pytest.mark.parametrize("action_format", ["v0.2", "tools"])
@pytest.mark.parametrize("fidelity", ["upstream", "fixed"])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_solution_solves_and_is_judged_good(begin: Begin, task: KGTask, action_format: str, fidelity: str) -> None:
    """Every action of a right episode is good in the eyes of the judge."""
    env = begin(task, action_format=action_format, fidelity=fidelity)
    for action in env.solution():
        assert env.judge(action) in (Judgement(True, "on the way"), Judgement(True, "right answer"))
        *_, info = env.step(action)

    assert info["success"]


@pytest.mark.parametrize(
    ("action", "good"),
    [
        ("Action: get_relations(Ada)", True),
        ("Action: get_relations(ada)", True),
        ("Action: get_relations(Rome (Italy))", None),
        ("Action: get_neighbors(Ada, likes)", True),
        ("Action: get_neighbors(Ada, knows)", False),
        ("Action: get_neighbors(Ada, hates)", False),
        ("Action: intersection(#0, #1)", True),
        ("Action: intersection(#1, #0)", True),
        ("Action: count(#0)", False),
        ("Action: get_relations(#99)", False),
        ("Final Answer: #0", False),
        ("Final Answer: #9", False),
        ("hello", False),
    ],
)
def test_an_action_is_judged_by_where_it_leads(begin: Begin, action: str, good: bool | None) -> None:
    """By the members of what it makes, so that another way to the same set is right; nothing changes."""
    env = begin(BOTH, *START, "get_neighbors(Ben, likes)")
    before = env.snapshot()
    opinion = env.judge(action)

    assert good == (None if opinion is None else opinion.good)
    assert before == env.snapshot()


def test_an_episode_forks(begin: Begin) -> None:
    """A snapshot, also a pickled one, is the whole state; two episodes share no variable."""
    env, other = begin(HOP, *START), begin(HOP)
    saved = pickle.loads(pickle.dumps(env.snapshot()))
    env.step("Final Answer: #0")
    other.restore(copy.deepcopy(saved))

    assert "correct" == other.step("Final Answer: #0")[-1]["outcome"]
    assert NO_VARIABLE == begin(HOP).step("Final Answer: #0")[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fidelity": "fixd"}, "did you mean 'fixed'"),
        ({"action_format": "v2"}, "did you mean 'v0.2'"),
        ({"reward": "f2"}, "did you mean 'f1'"),
        ({"max_rounds": 0}, "wanted a whole number above 0"),
        ({"max_rounds": True}, "wanted a whole number above 0"),
        ({"dialect": "virtuosso"}, "did you mean 'virtuoso'"),
        ({"tasks": []}, "tasks is empty"),
        ({"tasks": [HOP, HOP]}, "same id"),
        ({"tasks": [HOP], "families": ["hop_1"]}, "families chooses among generated tasks"),
        ({"graphs": "http://127.0.0.1:1/sparql"}, "wanted the URL of a SPARQL endpoint that is up"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest known name, or what was wanted."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ConfigError, match=says):
        KGEnv(**settings)
    with pytest.raises(ConfigError, match="wanted a number above 0"):
        Limits(rows=0)


def test_unknown_tasks_and_splits_are_told(begin: Begin) -> None:
    """By name, by number, by split."""
    env = begin()
    for task in ("hopp", 4, -1, True, 1.5):
        with pytest.raises(UnknownNameError):
            env.reset(options={"task": task})
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        KGEnv("generated:trian")
    with pytest.raises(UnknownNameError, match="did you mean 'hop_1'"):
        KGEnv(families=["hop1"])
    with pytest.raises(ResetNeeded):
        KGEnv().step("x")


@pytest.mark.parametrize("settings", [{}, {"action_format": "tools", "fidelity": "fixed", "reward": "f1"}])
def test_it_keeps_the_contract_of_a_task(settings: dict[str, Any]) -> None:
    """check_task plays junk, solutions, forks and repetitions on our own graph."""
    KGEnv().close()  # the graph is opened once for the process
    check_task(lambda: KGEnv(**settings), seeds=(0, 1, 2))


def test_it_keeps_the_contract_of_a_team() -> None:
    """check_collab with user, assistant and checker."""
    check_collab(lambda: cmat_env.make("cmat/KG-v0"), seeds=(0,))


@pytest.mark.parametrize(("name", "count", "solved"), [("dev", 20, 18), ("train", 1214, 1083)])
def test_gold_solves_what_upstreams_rules_allow(agentbench: Path, name: str, count: int, solved: int) -> None:
    """18 of 20 and 1,083 of 1,214; every failure carries the reason of the status file, or names the id's form."""
    folder = agentbench / "kg"
    env = KGEnv(folder / f"{name}.json", graphs=folder / f"{name}_graphs.nq.gz")
    status = {
        entry["qid"]: entry["offline"] for entry in json.loads((folder / f"{name}_offline_status.json").read_text())
    }
    won = 0
    for task in env.task_ids or ():
        env.reset(options={"task": task})
        for action in env.solution():
            *_, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                break
        else:
            while not terminated and not truncated:
                *_, terminated, truncated, info = env.step("")
        won += info["success"]
        if not info["success"]:
            reason = status[task] if status[task] != "ok" else "entity id (AgentBench's tools refuse g. ids)"
            assert f"offline: {reason}" == info["outcome"]

    assert (count, solved) == (len(env.task_ids or ()), won)
