"""Rewrites whole queries: what is selected, grouped and ordered, set operations, and names of tables."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from cmat_env.envs.database.mysql.errors import DATABASE, MySQLError
from cmat_env.envs.database.mysql.functions.aggregates import NAMES as AGGREGATES
from cmat_env.envs.database.mysql.nodes import call, collated, is_number
from cmat_env.envs.database.mysql.scales import scale

_DROPPED = ("locks", "hint", "operation_modifiers", "into")
_PLAIN = (exp.Column, exp.Star, exp.Alias, exp.Literal)


def rewrite_query(select: exp.Select, rewrite: Callable[[exp.Expr], exp.Expr]) -> exp.Select:
    """A SELECT, from its parts up."""
    projections = [_projection(each, rewrite) for each in select.expressions]
    select.set("expressions", [])
    for name, value in list(select.args.items()):
        if isinstance(value, exp.Expr):
            select.set(name, rewrite(value))
        elif isinstance(value, list) and name != "expressions":
            select.set(name, [rewrite(each) if isinstance(each, exp.Expr) else each for each in value])
    distinct = select.args.get("distinct") is not None
    select.set("expressions", [_distinct(each) for each in projections] if distinct else projections)
    for name in _DROPPED:
        select.set(name, None)
    _group(select)
    _filter_without_groups(select)
    rewrite_order(select)
    source = select.args.get("from_")
    if source is not None and isinstance(source.this, exp.Table) and source.this.name.lower() == "dual":
        select.set("from_", None)
    return select


def _projection(node: exp.Expr, rewrite: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    if isinstance(node, exp.Paren) and isinstance(node.this, exp.Column):
        node = node.this
    places = scale(node)
    name = None if isinstance(node, _PLAIN) else node.sql("mysql")
    changed = rewrite(node)
    if places is not None and places > 0:
        inner = changed.this if isinstance(changed, exp.Alias) else changed
        if not is_number(inner):
            inner = call("rounded", inner.copy(), exp.Literal.number(places))
        changed = exp.Alias(this=inner, alias=changed.args["alias"]) if isinstance(changed, exp.Alias) else inner
    if name is not None and len(name) < 200:
        changed = exp.Alias(this=changed, alias=exp.to_identifier(name, quoted=True))
    return changed


def _distinct(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Alias) and not isinstance(node.this, exp.Column):
        return exp.Alias(this=collated(node.this.copy()), alias=node.args["alias"])
    return node


def _group(select: exp.Select) -> None:
    group = select.args.get("group")
    if group is None:
        return
    if group.args.get("rollup") or group.args.get("cube") or group.args.get("grouping_sets"):
        raise MySQLError(1235, "This version of MySQL doesn't yet support 'WITH ROLLUP'")
    group.set("expressions", [collated(each.copy()) for each in group.expressions])


def _filter_without_groups(select: exp.Select) -> None:
    """MySQL takes HAVING without groups and aggregates for a second WHERE."""
    having = select.args.get("having")
    if having is None or select.args.get("group") is not None:
        return
    names = {str(each.this).upper().removeprefix("MY_") for each in select.find_all(exp.Anonymous)}
    if names & AGGREGATES or "COUNT_DISTINCT" in names:
        return
    where = select.args.get("where")
    condition = exp.Paren(this=having.this)
    select.set("having", None)
    select.set(
        "where", exp.Where(this=exp.And(this=exp.Paren(this=where.this), expression=condition) if where else condition)
    )


def rewrite_order(node: exp.Expr) -> None:
    """Order by the collation: texts that are no columns have none of their own."""
    order = node.args.get("order")
    if order is None:
        return
    for each in order.expressions:
        each.set("nulls_first", not each.args.get("desc"))  # NULL is the smallest; without this the writer puts it last
        each.set("this", collated(each.this.copy()))


def rewrite_set_operation(node: exp.SetOperation) -> exp.Expr:
    """UNION and its kind: SQLite allows no parentheses round the parts."""
    for name in ("this", "expression"):
        part = node.args[name]
        if not isinstance(part, exp.Subquery):
            continue
        inner = part.this
        if isinstance(inner, exp.Select) and not any(inner.args.get(each) for each in ("order", "limit", "with_")):
            node.set(name, inner)
        else:
            node.set(name, _all_of(part.this))
    order = node.args.get("order")
    plain = order is None or all(
        isinstance(each.this, exp.Column) or is_number(each.this) for each in order.expressions
    )
    distinct = isinstance(node, exp.Union) and node.args.get("distinct") is not False and not _is_recursive(node)
    if plain and not distinct:
        rewrite_order(node)
        return node
    modifiers = {name: node.args.get(name) for name in ("order", "limit", "offset")}
    for name in modifiers:
        node.set(name, None)
    if distinct:  # of texts that are equal UNION would keep the last, DISTINCT keeps the first, as MySQL does
        node.set("distinct", False)
    outer = _all_of(node)  # SQLite orders a compound by its columns only
    outer.set("distinct", exp.Distinct() if distinct else None)
    for name, value in modifiers.items():
        outer.set(name, value)
    rewrite_order(outer)
    return outer


def _is_recursive(node: exp.SetOperation) -> bool:
    return isinstance(node.parent, exp.CTE) and bool(node.parent.parent and node.parent.parent.args.get("recursive"))


def _all_of(query: exp.Expr) -> exp.Select:
    """`SELECT * FROM (query)`."""
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Subquery(this=query.copy())))


def rewrite_table(node: exp.Table) -> exp.Expr:
    """A table by its name; the one database's name before it goes."""
    database = node.args.get("db")
    if database is not None:
        if database.name.lower() != DATABASE:
            raise MySQLError(1049, f"Unknown database '{database.name}'")
        node.set("db", None)
    for name in ("hints", "partition", "version"):
        node.set(name, None)
    return node
