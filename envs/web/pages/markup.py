"""Small pages written by hand: a few words of HTML, and the steps that can be taken on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from cmat_env.envs.web.pages.sample import Operation


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do on a page.

    Attributes:
        task: what the user wants in the end.
        key: of the element.
        operation: what to do with it.
        value: what to type or select.
        previous: what was done before, in words.
    """

    task: str
    key: str
    operation: Operation
    value: str = ""
    previous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SitePage:
    """A page and its steps.

    Attributes:
        website: its name.
        domain: its family: form, table, menu, calendar, filter, cart, ...
        body: HTML; elements that steps name carry `data-key`.
        steps: what can be asked for.
    """

    website: str
    domain: str
    body: str
    steps: tuple[Step, ...] = field(default_factory=tuple)


def field_of(key: str, label: str, kind: str = "text", placeholder: str = "") -> str:
    """A labelled text field."""
    hint = f' placeholder="{escape(placeholder)}"' if placeholder else ""
    return (
        f'<p><label for="{key}">{escape(label)}</label> '
        f'<input id="{key}" data-key="{key}" type="{kind}" name="{key}"{hint}></p>'
    )


def select_of(key: str, label: str, values: Sequence[str]) -> str:
    """A labelled list to select from."""
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return (
        f'<p><label for="{key}">{escape(label)}</label> '
        f'<select id="{key}" data-key="{key}" name="{key}">{options}</select></p>'
    )


def button(key: str, text: str, label: str = "") -> str:
    """A button, with another name for screen readers where its text alone says too little."""
    told = f' aria-label="{escape(label)}"' if label else ""
    return f'<button type="button" data-key="{key}"{told}>{escape(text)}</button>'


def link(key: str, text: str) -> str:
    """A link."""
    return f'<a href="#{key}" data-key="{key}">{escape(text)}</a>'


def tick(key: str, label: str, kind: str = "checkbox", group: str = "") -> str:
    """A box to tick, or one of a group of radio buttons."""
    return (
        f'<span><input id="{key}" data-key="{key}" type="{kind}" name="{group or key}"> '
        f'<label for="{key}">{escape(label)}</label></span>'
    )


def whole(page: SitePage, extra: str) -> str:
    """The document: what every page of a site has above and below its body."""
    name = page.website.capitalize()
    return (
        f"<html><head><title>{escape(name)}</title></head><body>"
        f'<header><a href="#home" data-key="home">{escape(name)}</a> <nav>{extra}</nav></header>'
        f"<main>{page.body}</main>"
        f"<footer>{link('privacy', 'Privacy')} {link('terms', 'Terms of use')} {link('help', 'Help')}</footer>"
        "</body></html>"
    )
