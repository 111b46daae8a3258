"""A scripted assistant that learns by reflecting. Run: python examples/reflection.py

The policy is a rule: it notes what it is shown after a mistake, and answers from the notes in its prompt.
"""

import random
import re
import tempfile
from collections.abc import Sequence
from typing import Any

import gymnasium

from cmat_env import AnyText, CollabEnv, Dialogue, Generation
from cmat_env.evaluate import evaluate
from cmat_env.plan import Trials

MEASURES = {"elbow": 18, "brace": 72, "reed": 110, "pace": 30}


class Market(gymnasium.Env[str, str]):
    """How many inches are so many elbows? One answer."""

    observation_space = AnyText(1000)
    action_space = AnyText(1000)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Draw a measure and a number of them."""
        rng = random.Random(seed)
        self.name, self.count = rng.choice(list(MEASURES)), rng.randint(3, 9)
        return f"How many inches are {self.count} {self.name}?", {"task_id": f"market-{seed}", "task_type": self.name}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Right or wrong; who is wrong sees another example."""
        right = action.strip() == str(self.count * MEASURES[self.name])
        shown = "Right." if right else f"Wrong. Look: 2 {self.name} make {2 * MEASURES[self.name]} inches."
        return shown, float(right), True, False, {"success": right, "outcome": "right" if right else "wrong"}


class NoteTaker:
    """Answers from notes such as "One elbow is 18 inches." in its prompt; else it takes a measure for an inch."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """A note where it was shown an example, else a number."""
        return [Generation(self._answer(dialogue)) for dialogue in dialogues]

    def _answer(self, dialogue: Dialogue) -> str:
        first, last = dialogue.messages[0].content, dialogue.messages[-1].content
        if example := re.search(r"Look: (\d+) (\w+) make (\d+) inches", last):
            return f"One {example[2]} is {int(example[3]) // int(example[1])} inches."
        [(count, name)] = re.findall(r"inches are (\d+) (\w+)", last)
        note = re.search(rf"One {name} is (\d+) inches", first)
        return str(int(count) * int(note[1] if note else 1))


def make_market() -> CollabEnv:
    """An assistant alone."""
    return CollabEnv(Market(), roles=("assistant",), env_id="example/Market")


if __name__ == "__main__":
    team = {"assistant": NoteTaker()}
    rules = {"one trial": Trials(1), "no reflection": Trials(2, reflect=False), "reflection": Trials(2)}
    for title, rule in rules.items():
        tried = evaluate(make_market, team, episodes=40, trials=rule)
        print(f"{title:<14}", *(f"solved by trial {score.trial}: {score.success_rate:.2f}" for score in tried.trials))
    stream = evaluate(make_market, team, episodes=40, memory=f"{tempfile.mkdtemp()}/memory.sqlite", continual=True)
    halves = [sum(row.success for row in half) / 20 for half in (stream.per_episode[:20], stream.per_episode[20:])]
    print(f"a stream       first half {halves[0]:.2f}, second half {halves[1]:.2f}; {stream.memory}")
