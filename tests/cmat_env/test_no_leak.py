"""No answer key reaches an agent: a canary is planted in the gold of each kind of task, and looked for in every prompt.

Looked through: all that a policy is asked (system prompts with what is recalled, requests to reflect, dry runs), what
is recalled, and the bytes of the memory file.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.agents.prompts import PAPER
from cmat_env.collab import CollabEnv
from cmat_env.envs.composite import Composite, CompositeEnv
from cmat_env.envs.database.composite import DBCompositeEnv
from cmat_env.envs.database.env import DBEnv
from cmat_env.envs.database.generate import generate
from cmat_env.envs.database.generate.chain import generate_chain as database_chain
from cmat_env.envs.database.tasks import DBTask
from cmat_env.envs.knowledge_graph import KGEnv
from cmat_env.envs.knowledge_graph.composite import KGCompositeEnv
from cmat_env.envs.knowledge_graph.generate.chain import generate_chain as graph_chain
from cmat_env.envs.operating_system import OSEnv
from cmat_env.envs.operating_system.backends.base import SandboxError
from cmat_env.envs.operating_system.generate import generate as os_generate
from cmat_env.envs.operating_system.tasks import Check, Match, OSTask, Script
from cmat_env.envs.source import Listed
from cmat_env.envs.web.miniwob import MiniWoBEnv
from cmat_env.envs.web.pages import PageSample, WebPagesEnv
from cmat_env.envs.web.shop import Goal, WebShopEnv
from cmat_env.envs.web.shop.catalogue import Catalogue, Product
from cmat_env.envs.web.shop.chain import LINKS
from cmat_env.envs.web.shop.engine import Shop
from cmat_env.experience import Experience
from cmat_env.mixture import MixEnv
from cmat_env.policies.user import ScriptedUser
from cmat_env.registry import make_task
from cmat_env.rollout import Episode, Rollout, Trials
from cmat_env.types import Dialogue, Generation, Message

CANARY = "xylocanary77"
PAGE = (
    '<html backend_node_id="1"><body backend_node_id="2"><input backend_node_id="4" name="where">'
    '<button backend_node_id="6">Go</button></body></html>'
)
MakeEnv = Callable[[], Any]


class Wanderer:
    """Acts by a list, round and round; asks for a revision now and then; reflects; keeps all that it is asked."""

    def __init__(self, actions: Sequence[str]) -> None:
        self.heard: list[str] = []
        self.reflected = 0
        self._actions = itertools.cycle(actions)
        self._verdicts = itertools.cycle(("Verdict: revise. look again", "Verdict: approve", "Verdict: approve"))

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """One reply each."""
        return [Generation(self._reply(dialogue)) for dialogue in dialogues]

    def _reply(self, dialogue: Dialogue) -> str:
        self.heard.extend(message.content for message in dialogue.messages)
        last = dialogue.messages[-1].content
        if "was not solved" in last:
            self.reflected += 1
            return f"I, the {dialogue.role}, was wrong there: {last[:80]}"
        return (
            last if dialogue.role == "user" else next(self._verdicts if dialogue.role == "checker" else self._actions)
        )


def database(kind: str) -> MakeEnv:
    """A read whose label, or a write whose reference, is the canary."""
    families = ("select",) if kind == "read" else ("delete",)
    source = DBEnv("generated:train")
    for seed in range(200):
        source.reset(seed=seed)
        if source.task.write == (kind == "write"):
            break
    task = source.task
    source.close()
    assert task.write == (kind == "write"), families
    return lambda: DBEnv([planted(task)])


def planted(task: DBTask) -> DBTask:
    """The task with the canary for its gold."""
    if task.write:
        return replace(task, reference=f"DELETE FROM `{task.tables[0].name}` WHERE '{CANARY}' = ''")
    return replace(task, answers=(CANARY,), reference=f"SELECT '{CANARY}'")


def graph() -> MakeEnv:
    """A question whose answer is the canary."""
    source = KGEnv("generated:train")
    source.reset(seed=0)
    task = source.task
    source.close()
    return lambda: KGEnv([replace(task, answers=(CANARY,))])


def page() -> MakeEnv:
    """A form field that wants the canary."""
    sample = PageSample("s", "shop", "shopping", "Pick it", (), PAGE, "TYPE", CANARY, frozenset({"4"}), ("4", "6"))
    return lambda: WebPagesEnv([sample])


LAMPS = [Product.of(f"B0000001{number:02}", f"Plain Table Lamp {number}", price=10 + number) for number in range(9)]
LAMP = Goal("lamp", "i need a lamp", "B000000101", (CANARY,), (("size", CANARY),), 30.0)


def shop() -> MakeEnv:
    """A purchase that must have the canary's attribute and option."""
    return lambda: WebShopEnv([LAMP], catalogue=Catalogue(LAMPS))


def shell() -> MakeEnv:
    """An answer, a gold script and a check that hold the canary."""
    task = OSTask("t", "f", "What is it?", match=Match(CANARY), example=Script(f"echo {CANARY}"))
    checked = OSTask(
        "u", "f", "Do it.", checks=(Check("script", script=Script(f"print('{CANARY}'); exit(1)", "python")),)
    )
    return lambda: OSEnv([task, checked])


def database_parts() -> MakeEnv:
    """Linked questions and changes, each with the canary; at the end it is said which parts were right."""
    task = database_chain("train", seed=0)
    hidden = replace(task, parts=tuple(planted(part) for part in task.parts))
    return lambda: DBCompositeEnv([hidden], report=True)


def graph_parts() -> MakeEnv:
    """Linked questions whose answers are the canary."""
    source = KGEnv("generated:train")
    task = graph_chain(source.graph.facts, "train", seed=0)
    source.close()
    hidden = replace(task, parts=tuple(replace(part, answers=(CANARY,)) for part in task.parts))
    return lambda: KGCompositeEnv([hidden])


def shop_parts() -> MakeEnv:
    """Linked purchases that must have the canary's attribute and option."""
    parts, goals = (LAMP, replace(LAMP, id="again")), ("i need a lamp", "now another one, please")
    task = Composite("lamps", "2 parts", parts, ("buy", "again"), "", goals)
    return lambda: CompositeEnv(WebShopEnv([LAMP], catalogue=Catalogue(LAMPS)), Listed([task]), report=True)


def mixture() -> MakeEnv:
    """A question of the database, one of the graph, and a purchase, in turn."""
    members: dict[str, Any] = {"web": {"env": "cmat/WebShop-v0", "settings": {"catalogue": Catalogue(LAMPS)}}}
    members["web"]["settings"]["tasks"] = [LAMP]
    for name, env in (("DB", database("read")()), ("KG", graph()())):
        env.reset(seed=0)
        members[name.lower()] = {"env": f"cmat/{name}-v0", "settings": {"tasks": [env.task]}}
        env.close()
    return lambda: MixEnv(members)


_WANT_CANARY = f"""
var before = genProblem;
genProblem = function() {{
  before();
  d3.select('#subbtn').on('click', function() {{
    var right = d3.select('#tt')[0][0].value === '{CANARY}';
    core.endEpisode(right ? 1 : -1, right);
  }});
}}
"""


def game() -> MakeEnv:
    """A browser game whose script wants the canary in the field, whatever it asks for."""

    def make() -> MiniWoBEnv:
        env = MiniWoBEnv("enter-text")
        driver = env._inner.instance.driver
        driver.execute_script(f"window.eval({_WANT_CANARY!r})")
        assert CANARY in driver.execute_script("return String(genProblem)")
        return env

    return make


SQL = ("Action: Operation\n```sql\nSELECT * FROM nothing\n```", "Action: Operation\n```sql\nSHOW TABLES\n```")
CASES: dict[str, tuple[Callable[[], MakeEnv], Sequence[str]]] = {
    "db read": (lambda: database("read"), (*SQL, 'Action: Answer\nFinal Answer: ["no"]')),
    "db write": (lambda: database("write"), (*SQL, 'Action: Answer\nFinal Answer: ["done"]')),
    "kg": (graph, ("Action: get_relations(nobody)", "Final Answer: #0", "Final Answer: no")),
    "web page": (page, ("Answer: B.\nAction: CLICK", "Answer: A.\nAction: CLICK", "Answer: C.")),
    "web shop": (shop, ("search[lamp]", "click[b000000102]", "click[buy now]")),
    "db composite": (database_parts, (*SQL, 'Action: Answer\nFinal Answer: ["no"]')),
    "kg composite": (graph_parts, ("Action: get_relations(nobody)", "Final Answer: #0", "Final Answer: no")),
    "web shop composite": (shop_parts, ("search[lamp]", "click[b000000102]", "click[buy now]")),
    "mix": (
        mixture,
        (
            *(SQL[0], 'Action: Answer\nFinal Answer: ["no"]', "Action: get_relations(nobody)", "Final Answer: no"),
            *("search[lamp]", "click[b000000102]", "click[buy now]"),
        ),
    ),
    "miniwob": (game, ("type[5, no]", "at[1, 1]", "click[6]")),
    "os": (shell, ("Act: bash\n```bash\nls /\n```", "Act: answer(no)", "Act: finish")),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[MakeEnv, Sequence[str], bool]:
    """Makes the environment, what is done there, and has it dry runs; left out is what lacks a sandbox or a browser."""
    make, actions = CASES[request.param]
    made = make()
    if request.param == "miniwob" and shutil.which("chromedriver") is None and os.environ.get("CI") != "true":
        pytest.skip("there is no chromedriver")
    try:
        env = made()
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    env.close()
    return made, actions, isinstance(env, DBEnv | WebShopEnv | WebPagesEnv | KGEnv | CompositeEnv | MixEnv)


def test_the_answer_key_reaches_nobody(case: tuple[MakeEnv, Sequence[str], bool], tmp_path: Path) -> None:
    """Two trials with reflections of both roles, then later episodes that recall them."""
    make, actions, looks_ahead = case
    policy = Wanderer(actions)
    team = dict.fromkeys(("user", "assistant", "checker"), policy)
    file = tmp_path / "memory.sqlite"
    with LongTermMemory(file) as memory:
        known = Experience(memory, writes=True)
        rollout = Rollout(
            lambda: CollabEnv(make(), dry_run=looks_ahead, env_id="e"),
            team,
            prompts=PAPER,
            trials=Trials(2),
            experience=known,
            width=1,
        )
        for seed in range(4):
            result = rollout.run([Episode(seed)])
            assert () == result.dropped
            assert not result.finished[-1].success
            known.learn(result.finished, roles=rollout.minds)
        rollout.close()
        recalled = [item.text for t in result.finished for items in t.recalled.values() for item in items]

        assert policy.reflected >= 16
        assert recalled
        assert len(memory) > 0
        assert [] == [text for text in (*policy.heard, *recalled) if CANARY in text]
    assert [] == [path.name for path in tmp_path.iterdir() if CANARY.encode() in path.read_bytes()]


def test_the_search_would_find_it(tmp_path: Path) -> None:
    """A canary in the statement of a task is heard, remembered and found: the test above can fail."""
    make = database("read")
    env = make()
    env.reset(seed=0)
    task = replace(env.task, description=f"Where is {CANARY}?")
    env.close()
    policy = Wanderer(CASES["db read"][1])
    with LongTermMemory(tmp_path / "memory.sqlite") as memory:
        known = Experience(memory, writes=True)
        rollout = Rollout(
            lambda: CollabEnv(DBEnv([task]), roles=("assistant",)),
            {"assistant": policy},
            trials=Trials(2),
            experience=known,
        )
        known.learn(rollout.run([Episode(0)]).finished, roles=rollout.minds)
        rollout.close()

    assert any(CANARY in text for text in policy.heard)
    assert any(CANARY.encode() in path.read_bytes() for path in tmp_path.iterdir())


def composite(env: str) -> Any:
    """One composite task with the canary as the answer of every part."""
    task = make_task(env, parts=(4,), vague=True)
    task.reset(seed=2)
    keys = {"answers": (CANARY,)} | ({"reference": f"SELECT '{CANARY}'", "slips": ()} if "DB" in env else {})
    parts = tuple(replace(part, **keys) for part in task.task.parts)
    return make_task(env, tasks=[replace(task.task, parts=parts)])


def shop_of_canaries(env: str, **settings: Any) -> Any:
    """A shop whose products that are to be bought are called by the canary, here and in what the user is asked."""
    task = make_task(env, products=200, **settings)
    task.reset(seed=2)
    stage = getattr(task, "inner", task)
    wanted = {goal.product_id for goal in getattr(task.task, "parts", (task.task,))}
    products = [replace(p, name=f"{CANARY} {p.name}") if p.id in wanted else p for p in stage.shop.catalogue.products]
    stage.shop = Shop(Catalogue(products))
    return task


KNOWING: dict[str, Callable[[], Any]] = {
    "db": lambda: DBEnv(
        [replace(generate("train", level=1, seed=2), answers=(CANARY,), reference=f"SELECT '{CANARY}'")]
    ),
    "kg": lambda: KGEnv([replace(KGEnv("generated:train").source.pick(2), answers=(CANARY,))]),
    "os": lambda: SimpleNamespace(brief=os_task().brief, reset=lambda seed: ("", {})),
    "shop": lambda: shop_of_canaries("cmat/WebShop-v0"),
    "db composite": lambda: composite("cmat/DB-Composite-v0"),
    "kg composite": lambda: composite("cmat/KG-Composite-v0"),
    "shop composite": lambda: shop_of_canaries("cmat/WebShop-Composite-v0", parts=(4,), links=LINKS, vague=True),
}


def os_task() -> OSTask:
    """A generated task whose answer and script are the canary; what its user knows can be read without a sandbox."""
    return replace(os_generate("train", seed=2), match=Match(CANARY), example=Script(CANARY), checks=())


@pytest.mark.parametrize("kind", KNOWING)
def test_the_user_knows_no_answer(kind: str) -> None:
    """It is asked for each word that it knows, for every part, and for the answer itself."""
    task = KNOWING[kind]()
    statement, _ = task.reset(seed=2)
    brief = task.brief
    known = (
        brief.opening,
        *brief.goals,
        *(words for ways in brief.wordings for words in ways),
        *brief.facts,
        *brief.details,
    )
    asked = {f"What is the {word}?" for text in known for word in text.split()}
    asked |= {f"What is the answer of part {number}, {CANARY}?" for number in range(1, 5)} | {f"Is it {CANARY}?"}
    told = []
    for question in sorted(asked):
        user, dialogue = ScriptedUser(), Dialogue("user", messages=[Message("environment", statement)])
        user.begin(dialogue, task)
        dialogue.reply(Generation(""))
        dialogue.say(Message("assistant", question))
        told.append(user.generate([dialogue], seed=0)[0].text)

    assert len(set(told)) >= 2
    assert [] == [text for text in (*known, *told) if CANARY in text]
    ids = [goal.product_id for goal in getattr(task.task, "parts", (task.task,))] if "shop" in kind else []
    assert [] == [id for id in ids for text in (*known, *told) if id in text]
