"""Your own graph in Turtle becomes a task: questions are generated from it, with exact answers, and played.

Run:  python examples/custom_graph.py [FILE.ttl]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cmat_env.envs.knowledge_graph import KGEnv
from cmat_env.evaluate import evaluate
from cmat_env.registry import make

PLANETS = """\
@prefix : <http://example.org/> .  @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:sun a :star ; rdfs:label "the Sun" ; :planets :mars , :earth , :jupiter .
:earth a :planet ; rdfs:label "Earth" ; :star :sun ; :radius 6371 ; :moons :luna .
:mars a :planet ; rdfs:label "Mars" ; :star :sun ; :radius 3390 ; :moons :phobos , :deimos .
:jupiter a :planet ; rdfs:label "Jupiter" ; :star :sun ; :radius 69911 ; :moons :io , :europa , :ganymede .
:luna a :moon ; rdfs:label "the Moon" ; :planet :earth ; :radius 1737 .   :io a :moon ; :radius 1822 .
:phobos a :moon ; rdfs:label "Phobos" ; :planet :mars ; :radius 11 .      :europa a :moon ; :radius 1561 .
:deimos a :moon ; rdfs:label "Deimos" ; :planet :mars ; :radius 6 .       :ganymede a :moon ; :radius 2634 .
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(sys.argv[1] if len(sys.argv) > 1 else f"{folder}/planets.ttl")
        if len(sys.argv) == 1:
            file.write_text(PLANETS)
        env = KGEnv("generated:train", graphs=file)
        print(env.reset(seed=2)[0])
        for action in env.solution():
            print(f"  {action}\n    {env.step(action)[0]}")
        team = {"assistant": "gold"}
        report = evaluate(lambda: make("cmat/KG-v0", graphs=file, roles=tuple(team)), team, episodes=50)
        print(f"gold solves {report.success_rate:.0%} of {report.episodes} questions from {file.name}")
