"""Search: own tokens, no operators, the same order every time, both engines alike."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cmat_env.envs.web.search import open_engine, query_terms
from cmat_env.envs.web.search.engine import EngineName
from cmat_env.envs.web.shop import generate_catalogue, generate_goal
from cmat_env.errors import ConfigError, MissingExtraError

ENGINES: tuple[EngineName, ...] = ("fts5", "tantivy")
DOCUMENTS = [
    ("c", "red running shoes"),
    ("a", "running shoe, red"),
    ("b", "a lamp and or not near"),
    ("d", "blue shoes shoes shoes"),
]
OPERATORS = [
    "foo AND (",
    '"x',
    "body:x",
    "+-*",
    "NEAR(a b)",
    "a OR",
    "x^2",
    "*",
    "<r> red",
    "'; DROP TABLE docs; --",
]


@pytest.mark.parametrize("name", ENGINES)
def test_stemmed_words_are_found_and_ties_go_by_id(name: EngineName) -> None:
    """Equal documents stand in the order of their ids, whatever order they came in."""
    engine = open_engine(DOCUMENTS, name=name)

    assert ("a", "c") == engine.search(query_terms("RED runs"), 10)
    assert ("a",) == engine.search(query_terms("red"), 1)
    assert () == engine.search((), 10)
    assert () == engine.search(query_terms("zebra"), 10)
    engine.close()
    engine.close()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("text", OPERATORS)
def test_operators_are_words_or_nothing(name: EngineName, text: str) -> None:
    """No text that is typed raises or means more than its words."""
    engine = open_engine(DOCUMENTS, name=name)
    found = engine.search(query_terms(text), 10)

    assert set(found) <= {"a", "b", "c", "d"}
    assert found == engine.search(query_terms(text), 10)


def test_terms_are_few_folded_and_without_stopwords() -> None:
    """Accents fold, stopwords go unless there is nothing else, and length is bounded."""
    assert ("creme", "brulee") == query_terms("I am looking for CRÈME brûlée, crème")
    assert ("i", "am") == query_terms("i am")
    assert () == query_terms(" \u200b <> []")
    assert 32 == len(query_terms(" ".join(f"word{n}" for n in range(5000))))
    assert () == query_terms("東京")


def test_engines_agree_on_what_is_best() -> None:
    """On a generated shop both engines put a product found by its own title first."""
    shops = [generate_catalogue("dev", products=300, seed=1, search=name) for name in ENGINES]
    for seed in range(40):
        goal = generate_goal("dev", shops[0], seed=seed)
        title = shops[0].by_id[goal.product_id].name
        assert [goal.product_id] * 2 == [shop.engine.search(query_terms(title), 50)[0] for shop in shops]


def test_a_large_shop_asks_for_tantivy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 5,000 documents "auto" is tantivy, and without it says what to install."""
    many = [(f"d{n}", "word") for n in range(5_001)]
    assert "TantivyEngine" == type(open_engine(many)).__name__
    assert "FTS5Engine" == type(open_engine(many[:5_000])).__name__
    monkeypatch.setitem(sys.modules, "tantivy", None)
    monkeypatch.setattr("cmat_env.envs.web.search.engine.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="web-search"):
        open_engine(many)
    with pytest.raises(ConfigError, match="did you mean 'fts5'"):
        open_engine(many, name="fts")  # type: ignore[arg-type]


def test_fts5_ranks_as_sqlite_itself_would() -> None:
    """Adding up the scores of single terms gives the ranking of SQLite's own bm25 over the whole query."""
    catalogue = generate_catalogue("dev", products=400, seed=3, search="fts5")
    engine: Any = catalogue.engine
    for seed in range(60):
        terms = query_terms(generate_goal("dev", catalogue, seed=seed).instruction)
        rows = engine._database.execute(
            "SELECT rowid FROM docs WHERE docs MATCH ? ORDER BY round(bm25(docs), 6), rowid LIMIT 50",
            (" OR ".join(f'"{term}"' for term in terms),),
        )
        assert tuple(sorted(catalogue.by_id)[row] for (row,) in rows) == engine.search(terms, 50)
