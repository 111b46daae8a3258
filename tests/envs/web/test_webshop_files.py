"""WebShop's own files: a sample in their format, written here."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.web.shop import WebShopEnv
from cmat_env.envs.web.shop.webshop_files import load_webshop, slice_of
from cmat_env.errors import ConfigError, TaskFileError

ROWS: list[dict[str, Any]] = [
    {
        "asin": f"B00000000{n}", "name": f"Soft Shirt {n}", "pricing": pricing, "full_description": "A shirt.",
        "small_description": ["machine wash"], "product_category": "Clothing \u203a Men \u203a Shirts",
        "query": "Shirts ", "images": [],
        "customization_options": {"Color": [{"value": "Navy/White", "image": None}, {"value": "red "}], "Size": None},
    }
    for n, pricing in enumerate(("$19.99", "$10.00$30.00", "", "$1,299.00"))
]  # fmt: skip
HUMAN = {
    "B000000000": [
        {
            "instruction": "i want a shirt.",
            "instruction_attributes": ["machine wash"],
            "instruction_options": ["navy | white"],
        },
        {"instruction": "nothing wanted", "instruction_attributes": [], "instruction_options": []},
    ],
    "B000000001": [
        {"instruction": "a red shirt", "instruction_attributes": ["soft"], "instruction_options": {"color": "red"}}
    ],
    "B000000003": [{"instruction": "dear shirt", "instruction_attributes": ["soft"], "instruction_options": []}],
}
DETAILS = {
    "B000000000": {"attributes": ["machine wash"], "instruction": "find a shirt", "instruction_attributes": ["soft"]}
}


def write(folder: Path, *, human: object = HUMAN) -> Path:
    """The three files."""
    (folder / "items_shuffle_1000.json").write_text(json.dumps([*ROWS, ROWS[0], {"asin": "nan", "name": ""}]))
    (folder / "items_ins_v2_1000.json").write_text(json.dumps(DETAILS))
    if human is not None:
        (folder / "items_human_ins.json").write_text(json.dumps(human))
    return folder


def test_products_and_human_goals(tmp_path: Path) -> None:
    """Products are deduplicated, prices parsed, goals without attributes left out, and all can be solved."""
    catalogue, goals = load_webshop(write(tmp_path))

    assert [19.99, 100.0, 1299.0] == [catalogue.by_id[f"B00000000{n}"].price for n in (0, 2, 3)]
    assert 10.0 <= catalogue.by_id["B000000001"].price <= 30.0
    assert (("color", ("navy | white", "red")),) == catalogue.by_id["B000000000"].options
    assert ("Clothing", "Men", "Shirts") == catalogue.by_id["B000000000"].category
    by_id = {goal.id: goal for goal in goals}
    assert {"B000000000-0", "B000000001-0", "B000000003-0"} == set(by_id)
    assert (("color", "navy | white"),) == by_id["B000000000-0"].options
    assert by_id["B000000000-0"].instruction.startswith("i want a shirt, and price lower than ")
    assert "price" not in by_id["B000000003-0"].instruction
    env = WebShopEnv(tmp_path)
    assert tuple(goal.id for goal in goals) == env.task_ids
    for task in range(3):
        env.reset(options={"task": task})
        for action in env.solution():
            *_, info = env.step(action)
        assert info["success"]


def test_goals_stand_in_upstreams_order_and_never_change(tmp_path: Path) -> None:
    """Shuffled by seed 233; price limits are drawn from seeds of their own."""
    first, again = (load_webshop(write(tmp_path))[1] for _ in range(2))
    expected = ["B000000000-0", "B000000001-0", "B000000003-0"]
    random.Random(233).shuffle(expected)

    assert first == again
    assert expected == [goal.id for goal in first]


def test_synthetic_goals_without_the_human_file(tmp_path: Path) -> None:
    """One for each combination of options."""
    _, goals = load_webshop(write(tmp_path, human=None))
    assert 2 == len(goals)
    assert all(goal.instruction.startswith("find a shirt with color: ") for goal in goals)


def test_slices() -> None:
    """Goals are chosen as AgentBench's sets are given."""
    assert [slice(0, 200), slice(200, 280), slice(None, None)] == [
        slice_of(text) for text in ("0:200", "200:280", None)
    ]
    with pytest.raises(ConfigError, match="FIRST:END"):
        slice_of("5")


def test_what_is_wrong_with_a_file_is_told(tmp_path: Path) -> None:
    """A missing or malformed file is named."""
    with pytest.raises(TaskFileError, match=r"has no items_ins_v2_1000\.json|has no items_shuffle"):
        load_webshop(tmp_path)
    write(tmp_path)
    (tmp_path / "items_shuffle_1000.json").write_text('[{"asin": "B1"}]')
    with pytest.raises(TaskFileError, match="product 0"):
        load_webshop(tmp_path)
    (tmp_path / "items_shuffle_1000.json").write_text("nonsense")
    with pytest.raises(TaskFileError, match="cannot be read"):
        WebShopEnv(str(tmp_path))
    write(tmp_path, human={})
    with pytest.raises(TaskFileError, match="not a single goal"):
        load_webshop(tmp_path)
