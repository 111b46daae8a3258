"""Our own graph: the towns, people, ships, guilds and crops of an archipelago that does not exist.

It is drawn from fixed words by a fixed seed, so that it needs no file and is the same everywhere.
"""

from __future__ import annotations

import random
from functools import lru_cache

BASE = "http://cmat-env.example/isles/"


def _words(text: str) -> list[str]:
    return text.split()


_ISLES = _words("Amber Birch Coral Dusk Ember Frost Gull Hazel Iron Jade Kelp Larch")
_STARTS = _words("Al Bren Cor Dun Els Far Grim Hol Ing Kar Lun Mor Nor Os Pel Quin Ras Sel Tor Ulm Ver Wen")
_ENDS = _words("ford haven wick ton mere by stead gate fell moor")
_FIRST = _words(
    "Ada Bela Cyra Dario Edda Fenn Gita Hugo Ines Joss Kira Lior Mina Nilo Orla Pavo Rhea Sven Tova Uri Vera Wim"
)
_LAST = _words("Ash Brook Crane Dale Eld Finch Gray Heath Ivy Kite Lake Marsh Nye Oak Pike")
_SHIPS = _words("Osprey Petrel Heron Tern Gannet Puffin Skua Plover Curlew Dunlin Avocet Merlin Kestrel Harrier")
_GUILDS = _words("Bakers Coopers Dyers Fishers Glaziers Masons Potters Smiths Tanners Weavers")
_CROPS = _words("barley flax hops millet oats peas rye sorrel turnips wheat")


@lru_cache(maxsize=1)
def isles() -> str:
    """The graph in Turtle."""
    write = _Turtle(random.Random(20_26))
    write.all()
    return "\n".join(write.lines)


class _Turtle:
    """Draws the graph and writes it down."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines = [
            f"@prefix : <{BASE}> .",
            "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .",
        ]

    def all(self) -> None:
        guilds = [self.thing("guild", f"the Guild of {name}") for name in _GUILDS]
        crops = [self.thing("crop", name) for name in _CROPS]
        isles = [self.thing("isle", f"{name} Isle") for name in _ISLES]
        towns = self.towns(isles, crops)
        people = self.people(towns, guilds)
        self.ships(towns, people)
        for guild in guilds:
            self.edge(guild, "guild.seat", self.rng.choice(towns), back="town.guilds")
            self.value(guild, "guild.founded", self.rng.randrange(1400, 1800))
        for crop in crops:
            self.value(crop, "crop.price", self.rng.randrange(3, 60))
        for index, isle in enumerate(isles):
            self.value(isle, "isle.area", self.rng.randrange(20, 900))
            for step in (1, 3):
                self.edge(isle, "isle.ferries", isles[(index + step) % len(isles)], back="isle.ferries")

    def towns(self, isles: list[str], crops: list[str]) -> list[str]:
        names = self.rng.sample([start + end for start in _STARTS for end in _ENDS], 72)
        towns = [self.thing("town", name) for name in names]
        for index, town in enumerate(towns):
            self.edge(town, "town.isle", isles[index % len(isles)], back="isle.towns")
            self.value(town, "town.population", self.rng.randrange(200, 20_000))
            self.value(town, "town.height", self.rng.randrange(1, 400))
            for crop in self.rng.sample(crops, 2):
                self.edge(town, "town.crops", crop, back="crop.towns")
        return towns

    def people(self, towns: list[str], guilds: list[str]) -> list[str]:
        names = self.rng.sample([f"{first} {last}" for first in _FIRST for last in _LAST], 160)
        people = [self.thing("person", name) for name in names]
        for person in people:
            self.edge(person, "person.home", self.rng.choice(towns), back="town.people")
            self.edge(person, "person.birthplace", self.rng.choice(towns), back="town.natives")
            self.edge(person, "person.guild", self.rng.choice(guilds), back="guild.members")
            self.edge(person, "person.teacher", self.rng.choice(people), back="person.pupils")
            self.value(person, "person.born", self.rng.randrange(1700, 1800))
        return people

    def ships(self, towns: list[str], people: list[str]) -> None:
        for name in [*(f"the {name}" for name in _SHIPS), *(f"the {name} II" for name in _SHIPS)]:
            ship = self.thing("ship", name)
            self.edge(ship, "ship.captain", self.rng.choice(people), back="person.commands")
            for town in self.rng.sample(towns, 4):
                self.edge(ship, "ship.ports", town, back="town.ships")
            self.value(ship, "ship.tons", self.rng.randrange(40, 600))

    def thing(self, kind: str, name: str) -> str:
        id = f"{kind}_{name.removeprefix('the ').replace(' ', '_')}"
        self.lines.append(f':{id} a :{kind} ; rdfs:label "{name}"@en .')
        return id

    def edge(self, subject: str, relation: str, target: str, *, back: str) -> None:
        self.lines.append(f":{subject} :{relation} :{target} .")
        self.lines.append(f":{target} :{back} :{subject} .")

    def value(self, subject: str, attribute: str, number: int) -> None:
        self.lines.append(f":{subject} :{attribute} {number} .")
