"""Rewrites comparisons, whose operands are rewritten already: MySQL looks at both values to choose how it compares."""

from __future__ import annotations

from sqlglot import exp

from cmat_env.envs.database.mysql.errors import MySQLError
from cmat_env.envs.database.mysql.functions.patterns import is_pattern
from cmat_env.envs.database.mysql.nodes import call, exists_in, is_binary, single_column

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "eq",
    exp.NEQ: "ne",
    exp.LT: "lt",
    exp.LTE: "le",
    exp.GT: "gt",
    exp.GTE: "ge",
}
_MOST_MEMBERS = 100  # SQLite calls functions with 127 arguments at most
_OPPOSITES = {"eq": "ne", "ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}


def rewrite_comparison(node: exp.Binary) -> exp.Expr:
    """=, <>, <, <=, > and >=, also with ANY and ALL."""
    left, right = node.this, node.expression
    if isinstance(left, exp.Tuple) or isinstance(right, exp.Tuple):
        return node  # SQLite compares rows by itself, under the columns' collation
    name = COMPARISONS[type(node)]
    if isinstance(right, (exp.Any, exp.All)):
        return _quantified(name, left, right)
    left, right = _unquoted(left, right), _unquoted(right, left)
    return call(f"bin_{name}" if is_binary(left) or is_binary(right) else name, left, right)


def _unquoted(node: exp.Expr, other: exp.Expr) -> exp.Expr:
    """What is extracted from JSON, as it compares with what is not: "x" equals 'x'."""
    extracted = [isinstance(each, exp.Anonymous) and each.this == "my_json_extract" for each in (node, other)]
    return call("json_unquote", node) if extracted == [True, False] else node


def _quantified(name: str, left: exp.Expr, right: exp.Any | exp.All) -> exp.Expr:
    query, value = right.this, exp.Column(this=exp.to_identifier("my_y"))
    if name == "eq" and isinstance(right, exp.Any):
        return call("in_members", left, single_column(query, "members"))
    if name == "ne" and isinstance(right, exp.All):
        return exp.Not(this=call("in_members", left, single_column(query, "members")))
    if isinstance(right, exp.Any):
        return exists_in(query, call(name, left, value))
    return exp.Not(this=exists_in(query, call(_OPPOSITES[name], left, value)))


def _negatable(node: exp.Expr, positive: exp.Expr) -> exp.Expr:
    """sqlglot puts a NOT into some nodes as `negate`; losing it would turn the query round."""
    return exp.Paren(this=exp.Not(this=positive)) if node.args.get("negate") else positive


def rewrite_in(node: exp.In) -> exp.Expr:
    """IN of a list or of a query."""
    query = node.args.get("query")
    if isinstance(node.this, exp.Tuple):
        return node
    if query is not None:
        return _negatable(node, call("in_members", node.this, single_column(query, "members")))
    members = node.expressions
    parts: list[exp.Expr] = [
        call("in", node.this.copy(), *members[start : start + _MOST_MEMBERS])
        for start in range(0, len(members), _MOST_MEMBERS)
    ]
    test = parts[0]
    for part in parts[1:]:
        test = exp.Or(this=test, expression=part)
    return _negatable(node, exp.Paren(this=test) if len(parts) > 1 else test)


def rewrite_between(node: exp.Between) -> exp.Expr:
    """BETWEEN."""
    return _negatable(node, call("between", node.this, node.args["low"], node.args["high"]))


def rewrite_like(node: exp.Like) -> exp.Expr:
    """LIKE."""
    binary = is_binary(node.this) or is_binary(node.expression)
    return _negatable(node, call("bin_like" if binary else "like", node.this, node.expression))


def rewrite_escape(node: exp.Escape) -> exp.Expr:
    """ESCAPE behind a LIKE."""
    rewritten: exp.Expr = node.this
    like = rewritten.find(exp.Anonymous)
    if like is not None:
        like.append("expressions", node.expression)
    return rewritten


def rewrite_regexp(node: exp.RegexpLike) -> exp.Expr:
    """REGEXP and RLIKE."""
    pattern = node.expression
    if isinstance(pattern, exp.Literal) and not is_pattern(pattern.name):
        raise MySQLError(3685, "Illegal argument to a regular expression.")
    return _negatable(node, call("regexp_like", node.this, pattern))
