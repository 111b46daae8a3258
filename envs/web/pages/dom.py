"""A page as a tree: which elements can be used, how they read, and the part of the page around some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import lxml.etree
import lxml.html

from cmat_env.envs.web.text import clean

NODE_ID = "backend_node_id"
_USABLE = frozenset({"a", "button", "input", "select", "textarea"})
_ROLES = frozenset({"button", "checkbox", "link", "menuitem", "option", "radio", "switch", "tab"})
_TOLD = ("type", "role", "name", "placeholder", "value", "title", "alt", "aria-label", "aria_label", "checked", "href")
_DEPTH, _DESCENDANTS, _SIBLINGS = 5, 50, 3
_LONGEST_VALUE, _LONGEST_TEXT = 60, 200

Node = Any  # an lxml element


def parse(html: str) -> Node:
    """The tree of a page; elements without a node id get one, in the order of the document."""
    root = lxml.html.document_fromstring(html or "<p></p>")
    used = {node.get(NODE_ID) for node in root.iter(lxml.etree.Element) if node.get(NODE_ID)}
    fresh = (str(number) for number in range(1, 1_000_000) if str(number) not in used)
    for node in root.iter(lxml.etree.Element):
        if not node.get(NODE_ID):
            node.set(NODE_ID, next(fresh))
    return root


def by_node_id(root: Node) -> dict[str, Node]:
    """Every element by its node id."""
    return {node.get(NODE_ID): node for node in root.iter(lxml.etree.Element)}


def usable(root: Node) -> list[str]:
    """Node ids of what a visitor can use, in the order of the document."""
    return [
        node.get(NODE_ID)
        for node in root.iter(lxml.etree.Element)
        if (node.tag in _USABLE and node.get("type") != "hidden") or node.get("role") in _ROLES
    ]


def words_of(node: Node) -> str:
    """All that an element says: its text, what it can be set to, and its attributes, with the label that it has."""
    label = ""
    if node.get("id"):
        found = node.getroottree().xpath("//label[@for=$name]", name=node.get("id"))
        label = " ".join(each.text_content() for each in found)
    attributes = " ".join(node.get(name) for name in _TOLD if node.get(name))
    return clean(f"{label} {node.text_content()} {attributes}")


def short(node: Node, number: int) -> str:
    """An element as a choice: its tag, number and first words."""
    words = " ".join(words_of(node).split()[:10])
    return f"<{node.tag} id={number} {words}>".replace(" >", ">")


def around(root: Node, chosen: Sequence[str]) -> str:
    """The page pruned to some elements: their ancestors, descendants and neighbours.

    Args:
        root: of the page.
        chosen: node ids; they are numbered from 0.
    """
    nodes = by_node_id(root)
    kept: set[str] = set()
    for name in chosen:
        if name in nodes:
            kept |= set(_neighbourhood(nodes[name]))
    numbers = {name: number for number, name in enumerate(chosen)}
    return " ".join(_written(root, kept, numbers))


def _neighbourhood(node: Node) -> Iterator[str]:
    yield node.get(NODE_ID)
    yield from (each.get(NODE_ID) for each in node.iterancestors())
    depth = len(list(node.iterancestors()))
    inner = (each for each in node.iterdescendants(lxml.etree.Element))
    for position, each in enumerate(inner):
        if position >= _DESCENDANTS:
            break
        if len(list(each.iterancestors())) - depth <= _DEPTH:
            yield each.get(NODE_ID)
    parent = node.getparent()
    if parent is not None:
        siblings = [each for each in parent if isinstance(each.tag, str)]
        at = siblings.index(node)
        yield from (each.get(NODE_ID) for each in siblings[max(0, at - _SIBLINGS) : at + _SIBLINGS + 1])


def _written(node: Node, kept: Collection[str], numbers: Mapping[str, int]) -> Iterator[str]:
    """Tags of what is kept, with a number where it is a choice; text on one line, so that it can forge none."""
    name = node.get(NODE_ID)
    if name not in kept or node.tag in ("script", "style", "head"):
        return
    told = [f"id={numbers[name]}"] if name in numbers else []
    told += [f'{key}="{_value(node.get(key))}"' for key in _TOLD if node.get(key) and key != "href"]
    yield f"<{' '.join([node.tag, *told])}>"
    yield from _text(node.text)
    for child in node:
        if isinstance(child.tag, str):
            yield from _written(child, kept, numbers)
        yield from _text(child.tail)
    yield f"</{node.tag}>"


def _value(text: str) -> str:
    return clean(text, limit=_LONGEST_VALUE).replace('"', "'")


def _text(text: str | None) -> Iterator[str]:
    words = clean(text or "", limit=_LONGEST_TEXT).replace("<", "&lt;")
    if words:
        yield words
