"""Text of strangers made safe to print: what a model wrote must not steer the terminal."""

from __future__ import annotations

_KEPT = "\n\t"
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT}
_PICTURES |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
_PICTURES |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)], "\ufffd")


def printable(text: str) -> str:
    """The text with control characters, direction overrides and lone surrogates as visible signs.

    Line ends and tabs stay; an escape character becomes its picture "␛", so no terminal obeys it.
    """
    return text.translate(_PICTURES)
