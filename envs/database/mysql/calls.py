"""Rewrites calls of MySQL's functions, aggregates and casts."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from cmat_env.envs.database.mysql.errors import DATABASE, MySQLError, malformed
from cmat_env.envs.database.mysql.functions import FUNCTIONS
from cmat_env.envs.database.mysql.functions.aggregates import NAMES as AGGREGATES
from cmat_env.envs.database.mysql.functions.bits import NO_ROWS
from cmat_env.envs.database.mysql.functions.documents import TAKES_KINDS
from cmat_env.envs.database.mysql.functions.system import VERSION
from cmat_env.envs.database.mysql.nodes import call, collated, numeric, text

_NOT_EMULATED = """
    AES_DECRYPT AES_ENCRYPT BIN_TO_UUID COMPRESS EXTRACTVALUE GET_FORMAT GET_LOCK INET_ATON INET_NTOA IS_UUID
    JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH JSON_INSERT JSON_MERGE
    JSON_MERGE_PATCH JSON_MERGE_PRESERVE JSON_OVERLAPS JSON_PRETTY JSON_REMOVE JSON_REPLACE JSON_SEARCH JSON_SET
    JSON_TABLE RANDOM_BYTES RELEASE_LOCK UNCOMPRESS UPDATEXML UUID_SHORT UUID_TO_BIN WEIGHT_STRING
"""
_LEFT_OUT = frozenset(_NOT_EMULATED.split())
_WINDOW = frozenset(
    {
        "CUME_DIST",
        "DENSE_RANK",
        "FIRST_VALUE",
        "LAG",
        "LAST_VALUE",
        "LEAD",
        "NTH_VALUE",
        "NTILE",
        "PERCENT_RANK",
        "RANK",
        "ROW_NUMBER",
    }
)
_GRAMMAR_COUNTS = """
    ADDDATE ASCII DATE DATE_ADD DATE_SUB DAY HOUR IF INSERT LEFT MINUTE MOD MONTH REPEAT REPLACE RIGHT SECOND SUBDATE
    TIMESTAMPADD TIMESTAMPDIFF TRUNCATE YEAR
"""
_IN_GRAMMAR = frozenset(_GRAMMAR_COUNTS.split())
_BITS = {"BIT_AND": "all_bits", "BIT_OR": "any_bits", "BIT_XOR": "odd_bits"}
_SESSION = {
    "autocommit": exp.Literal.number(1),
    "character_set_server": text("utf8mb4"),
    "collation_connection": text("utf8mb4_0900_ai_ci"),
    "collation_database": text("utf8mb4_0900_ai_ci"),
    "hostname": text("localhost"),
    "max_allowed_packet": exp.Literal.number(1_000_000),
    "port": exp.Literal.number(3306),
    "sql_mode": text("ONLY_FULL_GROUP_BY"),
    "version": text(VERSION),
    "version_comment": text("emulated on SQLite"),
}


def wrong_count(name: str) -> MySQLError:
    """1582, or 1064 where the number of arguments is a matter of MySQL's grammar."""
    if name.upper() in _IN_GRAMMAR:
        return malformed(")")
    return MySQLError(1582, f"Incorrect parameter count in the call to native function '{name}'")


def unsupported(name: str) -> MySQLError:
    """1235, for what MySQL has and we have not."""
    return MySQLError(1235, f"This version of MySQL doesn't yet support '{name}'")


def unknown_function(name: str) -> MySQLError:
    """1305."""
    return MySQLError(1305, f"FUNCTION {DATABASE}.{name} does not exist")


def rewrite_call(node: exp.Anonymous) -> exp.Expr:
    """A call by name, its arguments rewritten already."""
    written = str(node.this.name if isinstance(node.this, exp.Expr) else node.this)
    if written.startswith("my_"):
        raise unknown_function(written)
    name, arguments = written.upper(), node.expressions
    if name in AGGREGATES:
        return _aggregate(name, arguments)
    if name in _WINDOW:
        return exp.Anonymous(this=name, expressions=arguments)
    if special := _SPECIAL.get(name):
        return special(name, arguments)
    function = FUNCTIONS.get(name)
    if function is None:
        raise unsupported(written) if name in _LEFT_OUT else unknown_function(written)
    odd = name == "JSON_OBJECT" and len(arguments) % 2 == 0  # the kinds come first
    if odd or not function.fewest <= len(arguments) <= function.most:
        raise wrong_count(written)
    return call(name.lower(), *arguments)


def _aggregate(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if not arguments:
        raise wrong_count(name)
    if name in TAKES_KINDS:
        if len(arguments) != (2 if name == "JSON_ARRAYAGG" else 3):
            raise malformed(")")
        return call(name.lower(), *arguments)
    distinct = isinstance(arguments[0], exp.Distinct)
    inner = arguments[0].expressions if isinstance(arguments[0], exp.Distinct) else arguments
    if name == "COUNT" and distinct and len(inner) > 1:
        none = exp.Literal.number(0)  # an aggregate that saw no row gives NULL
        return exp.Anonymous(this="IFNULL", expressions=[call("count_distinct", *inner), none])
    value = inner[0]
    if len(inner) != 1 or (isinstance(value, exp.Star) and name != "COUNT"):
        raise malformed(f"{', ' if len(inner) > 1 else '*'})")
    if name in _BITS:
        gathered = _BITS[name]
        bits = exp.Anonymous(this="IFNULL", expressions=[call(gathered, value), exp.Literal.number(NO_ROWS[gathered])])
        return call("unsigned", bits)
    if name == "SUM":
        value = numeric(value)
    elif name in ("MIN", "MAX") or (name == "COUNT" and distinct):
        value = collated(value)
    elif distinct:
        value = numeric(value)
    argument: exp.Expr = exp.Distinct(expressions=[value]) if distinct else value
    native = name in ("COUNT", "SUM", "MIN", "MAX")
    return exp.Anonymous(this=name if native else f"my_{name.lower()}", expressions=[argument])


def _native(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) < (2 if name == "IFNULL" else 1) or (name == "IFNULL" and len(arguments) > 2):
        raise wrong_count(name)
    if len(arguments) == 1:
        return exp.Paren(this=arguments[0])
    return exp.Anonymous(this=name, expressions=arguments)


def _null_if(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) != 2:
        raise wrong_count(name)
    same = call("eq", *arguments)
    return exp.Case(ifs=[exp.If(this=same, true=exp.Null())], default=arguments[0].copy())


def _null_choice(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) != 3:
        raise wrong_count(name)
    null = exp.Is(this=arguments[0], expression=exp.Null())
    return exp.Case(ifs=[exp.If(this=null, true=arguments[2])], default=arguments[1])


def _is_null(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) != 1:
        raise wrong_count(name)
    return exp.Paren(this=exp.Is(this=exp.Paren(this=arguments[0]), expression=exp.Null()))


def _shift_date(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) != 2:
        raise wrong_count(name)
    target = "date_sub" if name in ("DATE_SUB", "SUBDATE") else "date_add"
    if isinstance(arguments[1], exp.Interval):
        return interval_call(target, arguments[0], arguments[1])
    if name in ("ADDDATE", "SUBDATE"):
        return call(target, arguments[0], arguments[1], text("DAY"))
    raise malformed(arguments[1].sql("mysql"))


def interval_call(name: str, moment: exp.Expr, interval: exp.Interval) -> exp.Anonymous:
    """A moment moved by an interval."""
    unit = interval.args.get("unit")
    return call(name, moment, interval.this, text(unit.name.upper() if unit is not None else "DAY"))


def _with_unit(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) != 3:
        raise wrong_count(name)
    unit = text(arguments[0].name.upper().removeprefix("SQL_TSI_"))
    if name == "TIMESTAMPADD":
        return call("date_add", arguments[2], arguments[1], unit)
    return call("timestampdiff", unit, arguments[1], arguments[2])


_SPECIAL: dict[str, Callable[[str, list[exp.Expr]], exp.Expr]] = {
    "ADDDATE": _shift_date,
    "COALESCE": _native,
    "DATE_ADD": _shift_date,
    "DATE_SUB": _shift_date,
    "IFNULL": _native,
    "ISNULL": _is_null,
    "NULLIF": _null_if,
    "NVL": lambda _name, arguments: _native("IFNULL", arguments),
    "NVL2": _null_choice,
    "SUBDATE": _shift_date,
    "TIMESTAMPADD": _with_unit,
    "VALUES": lambda _name, _arguments: exp.Null(),  # there are no keys, so that no row is inserted twice
    "TIMESTAMPDIFF": _with_unit,
}


def rewrite_group_concat(node: exp.GroupConcat) -> exp.Expr:
    """GROUP_CONCAT([DISTINCT] value, ... [ORDER BY ...] [SEPARATOR ...])."""
    inner, keys, directions = node.this, [], ""
    if isinstance(inner, exp.Order):
        for each in inner.expressions:
            keys.append(each.this)
            directions += "d" if each.args.get("desc") else "a"
        inner = inner.this
    distinct = isinstance(inner, exp.Distinct)
    values = inner.expressions if isinstance(inner, exp.Distinct) else [inner]
    value = values[0] if len(values) == 1 else call("concat", *values)
    separator = node.args.get("separator") or text(",")
    return call("group_concat", separator, exp.Literal.number(int(distinct)), text(directions), value, *keys)


def rewrite_cast(node: exp.Cast) -> exp.Expr:
    """CAST and CONVERT to the types that MySQL knows there."""
    value: exp.Expr = node.this
    kind, sizes = node.to.this, node.to.expressions
    if kind in _CASTS:
        return call(_CASTS[kind], value)
    if kind == exp.DType.DECIMAL:
        numbers = [each.this for each in sizes]
        digits = numbers[0] if numbers else exp.Literal.number(10)
        return call("as_decimal", value, digits, numbers[1] if len(numbers) > 1 else exp.Literal.number(0))
    if kind in (exp.DType.CHAR, exp.DType.NCHAR):
        return call("as_char", value, *[each.this for each in sizes[:1]])
    if kind in (exp.DType.BINARY, exp.DType.VARBINARY):
        return collated(call("as_char", value), "BINARY")
    if kind in (exp.DType.CHARACTER_SET, exp.DType.JSON):
        return value
    raise malformed(f"{node.to.sql('mysql')})")


_CASTS = {
    exp.DType.BIGINT: "as_signed",
    exp.DType.UBIGINT: "as_unsigned",
    exp.DType.YEAR: "as_signed",
    exp.DType.DOUBLE: "as_double",
    exp.DType.FLOAT: "as_double",
    exp.DType.DATE: "date",
    exp.DType.DATETIME: "timestamp",
    exp.DType.TIMESTAMP: "timestamp",
    exp.DType.TIMESTAMPTZ: "timestamp",
    exp.DType.TIME: "time",
}


def session_parameter(node: exp.SessionParameter) -> exp.Expr:
    """`@@name`."""
    name = node.name.lower()
    if name not in _SESSION:
        raise MySQLError(1193, f"Unknown system variable '{node.name}'")
    return _SESSION[name].copy()
