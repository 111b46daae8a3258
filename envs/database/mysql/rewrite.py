"""Rewrites expressions of MySQL into SQLite's, from the leaves up.

`Expression.transform` of sqlglot does not go into the nodes it has replaced; this walk changes the children first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from cmat_env.envs.database.mysql.calls import (
    interval_call,
    rewrite_call,
    rewrite_cast,
    rewrite_group_concat,
    session_parameter,
)
from cmat_env.envs.database.mysql.collation import NAME as COLLATION
from cmat_env.envs.database.mysql.comparisons import (
    COMPARISONS,
    rewrite_between,
    rewrite_comparison,
    rewrite_escape,
    rewrite_in,
    rewrite_like,
    rewrite_regexp,
)
from cmat_env.envs.database.mysql.functions.documents import BOOLEAN, GIVES_JSON, JSON, PLAIN, TAKES_KINDS
from cmat_env.envs.database.mysql.functions.strings import TEXTUAL
from cmat_env.envs.database.mysql.kinds import unify
from cmat_env.envs.database.mysql.nodes import call, collated, numeric, single_column, text
from cmat_env.envs.database.mysql.queries import rewrite_query, rewrite_set_operation, rewrite_table
from cmat_env.envs.database.mysql.rollup import has_rollup, unrolled
from cmat_env.envs.database.mysql.scales import scale, text_places
from cmat_env.envs.database.mysql.words import CLOCK

Rule = Callable[[Any], exp.Expr]


def rewrite(node: exp.Expr) -> exp.Expr:
    """The node in SQLite's terms; the tree that is given is used up."""
    if isinstance(node, exp.Select):
        return rewrite_query(unrolled(node) if has_rollup(node) else node, rewrite)
    if isinstance(node, (exp.Anonymous, exp.Case, exp.If)):
        unify(node)
    if isinstance(node, exp.Anonymous):
        return _call(node)
    rewrite_children(node)
    rule = RULES.get(type(node))
    return rule(node) if rule is not None else node


def rewrite_children(node: exp.Expr) -> None:
    """Rewrite everything below a node, in place."""
    for name, value in list(node.args.items()):
        if isinstance(value, exp.Expr):
            changed = rewrite(value)
            if changed is not value:
                node.set(name, changed)
        elif isinstance(value, list):
            node.set(name, [rewrite(each) if isinstance(each, exp.Expr) else each for each in value])


def _call(node: exp.Anonymous) -> exp.Expr:
    """A call by name; what it does with a DECIMAL has to be seen before its arguments are rewritten."""
    name, places = str(node.this).upper(), [scale(each) for each in node.expressions]
    texts = [text_places(each) if name in TEXTUAL else None for each in node.expressions]
    kinds = [_kind(each, digits) for each, digits in zip(node.expressions, places, strict=True)]
    if name in TAKES_KINDS:
        texts = places
    rewrite_children(node)
    if name in TAKES_KINDS:
        node.set("expressions", [text("".join(kinds)), *map(_written, node.expressions, texts)])
        return rewrite_call(node)
    decimal = places[0] is not None and places[0] >= 0 if places else False
    if decimal and (name == "ROUND" or (name == "TRUNCATE" and len(places) == 2)):
        return call(f"{name.lower()}_decimal", *node.expressions)
    if decimal and name == "FORMAT" and len(places) > 1:
        node.expressions[0].replace(call("round_decimal", node.expressions[0].copy(), node.expressions[1].copy()))
    arguments = zip(node.expressions, texts, strict=True)
    node.set("expressions", [_written(each, digits) for each, digits in arguments])
    return rewrite_call(node)


def _kind(node: exp.Expr, places: int | None) -> str:
    """What an argument is to a function that makes JSON of it; a DECIMAL comes as it is written."""
    named = isinstance(node, exp.Anonymous) and str(node.this).upper() in GIVES_JSON
    if named or isinstance(node, exp.JSONExtract) or (places or 0) > 0:
        return JSON
    if isinstance(node, exp.Cast) and node.to.this == exp.DType.JSON:
        return JSON
    return BOOLEAN if isinstance(node, exp.Boolean) else PLAIN


def _written(node: exp.Expr, places: int | None) -> exp.Expr:
    """A number as text functions see it: with all the places of its type."""
    return call("store", node, exp.Literal.number(places)) if places is not None and places > 0 else node


def _arithmetic(node: exp.Binary) -> exp.Expr:
    left, right = node.this, node.expression
    if isinstance(right, exp.Interval):
        return interval_call("date_sub" if isinstance(node, exp.Sub) else "date_add", left, right)
    if isinstance(left, exp.Interval):
        return interval_call("date_add", right, left)
    return type(node)(this=numeric(left), expression=numeric(right))


_BITWISE: dict[type[exp.Expr], str] = {
    exp.BitwiseAnd: "bit_and",
    exp.BitwiseLeftShift: "bit_left",
    exp.BitwiseNot: "bit_not",
    exp.BitwiseOr: "bit_or",
    exp.BitwiseRightShift: "bit_right",
    exp.BitwiseXor: "bit_xor",
}


def _bitwise(node: exp.Binary | exp.BitwiseNot) -> exp.Expr:
    operands = [node.this, node.expression] if isinstance(node, exp.Binary) else [node.this]
    return call("unsigned", call(_BITWISE[type(node)], *map(_same_bits, operands)))


def _same_bits(node: exp.Expr) -> exp.Expr:
    """An operand, in the signed integer that has its bits."""
    inner = node.unnest()
    unsigned = isinstance(inner, exp.Anonymous) and inner.this == "my_unsigned"
    return inner.expressions[0] if unsigned else node


def _hexadecimal(bits: str) -> str:
    width = -(-len(bits) // 8)
    return int(bits or "0", 2).to_bytes(width, "big").hex()


def _interval(node: exp.Interval) -> exp.Expr:
    """INTERVAL(value, bounds ...); any other is part of a sum or a call, which sees to it."""
    return call("interval", *node.this.expressions) if isinstance(node.this, exp.Tuple) else node


def _case(node: exp.Case) -> exp.Expr:
    if node.this is None:
        return node
    subject, branches = node.this, node.args["ifs"]
    tests = [exp.If(this=call("eq", subject.copy(), each.this), true=each.args["true"]) for each in branches]
    return exp.Case(ifs=tests, default=node.args.get("default"))


def _if(node: exp.If) -> exp.Expr:
    if isinstance(node.parent, exp.Case):
        return node
    return exp.Case(ifs=[exp.If(this=node.this, true=node.args.get("true"))], default=node.args.get("false"))


def _collate(node: exp.Collate) -> exp.Expr:
    binary = node.expression.name.lower().endswith(("_bin", "binary")) or node.expression.name == "BINARY"
    return collated(node.this.unnest(), "BINARY" if binary else COLLATION)


def _trim(node: exp.Trim) -> exp.Expr:
    mark = node.expression or text(" ")
    return call("trim", node.this, mark, text(node.args.get("position") or "BOTH"))


def _substring(node: exp.Substring) -> exp.Expr:
    return call("substring", node.this, node.args["start"], node.args.get("length"))


def _extract(node: exp.Extract) -> exp.Expr:
    return call("extract", text(node.name.upper()), node.expression)


def _literal(node: exp.Literal) -> exp.Expr:
    if node.is_string and "\0" in node.name:  # no SQL text may hold it
        hexadecimal = exp.HexString(this=node.name.encode("utf-8", "replace").hex())
        return exp.Cast(this=hexadecimal, to=exp.DataType(this=exp.DType.TEXT))
    return node


def _subquery(node: exp.Subquery) -> exp.Expr:
    parent = node.parent
    inside = parent is not None and not isinstance(parent, _HOLDERS)
    if not inside or _is_single(node.this) or _has_tuple(parent) or len(node.selects) != 1:
        return node
    return single_column(node, "single")


_HOLDERS = (
    exp.All,
    exp.Any,
    exp.CTE,
    exp.Create,
    exp.Exists,
    exp.From,
    exp.In,
    exp.Insert,
    exp.Join,
    exp.SetOperation,
    exp.Subquery,
)


def _is_single(query: exp.Expr) -> bool:
    """Does the query give one row at most, by its form?"""
    if not isinstance(query, exp.Select):
        return False
    limit = query.args.get("limit")
    if limit is not None and limit.expression is not None and limit.expression.name == "1":
        return True
    if query.args.get("group") is not None:
        return False
    calls = [str(each.this).lower().removeprefix("my_") for each in query.selects[0].find_all(exp.Anonymous)]
    return query.args.get("from_") is None or bool({"count", "sum", "avg", "min", "max"} & set(calls))


def _has_tuple(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Binary) and any(isinstance(each, exp.Tuple) for each in (node.this, node.expression))


def _column(node: exp.Column) -> exp.Expr:
    name = node.this
    bare = isinstance(name, exp.Identifier) and not name.quoted and not node.table
    if bare and node.name.upper() in CLOCK:
        return call(node.name.lower())
    if node.args.get("db") is not None:  # db.table.column
        return exp.Column(this=node.this, table=node.args["table"])
    return node


RULES: dict[type[exp.Expr], Rule] = {
    **dict.fromkeys(COMPARISONS, rewrite_comparison),
    exp.Add: _arithmetic,
    exp.Between: rewrite_between,
    exp.BitString: lambda node: exp.HexString(this=_hexadecimal(node.name)),
    exp.BitwiseAnd: _bitwise,
    exp.BitwiseLeftShift: _bitwise,
    exp.BitwiseNot: _bitwise,
    exp.BitwiseOr: _bitwise,
    exp.BitwiseRightShift: _bitwise,
    exp.BitwiseXor: _bitwise,
    exp.Case: _case,
    exp.Cast: rewrite_cast,
    exp.Chr: lambda node: call("char", *node.expressions),
    exp.Collate: _collate,
    exp.Column: _column,
    exp.Concat: lambda node: call("concat", *node.expressions),
    exp.Div: lambda node: call("div", node.this, node.expression),
    exp.Escape: rewrite_escape,
    exp.Except: rewrite_set_operation,
    exp.Extract: _extract,
    exp.GroupConcat: rewrite_group_concat,
    exp.If: _if,
    exp.In: rewrite_in,
    exp.Introducer: lambda node: node.expression,
    exp.National: lambda node: text(node.name),
    exp.Interval: _interval,
    exp.IntDiv: lambda node: call("intdiv", node.this, node.expression),
    exp.Intersect: rewrite_set_operation,
    exp.JSONExtract: lambda node: call("json_extract", node.this, node.expression),
    exp.JSONExtractScalar: lambda node: call("json_unquote", call("json_extract", node.this, node.expression)),
    exp.JSONPath: lambda node: text(node.sql("mysql").strip("'")),
    exp.Like: rewrite_like,
    exp.Literal: _literal,
    exp.Mod: lambda node: call("mod", node.this, node.expression),
    exp.Mul: _arithmetic,
    exp.Neg: lambda node: exp.Neg(this=numeric(node.this)),
    exp.NullSafeEQ: lambda node: call("nse", node.this, node.expression),
    exp.Parameter: lambda _node: exp.Null(),  # the session keeps no variables, as upstream reconnects
    exp.PropertyEQ: lambda node: node.expression,
    exp.RegexpLike: rewrite_regexp,
    exp.Soundex: lambda node: call("soundex", node.this),
    exp.SessionParameter: session_parameter,
    exp.StrPosition: lambda node: call("locate", node.args["substr"], node.this),
    exp.Sub: _arithmetic,
    exp.Subquery: _subquery,
    exp.Substring: _substring,
    exp.Table: rewrite_table,
    exp.Trim: _trim,
    exp.Union: rewrite_set_operation,
    exp.Xor: lambda node: call("xor", node.this, node.expression),
}
