"""Which expressions are DECIMAL, and with how many decimal places: SQLite only has doubles.

A scale is the number of places, INTEGER for MySQL's BIGINT, or None for doubles, texts and what is not known.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

INTEGER = -1
_DIVISION_PLACES = 4
_MOST = 30
_DIGITS_PER_WORD = 9
_INTEGER_NAMES = """
    ASCII BIT_COUNT BIT_LENGTH CEIL CEILING CHARACTER_LENGTH CHAR_LENGTH COUNT CRC32 DATEDIFF DAY DAYOFMONTH DAYOFWEEK
    DAYOFYEAR DENSE_RANK FIELD FIND_IN_SET FLOOR HOUR INSTR JSON_LENGTH LENGTH LOCATE MICROSECOND MINUTE MONTH NTILE
    OCTET_LENGTH ORD PERIOD_ADD PERIOD_DIFF QUARTER RANK
    REGEXP_INSTR REGEXP_LIKE ROW_NUMBER SECOND SIGN STRCMP TIMESTAMPDIFF TO_DAYS WEEK WEEKDAY WEEKOFYEAR YEAR
"""
_INTEGER_FUNCTIONS = frozenset(_INTEGER_NAMES.split())
_SAME_AS_FIRST = frozenset({"ABS", "ANY_VALUE", "FIRST_VALUE", "LAG", "LAST_VALUE", "LEAD", "MAX", "MIN", "NULLIF"})
_WIDEST = frozenset({"COALESCE", "GREATEST", "IFNULL", "LEAST"})
_PREDICATES = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Xor, exp.IntDiv)


def scale(node: exp.Expr | None) -> int | None:
    """The scale of an expression as it was parsed."""
    if isinstance(node, (exp.Paren, exp.Alias, exp.Neg, exp.Window)):
        return scale(node.this)
    if isinstance(node, exp.Distinct):
        return scale(node.expressions[0]) if node.expressions else None
    if isinstance(node, exp.Literal):
        return _of_literal(node)
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)):
        return _of_arithmetic(node)
    if isinstance(node, _PREDICATES):
        return INTEGER
    if isinstance(node, exp.Case):
        return _widest([each.args.get("true") for each in node.args["ifs"]] + [node.args.get("default")])
    if isinstance(node, exp.If):
        return _widest([node.args.get("true"), node.args.get("false")])
    if isinstance(node, exp.Cast):
        return _of_cast(node)
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Select) and len(node.this.expressions) == 1:
        return scale(node.this.expressions[0])
    return _of_function(node) if isinstance(node, exp.Anonymous) else None


def text_places(node: exp.Expr) -> int | None:
    """How many places an expression has as text: those of a DECIMAL, or those that a double was rounded to."""
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "ROUND" and len(node.expressions) == 2:
        places = node.expressions[1]
        return min(int(places.name), _MOST) if places.name.isdigit() else None
    return scale(node)


def quotient_places(node: exp.Div) -> int | None:
    """How many places a quotient leaves in a text column: whole words of nine digits."""
    left, right = scale(node.this), scale(node.expression)
    if left is None or right is None:
        return None
    return -(-(max(left, 0) + max(right, 0) + _DIVISION_PLACES) // _DIGITS_PER_WORD) * _DIGITS_PER_WORD


def _of_literal(node: exp.Literal) -> int | None:
    if node.is_string or "e" in node.name.lower():
        return None
    _, point, places = node.name.partition(".")
    return len(places) if point else INTEGER


def _of_arithmetic(node: exp.Binary) -> int | None:
    left, right = scale(node.this), scale(node.expression)
    if left is None or right is None:
        return None
    if isinstance(node, exp.Div):
        return min(max(left, 0) + _DIVISION_PLACES, _MOST)
    if left == right == INTEGER:
        return INTEGER
    return min(max(left, 0) + max(right, 0), _MOST) if isinstance(node, exp.Mul) else max(left, right)


def _of_cast(node: exp.Cast) -> int | None:
    kind = node.to.this
    if kind in (exp.DType.BIGINT, exp.DType.UBIGINT):
        return INTEGER
    if kind != exp.DType.DECIMAL:
        return None
    sizes = node.to.expressions
    return min(int(sizes[1].name), _MOST) if len(sizes) > 1 and sizes[1].name.isdigit() else 0


def _of_function(node: exp.Anonymous) -> int | None:
    name, arguments = str(node.this).upper(), node.expressions
    if name in _INTEGER_FUNCTIONS:
        return None if name in ("FLOOR", "CEIL", "CEILING") and arguments and scale(arguments[0]) is None else INTEGER
    if not arguments:
        return None
    first = scale(arguments[0])
    if name in _SAME_AS_FIRST:
        return first
    if name in _WIDEST:
        return _widest(arguments)
    if first is None:
        return None
    if name == "SUM":
        return max(first, 0)
    if name == "AVG":
        return min(max(first, 0) + _DIVISION_PLACES, _MOST)
    if name in ("ROUND", "TRUNCATE"):
        return _of_rounding(first, arguments[1:])
    return max(first, scale(arguments[1]) or 0) if name == "MOD" and len(arguments) > 1 else None


def _of_rounding(first: int, places: list[exp.Expr]) -> int | None:
    if first == INTEGER:
        return INTEGER
    if not places:
        return 0
    written = places[0].name if isinstance(places[0], exp.Literal) else ""
    return min(int(written), _MOST) if written.isdigit() else None


def _widest(nodes: Iterable[exp.Expr | None]) -> int | None:
    """The scale that holds all of them; NULL fits anywhere."""
    scales = [scale(each) for each in nodes if each is not None and not isinstance(each, exp.Null)]
    known = [each for each in scales if each is not None]
    return max(known) if known and len(known) == len(scales) else None
