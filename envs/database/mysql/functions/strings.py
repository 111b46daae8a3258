"""Text functions of MySQL. What could grow is measured before it is made."""

from __future__ import annotations

import base64
import binascii
import hashlib
from decimal import Decimal

from cmat_env.envs.database.mysql.functions.registry import Function, lenient, strict
from cmat_env.envs.database.mysql.values import (
    LONGEST,
    Value,
    integer,
    number,
    order,
    round_decimal,
    text,
)

_WITHOUT_FRACTION = 2.0**53
_ANY = 100


def _concat(*parts: Value) -> str | None:
    texts = [text(part) for part in parts]
    return "".join(texts) if sum(map(len, texts)) <= LONGEST else None


def _concat_ws(separator: Value, *parts: Value) -> str | None:
    if separator is None:
        return None
    between = text(separator)
    texts = [text(part) for part in parts if part is not None]
    return between.join(texts) if sum(map(len, texts)) + len(between) * len(texts) <= LONGEST else None


def _left(value: Value, length: Value) -> str:
    return text(value)[: max(0, integer(length))]


def _right(value: Value, length: Value) -> str:
    count = integer(length)
    return text(value)[-count:] if count > 0 else ""


def _substring(value: Value, start: Value, length: Value = LONGEST) -> str:
    whole, begin, count = text(value), integer(start), integer(length)
    if begin == 0 or count < 1 or abs(begin) > len(whole):
        return ""
    at = begin - 1 if begin > 0 else len(whole) + begin
    return whole[at : at + count]


def _substring_index(value: Value, delimiter: Value, count: Value) -> str:
    whole, mark, wanted = text(value), text(delimiter), integer(count)
    if not mark or not wanted:
        return ""
    parts = whole.split(mark)
    return mark.join(parts[:wanted] if wanted > 0 else parts[wanted:])


def _locate(needle: Value, haystack: Value, start: Value = 1) -> int:
    begin = integer(start)
    if begin < 1:
        return 0
    return text(haystack).lower().find(text(needle).lower(), begin - 1) + 1


def _pad(value: Value, length: Value, filler: Value, *, left: bool) -> str | None:
    whole, wanted, fill = text(value), integer(length), text(filler)
    if wanted < 0 or wanted > LONGEST:
        return None
    missing = wanted - len(whole)
    if missing <= 0:
        return whole[:wanted]
    if not fill:
        return ""
    padding = (fill * (missing // len(fill) + 1))[:missing]
    return padding + whole if left else whole + padding


def _repeat(value: Value, count: Value) -> str | None:
    unit, times = text(value), integer(count)
    return None if len(unit) * times > LONGEST else unit * times


def _replace(value: Value, old: Value, new: Value) -> str | None:
    whole, out, into = text(value), text(old), text(new)
    if not out:
        return whole
    if len(whole) + whole.count(out) * (len(into) - len(out)) > LONGEST:
        return None
    return whole.replace(out, into)


def _insert(value: Value, position: Value, length: Value, new: Value) -> str:
    whole, at, count = text(value), integer(position), integer(length)
    if not 1 <= at <= len(whole):
        return whole
    end = len(whole) if count < 0 else at - 1 + count
    return whole[: at - 1] + text(new) + whole[end:]


def trim(value: Value, mark: Value = " ", side: Value = "BOTH") -> str:
    """TRIM([side] mark FROM value): whole copies of the mark go."""
    whole, unit = text(value), text(mark)
    if not unit:
        return whole
    start, end = 0, len(whole)
    while side != "TRAILING" and whole.startswith(unit, start, end):
        start += len(unit)
    while side != "LEADING" and whole.endswith(unit, start, end):
        end -= len(unit)
    return whole[start:end]


def _field(value: Value, *members: Value) -> int:
    if value is None:
        return 0
    return next((at for at, each in enumerate(members, 1) if each is not None and order(value, each) == 0), 0)


def _find_in_set(value: Value, members: Value) -> int:
    return next((at for at, each in enumerate(text(members).split(","), 1) if order(text(value), each) == 0), 0)


def _elt(position: Value, *members: Value) -> Value:
    if position is None or not 1 <= (at := integer(position)) <= len(members):
        return None
    return members[at - 1] if members[at - 1] is None else text(members[at - 1])


def _format(value: Value, places: Value, _locale: Value = None) -> str:
    """FORMAT: a double is rounded as C rounds it, halves to the even neighbour; a DECIMAL comes rounded already."""
    digits = max(0, min(integer(places), 30))
    amount = number(value)
    if isinstance(amount, float) and abs(amount) < _WITHOUT_FRACTION:
        amount = round(amount * 10.0**digits) / 10.0**digits
    return f"{round_decimal(Decimal(repr(amount)), digits):,.{digits}f}"


def _char(*codes: Value) -> str:
    points = (integer(code) for code in codes if code is not None)
    data = b"".join(point.to_bytes(max(1, (point.bit_length() + 7) // 8), "big") for point in points if point >= 0)
    return data.decode("utf-8", "replace")


def _hex(value: Value) -> str | None:
    if isinstance(value, (int, float)):
        return f"{integer(value) & (1 << 64) - 1:X}"
    data = value if isinstance(value, bytes) else text(value).encode()
    return data.hex().upper() if 2 * len(data) <= LONGEST else None


def _unhex(value: Value) -> str | None:
    digits = text(value)
    return bytes.fromhex("0" * (len(digits) % 2) + digits).decode("utf-8", "replace")


def _sha2(value: Value, bits: Value) -> str | None:
    kinds = {0: "sha256", 224: "sha224", 256: "sha256", 384: "sha384", 512: "sha512"}
    kind = kinds.get(integer(bits))
    return hashlib.new(kind, text(value).encode()).hexdigest() if kind else None


_SOUNDS = dict(zip("BFPVCGJKQSXZDTLMNR", "111122222222334556", strict=True))


def _soundex(value: Value) -> str:
    """SOUNDEX, in any length: vowels go first, then what sounds like the letter before."""
    letters = [each for each in text(value)[:1000].upper() if each.isalpha()]
    sounds = [_SOUNDS.get(each, "") for each in letters]
    heard = letters[:1]
    last = sounds[0] if sounds else ""
    for sound in filter(None, sounds[1:]):
        heard += [sound] if sound != last else []
        last = sound
    return "".join(heard).ljust(4, "0") if heard else ""


def _quote(value: Value) -> str:
    if value is None:
        return "NULL"
    return "'" + text(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _length(value: Value) -> int:
    return len(value) if isinstance(value, bytes) else len(text(value).encode())


def _from_base64(value: Value) -> str | None:
    try:
        return base64.b64decode(text(value), validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return None


TEXTUAL = frozenset(
    {
        "CHARACTER_LENGTH",
        "CHAR_LENGTH",
        "CONCAT",
        "CONCAT_WS",
        "LEFT",
        "LENGTH",
        "LOCATE",
        "LPAD",
        "MD5",
        "MID",
        "REPLACE",
        "REVERSE",
        "RIGHT",
        "RPAD",
        "SUBSTR",
        "SUBSTRING_INDEX",
    }
)
"""Functions that read a number as text, with all its decimal places."""

_LENGTH = strict(_length, 1)
_CHAR_LENGTH = strict(lambda value: len(text(value)), 1)
_LOWER = strict(lambda value: text(value).lower(), 1)
_UPPER = strict(lambda value: text(value).upper(), 1)
_SUBSTRING = strict(_substring, 2, 3)
_SHA1 = strict(lambda value: hashlib.sha1(text(value).encode(), usedforsecurity=False).hexdigest(), 1)

FUNCTIONS: dict[str, Function] = {
    "ASCII": strict(lambda value: (text(value).encode() or b"\0")[0], 1),
    "BIT_LENGTH": strict(lambda value: 8 * _length(value), 1),
    "CHAR": lenient(_char, 1, _ANY),
    "CHARACTER_LENGTH": _CHAR_LENGTH,
    "CHAR_LENGTH": _CHAR_LENGTH,
    "CONCAT": strict(_concat, 1, _ANY),
    "CONCAT_WS": lenient(_concat_ws, 2, _ANY),
    "CRC32": strict(lambda value: binascii.crc32(text(value).encode()), 1),
    "ELT": lenient(_elt, 2, _ANY),
    "FIELD": lenient(_field, 2, _ANY),
    "FIND_IN_SET": strict(_find_in_set, 2),
    "FORMAT": strict(_format, 2, 3),
    "FROM_BASE64": strict(_from_base64, 1),
    "HEX": strict(_hex, 1),
    "INSERT": strict(_insert, 4),
    "INSTR": strict(lambda haystack, needle: _locate(needle, haystack), 2),
    "LCASE": _LOWER,
    "LEFT": strict(_left, 2),
    "LENGTH": _LENGTH,
    "LOCATE": strict(_locate, 2, 3),
    "LOWER": _LOWER,
    "LPAD": strict(lambda value, length, fill=" ": _pad(value, length, fill, left=True), 3),
    "LTRIM": strict(lambda value: text(value).lstrip(" "), 1),
    "MD5": strict(lambda value: hashlib.md5(text(value).encode(), usedforsecurity=False).hexdigest(), 1),
    "MID": _SUBSTRING,
    "OCTET_LENGTH": _LENGTH,
    "ORD": strict(lambda value: int.from_bytes(text(value)[:1].encode(), "big"), 1),
    "POSITION": strict(_locate, 2),
    "QUOTE": lenient(_quote, 1),
    "REPEAT": strict(_repeat, 2),
    "REPLACE": strict(_replace, 3),
    "REVERSE": strict(lambda value: text(value)[::-1], 1),
    "RIGHT": strict(_right, 2),
    "RPAD": strict(lambda value, length, fill=" ": _pad(value, length, fill, left=False), 3),
    "RTRIM": strict(lambda value: text(value).rstrip(" "), 1),
    "SHA": _SHA1,
    "SHA1": _SHA1,
    "SHA2": strict(_sha2, 2),
    "SOUNDEX": strict(_soundex, 1),
    "SPACE": strict(lambda count: _repeat(" ", count), 1),
    "STRCMP": strict(lambda left, right: order(text(left), text(right)), 2),
    "SUBSTR": _SUBSTRING,
    "SUBSTRING": _SUBSTRING,
    "SUBSTRING_INDEX": strict(_substring_index, 3),
    "TO_BASE64": strict(lambda value: base64.encodebytes(text(value).encode()).decode().rstrip("\n"), 1),
    "TRIM": strict(trim, 1, 3),
    "UCASE": _UPPER,
    "UNHEX": strict(_unhex, 1),
    "UPPER": _UPPER,
}
