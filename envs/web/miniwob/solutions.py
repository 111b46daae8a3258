"""Scripted solutions of MiniWoB++ games, from what the page shows at the start: for tests and demonstrations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class View:
    """What a game shows at its start.

    Attributes:
        utterance: what is asked for.
        elements: MiniWoB++'s elements, in the order of the document.
    """

    utterance: str
    elements: Sequence[Mapping[str, Any]]

    def quoted(self) -> list[str]:
        """The texts in quotation marks of the utterance."""
        return re.findall(r'"([^"]*)"', self.utterance)

    def refs(self, *tags: str, text: str | None = None, id: str | None = None) -> list[int]:
        """Numbers of the elements with one of these tags, and this text or id if given; case aside."""
        return [
            int(each["ref"])
            for each in self.elements
            if str(each["tag"]).lower() in tags
            and (text is None or text.strip().lower() in (_said(each), self._inside(each)))
            and (id is None or each["id"] == id)
        ]

    def _inside(self, element: Mapping[str, Any]) -> str:
        """The text of an element and of what is directly in it."""
        parts = [_said(each) for each in self.elements if each["parent"] == element["ref"] or each is element]
        return " ".join(part for part in parts if part).strip()

    def beside(self, text: str, *tags: str) -> int:
        """The element of these tags in the same parent as a text, such as the box of a label."""
        for each in self.elements:
            if _said(each) == text.strip().lower():
                parents = {each["parent"], each["ref"]}
                for other in self.elements:
                    if other["parent"] in parents and str(other["tag"]).lower() in tags:
                        return int(other["ref"])
        raise LookupError(f"nothing stands beside {text!r}")

    def submit(self) -> int:
        """The button that ends most games."""
        return self.refs("button", "input_submit", text="submit")[0]


def _said(element: Mapping[str, Any]) -> str:
    return str(element["text"] or element["value"] or "").strip().lower()


def click(ref: int) -> str:
    """The action of clicking an element."""
    return f"click[{ref}]"


def type_text(ref: int, text: str) -> str:
    """The action of typing into an element."""
    return f"type[{ref}, {text}]"


_BUTTONS = ("button", "input_submit", "input_button")
_FIELDS = ("input_text", "input_password", "textarea", "input_number")


def _first_button(view: View) -> list[str]:
    return [click(view.refs("button")[0])]


def _named_button(view: View) -> list[str]:
    return [click(view.refs(*_BUTTONS, text=view.quoted()[0])[0])]


def _named_link(view: View) -> list[str]:
    return [click(view.refs("span", "a", text=view.quoted()[0])[0])]


def _button_one(view: View) -> list[str]:
    return [click(view.refs("button", text="one")[0])]


def _sequence(view: View) -> list[str]:
    return [click(view.refs("button", text=name)[0]) for name in ("one", "two")]


def _close_dialog(view: View) -> list[str]:
    closers = [each for each in view.elements if "ui-dialog-titlebar-close" in str(each["classes"])]
    return [click(int(closers[0]["ref"]))]


def _dialog_button(view: View) -> list[str]:
    name = view.quoted()[0]
    return _close_dialog(view) if name.lower() == "x" else [click(view.refs("button", text=name)[0])]


def _first_field(view: View) -> list[str]:
    return [click(view.refs(*_FIELDS)[0])]


def _nth_field(view: View) -> list[str]:
    number = re.search(r"(\d)", view.utterance)
    return [click(view.refs(*_FIELDS)[int(number[1]) - 1 if number else 0])]


def _enter(view: View) -> list[str]:
    return [type_text(view.refs(*_FIELDS)[0], view.quoted()[0]), click(view.submit())]


def _enter_cased(view: View) -> list[str]:
    word = view.quoted()[0]
    text = word.upper() if "upper case" in view.utterance else word.lower()
    return [type_text(view.refs(*_FIELDS)[0], text), click(view.submit())]


def _password(view: View) -> list[str]:
    word = view.quoted()[0]
    return [*(type_text(ref, word) for ref in view.refs(*_FIELDS)[:2]), click(view.submit())]


def _login(view: View) -> list[str]:
    fields = view.refs(*_FIELDS)
    words = view.quoted()
    return [*(type_text(ref, word) for ref, word in zip(fields, words, strict=False)), click(view.refs(*_BUTTONS)[0])]


def _wanted_list(view: View) -> list[str]:
    found = re.search(r"Select (.*?) and click Submit", view.utterance)
    names = found[1].split(", ") if found else []
    return [] if names == ["nothing"] else names


def _checkboxes(view: View) -> list[str]:
    return [*(click(view.beside(name, "input_checkbox")) for name in _wanted_list(view)), click(view.submit())]


def _radio(view: View) -> list[str]:
    return [*(click(view.beside(name, "input_radio")) for name in _wanted_list(view)), click(view.submit())]


def _widget(view: View) -> list[str]:
    kind = view.quoted()[0]
    tags = {
        "button": ("button",),
        "text": ("input_text",),
        "radio": ("input_radio",),
        "checkbox": ("input_checkbox",),
        "textarea": ("textarea",),
    }
    return [click(view.refs(*tags[kind])[0])]


def _tab(view: View) -> list[str]:
    number = re.search(r"Tab #(\d)", view.utterance)
    return [click(view.refs("a", text=f"tab #{number[1] if number else 1}")[0])]


def _arithmetic(view: View) -> list[str]:
    shown = " ".join(str(each["text"]) for each in view.elements if each["text"])
    found = re.search(r"(\d+)\s*([-+x*\u00d7])\s*(\d+)", shown)
    if found is None:
        raise LookupError(f"no sum in {shown!r}")
    one, other = int(found[1]), int(found[3])
    result = {"+": one + other, "-": one - other}.get(found[2], one * other)
    return [type_text(view.refs(*_FIELDS)[0], str(result)), click(view.submit())]


def _nth_word(view: View) -> list[str]:
    number = re.search(r"(\d+)", view.utterance)
    words = next(str(each["text"]) for each in view.elements if each["tag"].lower() == "p" and each["text"]).split()
    word = words[int(number[1]) - 1 if number else 0].strip(".,")
    return [type_text(view.refs(*_FIELDS)[0], word), click(view.submit())]


def _choose(view: View) -> list[str]:
    found = re.search(r"Select (.*) from the list and click Submit", view.utterance)
    return [type_text(view.refs("select")[0], found[1] if found else ""), click(view.submit())]


def _unchecked_all(view: View) -> list[str]:
    return [click(view.submit())] if not _wanted_list(view) else _checkboxes(view)


SOLUTIONS: Mapping[str, Callable[[View], list[str]]] = MappingProxyType(
    {
        "choose-list": _choose,
        "click-button": _named_button,
        "click-button-sequence": _sequence,
        "click-checkboxes": _unchecked_all,
        "click-checkboxes-large": _unchecked_all,
        "click-checkboxes-transfer": _unchecked_all,
        "click-dialog": _close_dialog,
        "click-dialog-2": _dialog_button,
        "click-link": _named_link,
        "click-option": _radio,
        "click-tab": _tab,
        "click-test": _first_button,
        "click-test-2": _button_one,
        "click-test-transfer": _button_one,
        "click-widget": _widget,
        "enter-password": _password,
        "enter-text": _enter,
        "enter-text-2": _enter_cased,
        "enter-text-dynamic": _enter,
        "find-word": _nth_word,
        "focus-text": _first_field,
        "focus-text-2": _nth_field,
        "login-user": _login,
        "simple-arithmetic": _arithmetic,
        "unicode-test": _named_button,
    }
)
