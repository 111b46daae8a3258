"""Reading a page out of a live browser: what is visible as pieces, and the accessibility tree as elements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cmat_env.envs.web.shop.elements import Element
from cmat_env.envs.web.shop.page import Piece

# Walks the visible text in document order. Keeps the elements, so that the n-th piece can be clicked. Gives JSON, which
# reaches us for less than as many values.
READ = """() => {
  const nodes = [], pieces = [];
  const take = (element, kind, text, theirs, group, on) => {
    nodes.push(element); pieces.push([kind, text, theirs, group, on]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (node.matches('input[type=search]')) take(node, 'box', node.value, false, 'search', false);
      continue;
    }
    const text = node.data.trim(), parent = node.parentElement;
    if (!text || parent.closest('script, style, noscript') || !parent.checkVisibility()) continue;
    const theirs = parent.closest('[data-by=them]') !== null;
    const at = parent.closest('a, button, label, legend, h1');
    const article = parent.closest('article'), section = parent.closest('section, aside, form');
    const group = article ? article.querySelector('a.product').textContent.trim()
                          : section ? section.className : 'index';
    if (!at) take(parent, 'text', text, theirs, group, false);
    else if (at.matches('label')) take(at, 'option', text, theirs, at.control.name, at.control.checked);
    else if (at.matches('legend')) take(at, 'legend', text, theirs, text, false);
    else if (at.matches('h1')) take(at, 'heading', text, theirs, group, false);
    else if (at.matches('a.product')) take(at, 'product', text, theirs, text, false);
    else take(at, 'button', text, theirs, group, false);
  }
  window.cmatNodes = nodes;
  return JSON.stringify([location.pathname + location.search, pieces]);
}"""
SPOT = """index => {
  const element = window.cmatNodes[index];
  element.scrollIntoView({block: 'center'});
  const box = element.getClientRects()[0];
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""
_LEAVES = frozenset({"heading", "link", "button", "radio", "searchbox"})
_SILENT = frozenset({"Legend", "LabelText", "legend"})


def read_of(given: str) -> tuple[str, tuple[Piece, ...]]:
    """The address and the pieces that `READ` found."""
    address, pieces = json.loads(given)
    return address, tuple(Piece(kind, text, theirs, group, on) for kind, text, theirs, group, on in pieces)


def elements_of(nodes: Sequence[Mapping[str, Any]]) -> list[Element]:
    """The elements in Chromium's `Accessibility.getFullAXTree`, in reading order.

    What is inside a heading, link or button is its name already, and a label is the name of its radio button.
    """
    by_id = {node["nodeId"]: node for node in nodes}
    return list(_walk(nodes[0], by_id)) if nodes else []


def _walk(node: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> Iterator[Element]:
    role = _value(node.get("role")) if not node.get("ignored") else ""
    name = _value(node.get("name")).strip()
    if role in _SILENT:
        return
    if role in _LEAVES or (role == "StaticText" and name):
        checked = any(prop["name"] == "checked" and _value(prop["value"]) == "true" for prop in node["properties"])
        yield Element(role, name, _value(node.get("value")) if role == "searchbox" else "", checked)
        return
    if role == "group" and name:
        yield Element("group", name)
    for child in node.get("childIds", ()):
        if child in by_id:
            yield from _walk(by_id[child], by_id)


def _value(holder: Mapping[str, Any] | None) -> str:
    return str((holder or {}).get("value", ""))
