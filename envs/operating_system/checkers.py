"""AgentBench's five checkers of an answer against what the gold script gave, in our own process.

Each gets the answer and the gold as texts, like the scripts get them as arguments, and never touches the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

Fidelity = Literal["upstream", "fixed"]
FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)

Checker = Callable[[str, str, Fidelity], bool]

_LONGEST_NUMBER = 1000
_SIZE = re.compile(r"\s*([-+\d.]+)\s*([KMGTP]?)(?:i?B)?\s*", re.IGNORECASE)
_UNITS = {unit: 1024**power for power, unit in enumerate(("", "K", "M", "G", "T", "P"))}


def _integer(answer: str, gold: str, fidelity: Fidelity) -> bool:
    """Equal as whole numbers; "fixed" also takes 3.0 for 3."""
    numbers = []
    for text in (answer, gold):
        if len(text) > _LONGEST_NUMBER:
            return False
        try:
            numbers.append(int(text) if fidelity == "upstream" else _whole(text))
        except (ValueError, OverflowError):
            return False
    return numbers[0] == numbers[1]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if number != int(number):
            raise ValueError(text) from None
        return int(number)


def _string(answer: str, gold: str, fidelity: Fidelity) -> bool:
    """Equal but for blanks around them and the kind of line ends."""
    return _lines(answer) == _lines(gold)


def _size(answer: str, gold: str, fidelity: Fidelity) -> bool:
    """Equal in bytes. Upstream reads whole numbers only, and so fails on the 4.0K that `du -h` prints."""
    sizes = []
    for text in (answer, gold):
        match = _SIZE.fullmatch(text[:_LONGEST_NUMBER])
        if match is None:
            return False
        try:
            number: float = int(match[1]) if fidelity == "upstream" else float(match[1])
        except ValueError:
            return False
        sizes.append(number * _UNITS[match[2].upper()])
    return bool(sizes[0] == sizes[1])


def _in(answer: str, gold: str, fidelity: Fidelity) -> bool:
    """Is the answer a part of the gold? "fixed" does not take an empty one."""
    return _lines(answer) in _lines(gold) and (fidelity == "upstream" or bool(_lines(answer)))


def _containing(answer: str, gold: str, fidelity: Fidelity) -> bool:
    """Is the gold a part of the answer? "fixed" does not take an empty gold."""
    return _lines(gold) in _lines(answer) and (fidelity == "upstream" or bool(_lines(gold)))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


CHECKERS: Mapping[str, Checker] = MappingProxyType(
    {
        "integer-match.py": _integer,
        "string-match.py": _string,
        "size-match.py": _size,
        "in.py": _in,
        "containing.py": _containing,
    }
)
