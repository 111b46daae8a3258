"""What a person sees of the shop: pages that are drawn, fit their window, can be read, and say what is what."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmat_env.envs.web.shop import WebShopEnv

pytestmark = pytest.mark.usefixtures("chromium")
# Of every element with words of its own: its colour and that of the nearest ancestor with a background.
COLOURS = """() => [...document.querySelectorAll('body *')].filter(
  each => each.checkVisibility() && [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim())
).map(each => {
  let behind = each;
  while (behind && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  return [each.textContent.trim(), getComputedStyle(each).color, getComputedStyle(behind).backgroundColor];
})"""


@pytest.fixture(scope="module")
def visit() -> Iterator[WebShopEnv]:
    """A shop in a browser."""
    env = WebShopEnv("generated:heldout", products=200, browser=True)
    yield env
    env.close()


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)". Source: WCAG 2.2."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("page", ["index", "results", "item", "reviews"])
@pytest.mark.parametrize("width", [1280, 420])
def test_a_page_can_be_seen_and_read(visit: WebShopEnv, page: str, width: int) -> None:
    """Not blank, no wider than its window, text in contrast of 4.5 or more, and a page with landmarks and names."""
    visit.reset(seed=5)
    plan = visit.solution()
    for action in {"index": [], "results": plan[:1], "item": plan[:2], "reviews": [*plan[:2], "click[reviews]"]}[page]:
        visit.step(action)
    surface: Any = visit.surface

    def look(browser: Any) -> tuple[Any, ...]:
        tab = surface._tab
        tab.set_viewport_size({"width": width, "height": 720})
        session = tab.context.new_cdp_session(tab)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        wide = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        return wide, tab.evaluate(COLOURS), nodes, tab.evaluate("[document.title, document.documentElement.lang]")

    (content, window), colours, nodes, (title, language) = surface._chromium.call(look)
    pixels = np.asarray(Image.open(io.BytesIO(surface.screenshot())).convert("RGB"))
    assert content <= window
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    assert 0.002 < (pixels.min(axis=2) < 128).mean() < 0.5, "dark strokes on a light page"
    for text, front, behind in colours:
        light, dark = sorted((luminance(front), luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, front, behind)
    shown = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    assert {"main", "complementary"} <= {role for role, _ in shown}
    assert page != "index" or "search" in {role for role, _ in shown}
    assert page not in ("index", "item") or "heading" in {role for role, _ in shown}
    assert [] == [role for role, name in shown if role in ("link", "button", "radio", "searchbox") and not name]
    assert (True, "en") == (bool(title), language)
