"""GROUP BY ... WITH ROLLUP: the groups, then what is above them, as a UNION ALL of one query a level."""

from __future__ import annotations

from sqlglot import exp


def has_rollup(select: exp.Select) -> bool:
    """Is this the form that MySQL has, with the keys before WITH ROLLUP?"""
    group = select.args.get("group")
    kinds = (group.args.get("rollup") or []) if group is not None else []
    return bool(kinds) and not any(each.expressions for each in kinds) and bool(group and group.expressions)


def unrolled(select: exp.Select) -> exp.Select:
    """The same query without ROLLUP; where it names no order, totals stand below their groups."""
    keys = [_meant(each, select) for each in select.args["group"].expressions]
    outer = {name: select.args.get(name) for name in ("order", "limit", "offset", "with_")}
    for name in outer:
        select.set(name, None)
    union: exp.Expr = _level(select, keys, len(keys))
    for count in reversed(range(len(keys))):
        union = exp.Union(this=union, expression=_level(select, keys, count), distinct=False)
    alias = exp.TableAlias(this=exp.to_identifier("my_rollup"))
    result = exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Subquery(this=union, alias=alias)))
    for name, value in outer.items():
        result.set(name, value)
    if outer["order"] is None:
        result.set("order", _totals_last(select, keys))
    return result


def _meant(key: exp.Expr, select: exp.Select) -> exp.Expr:
    """What a key stands for: an expression, an alias of one, or its position."""
    if isinstance(key, exp.Literal) and key.name.isdigit():
        shown: exp.Expr = select.expressions[int(key.name) - 1].unalias()
        return shown
    for each in select.expressions:
        if isinstance(key, exp.Column) and isinstance(each, exp.Alias) and each.alias.lower() == key.name.lower():
            own = {column.name.lower() for column in each.find_all(exp.Column)}
            meant: exp.Expr = key if key.name.lower() in own else each.this  # a column of that name goes first
            return meant
    return key


def _level(select: exp.Select, keys: list[exp.Expr], count: int) -> exp.Select:
    """The query grouped by the first keys only; the others are NULL."""
    level = select.copy()
    gone = keys[count:]
    names = {each.alias.lower() for each in select.expressions if isinstance(each, exp.Alias) and each.this in gone}
    level.set("expressions", [_without(each, gone, set()) for each in level.expressions])
    having = level.args.get("having")
    if having is not None:
        having.set("this", _without(having.this, gone, names))
    kept = [each.copy() for each in keys[:count]]
    level.set("group", exp.Group(expressions=kept or [exp.Null()]))
    return level


def _without(node: exp.Expr, gone: list[exp.Expr], names: set[str]) -> exp.Expr:
    """The expression with NULL for the keys that are gone, but for those inside of aggregates' arguments."""
    if node in gone or (isinstance(node, exp.Column) and not node.table and node.name.lower() in names):
        return exp.Null() if not isinstance(node.parent, exp.Select) else _named_null(node)
    if isinstance(node, exp.Anonymous | exp.GroupConcat) and _is_aggregate(node):
        return node
    for name, value in list(node.args.items()):
        if isinstance(value, exp.Expr):
            node.set(name, _without(value, gone, names))
        elif isinstance(value, list):
            node.set(name, [_without(each, gone, names) if isinstance(each, exp.Expr) else each for each in value])
    return node


def _named_null(node: exp.Expr) -> exp.Expr:
    name = node.name if isinstance(node, exp.Column) else node.sql("mysql")
    return exp.Alias(this=exp.Null(), alias=exp.to_identifier(name, quoted=True))


def _is_aggregate(node: exp.Expr) -> bool:
    return isinstance(node, exp.GroupConcat) or str(node.this).upper() in {
        *("AVG", "COUNT", "MAX", "MIN", "STD", "STDDEV", "SUM", "VARIANCE"),
        *("STDDEV_POP", "STDDEV_SAMP", "VAR_POP", "VAR_SAMP"),
    }


def _totals_last(select: exp.Select, keys: list[exp.Expr]) -> exp.Order | None:
    """By every key that is shown, its NULL last."""
    shown = [each.unalias() for each in select.expressions]
    parts: list[exp.Expr] = []
    for key in keys:
        if key in shown:
            column = exp.Column(this=exp.to_identifier(_shown_name(select.expressions[shown.index(key)]), quoted=True))
            parts += [exp.Is(this=column, expression=exp.Null()), column.copy()]
    return exp.Order(expressions=[exp.Ordered(this=each) for each in parts]) if parts else None


def _shown_name(node: exp.Expr) -> str:
    return node.alias_or_name if isinstance(node, exp.Alias | exp.Column) else node.sql("mysql")
