"""A scripted assistant that learns by reflecting. Run: python examples/reflection.py

The policy is a rule, and no result: it shows what is told to whom. Who is wrong about the measures of a market is shown
an example; the assistant notes what it saw, and answers from the notes that its prompt holds.
"""

import random
import re
import tempfile
from pathlib import Path

import gymnasium

from cmat_env import AnyText, CollabEnv, Dialogue, Generation
from cmat_env.evaluate import Trials, evaluate

MEASURES = {"elbow": 18, "brace": 72, "reed": 110, "pace": 30}


class Market(gymnasium.Env[str, str]):
    """How many inches are so many elbows? One answer."""

    observation_space = action_space = AnyText(1000)

    def reset(self, *, seed=None, options=None):
        """Draw a measure and a number of them."""
        rng = random.Random(seed)
        self.name, self.count = rng.choice(list(MEASURES)), rng.randint(3, 9)
        return f"How many inches are {self.count} {self.name}?", {"task_id": f"market-{seed}", "task_type": self.name}

    def step(self, action):
        """Right or wrong; who is wrong sees another example."""
        right = action.strip() == str(self.count * MEASURES[self.name])
        shown = "Right." if right else f"Wrong. Look: 2 {self.name} make {2 * MEASURES[self.name]} inches."
        return shown, float(right), True, False, {"success": right, "outcome": "right" if right else "wrong"}


class NoteTaker:
    """Answers from notes such as "One elbow is 18 inches." in its prompt; else it takes a measure for an inch."""

    def generate(self, dialogues, *, seed):
        """A note where it was shown an example, else a number."""
        return [Generation(self._answer(dialogue)) for dialogue in dialogues]

    def _answer(self, dialogue: Dialogue) -> str:
        first, last = dialogue.messages[0].content, dialogue.messages[-1].content
        if example := re.search(r"Look: (\d+) (\w+) make (\d+) inches", last):
            return f"One {example[2]} is {int(example[3]) // int(example[1])} inches."
        asked = re.search(r"inches are (\d+) (\w+)", last)
        note = re.search(rf"One {asked[2]} is (\d+) inches", first)
        return str(int(asked[1]) * int(note[1] if note else 1))


def make_market():
    """An assistant alone."""
    return CollabEnv(Market(), roles=("assistant",), env_id="example/Market")


if __name__ == "__main__":
    team = {"assistant": NoteTaker()}
    for title, rule in (
        ("one trial", Trials(1)),
        ("no reflection", Trials(2, reflect=False)),
        ("reflection", Trials(2)),
    ):
        tried = evaluate(make_market, team, episodes=40, trials=rule)
        print(f"{title:<14}", *(f"solved by trial {score.trial}: {score.success_rate:.2f}" for score in tried.trials))
    file = Path(tempfile.mkdtemp()) / "memory.sqlite"
    stream = evaluate(make_market, team, episodes=40, memory=file, continual=True)
    halves = [sum(row.success for row in half) / 20 for half in (stream.per_episode[:20], stream.per_episode[20:])]
    print(f"a stream       first half {halves[0]:.2f}, second half {halves[1]:.2f}; {stream.memory}")
