"""The evaluations of a run: what its checker adds, episode by episode."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cmat_env.scores import EpisodeRow
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.evaluations import Evaluations
from cmat_env.tuning.folder import RunFolder


def of(solved: str, tasks: str = "abcdefgh") -> Any:
    """A report on these tasks, some of them solved."""
    return SimpleNamespace(per_episode=[EpisodeRow(task, "k", task in solved, 0.0, 1, "o") for task in tasks])


def test_the_checker_is_compared_on_the_same_episodes(tmp_path: Path) -> None:
    """Won 3, lost 1 of the 7 that both finished; sampled and greedy apart, before and after apart."""
    evaluations = Evaluations(RunSettings(), RunFolder(tmp_path), lambda *_: None)
    results = cast("dict[str, Any]", evaluations.results)
    results["before: team, greedy"] = of("abcd", tasks="abcdefg")
    results["before: without checker, greedy"] = of("aeh")
    results["after: team, sampled"] = of("ab")
    results["after: without checker, sampled"] = of("ab")
    found = evaluations.with_and_without()

    assert ["before, greedy", "after, sampled"] == list(found)
    greedy = found["before, greedy"]
    assert (7, 2 / 7, 3, 1, 0.625) == (greedy.episodes, greedy.gain, greedy.won, greedy.lost, greedy.p_value)
    assert greedy.ci95[0] < 2 / 7 < greedy.ci95[1]
    assert 0.0 == found["after, sampled"].gain


def test_a_team_without_a_checker_has_nothing_to_compare(tmp_path: Path) -> None:
    """Nor has one of which every episode was dropped."""
    evaluations = Evaluations(RunSettings(), RunFolder(tmp_path), lambda *_: None)
    results = cast("dict[str, Any]", evaluations.results)
    results["before: team, greedy"] = of("a")
    results["after: team, greedy"] = of("a")
    results["after: without checker, greedy"] = of("", tasks="")

    assert {} == evaluations.with_and_without()
