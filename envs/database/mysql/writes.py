"""Rewrites statements that change data: INSERT, UPDATE, DELETE, TRUNCATE."""

from __future__ import annotations

from sqlglot import exp

from cmat_env.envs.database.mysql.errors import MySQLError, malformed
from cmat_env.envs.database.mysql.nodes import call, is_number, text
from cmat_env.envs.database.mysql.queries import rewrite_order, rewrite_table
from cmat_env.envs.database.mysql.rewrite import rewrite
from cmat_env.envs.database.mysql.scales import quotient_places, scale
from cmat_env.envs.database.mysql.values import text as written


def stored(node: exp.Expr) -> exp.Expr:
    """The value of an expression as a text column keeps it; number literals keep the look that MySQL gives them."""
    if isinstance(node, exp.Paren):
        return stored(node.this)
    if isinstance(node, exp.Null) or _is_default(node):
        return exp.Null()
    if isinstance(node, exp.Literal):
        return text(_literal(node.name)) if is_number(node) else rewrite(node)
    if isinstance(node, exp.Neg) and is_number(node.this):
        number = _literal(node.this.name)
        return text(f"-{number}" if number.strip("0.") else number)
    if isinstance(node, exp.Boolean):
        return text(str(int(node.this)))
    if isinstance(node, exp.Div) and (digits := quotient_places(node)) is not None:
        return call("quotient", rewrite(node.this), rewrite(node.expression), exp.Literal.number(digits))
    places = scale(node)
    changed = rewrite(node)
    if isinstance(changed, exp.Column):
        return changed
    return call("store", changed, exp.Literal.number(places) if places is not None and places > 0 else None)


def _is_default(node: exp.Expr) -> bool:
    if isinstance(node, exp.Var):
        return node.name.upper() == "DEFAULT"
    return isinstance(node, exp.Column) and node.name.upper() == "DEFAULT" and not node.this.quoted


def _literal(number: str) -> str:
    """A number literal as a text column keeps it: 007 is 7, 1.50 stays, 1e3 is 1000."""
    if "e" in number.lower():
        return written(float(number))
    whole, point, places = number.partition(".")
    return (whole.lstrip("0") or "0") + (f".{places}" if point and places else "")


def rewrite_insert(node: exp.Insert) -> list[exp.Expr]:
    """INSERT [IGNORE] and REPLACE; there are no keys, so nothing is a duplicate."""
    names = [each.name for each in node.this.expressions] if isinstance(node.this, exp.Schema) else []
    for position, name in enumerate(names):
        if name.lower() in map(str.lower, names[:position]):
            raise MySQLError(1110, f"Column '{name}' specified twice")
    target = node.this.this if isinstance(node.this, exp.Schema) else node.this
    rewrite_table(target)
    source = node.expression
    if isinstance(source, exp.Values):
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in source.expressions]
        source = exp.Values(expressions=[exp.Tuple(expressions=[stored(cell) for cell in row]) for row in rows])
        if any(not row for row in rows):  # VALUES () fills in the defaults
            source = None
    elif source is not None:
        source = rewrite(source.unnest() if isinstance(source, exp.Subquery) else source)
        for select in _arms(source):
            select.set("expressions", [_stored_projection(each) for each in select.expressions])
    insert = exp.Insert(this=node.this, expression=source, default=source is None, with_=node.args.get("with_"))
    return [insert]


def _arms(query: exp.Expr) -> list[exp.Select]:
    """The parts of a UNION, or the query itself."""
    if isinstance(query, exp.SetOperation):
        return _arms(query.this) + _arms(query.expression)
    return [query] if isinstance(query, exp.Select) else []


def _stored_projection(node: exp.Expr) -> exp.Expr:
    inner = node.this if isinstance(node, exp.Alias) else node
    if isinstance(inner, (exp.Star, exp.Column)):
        return node
    return call("store", inner.copy())


def rewrite_update(node: exp.Update) -> list[exp.Expr]:
    """UPDATE of one table, with ORDER BY and LIMIT, or of one table joined to others."""
    table = node.this
    joins = table.args.get("joins") or []
    table.set("joins", None)
    names = {table.alias_or_name.lower()}
    assignments = _assignments(node.expressions, names if not joins else None)
    where = node.args.get("where")
    condition = rewrite(where.this) if where is not None else None
    update = exp.Update(this=rewrite_table(table), expressions=assignments, with_=node.args.get("with_"))
    if joins:
        sources = [join.this for join in joins]
        conditions = [rewrite(join.args["on"]) for join in joins if join.args.get("on") is not None]
        condition = _both([*conditions, condition])
        first = rewrite(sources[0])
        update.set("from_", exp.From(this=first))
        first.set("joins", [exp.Join(this=rewrite(each)) for each in sources[1:]] or None)
    elif node.args.get("limit") is not None:
        condition = _chosen(table, condition, node)
    if condition is not None:
        update.set("where", exp.Where(this=condition))
    return [update]


def _assignments(pairs: list[exp.Expr], names: set[str] | None) -> list[exp.Expr]:
    """MySQL assigns from left to right: a column assigned before shows its new value."""
    done: dict[str, exp.Expr] = {}
    result: list[exp.Expr] = []
    for pair in pairs:
        if not isinstance(pair, exp.EQ) or not isinstance(pair.this, exp.Column):
            raise malformed(pair.sql("mysql"))
        value = pair.expression
        if names is not None:
            value = value.transform(lambda each: _latest(each, done, names or set()))
        done[pair.this.name.lower()] = exp.Paren(this=value.copy())
        result.append(exp.EQ(this=exp.Column(this=pair.this.this), expression=stored(value)))
    return result


def _latest(node: exp.Expr, done: dict[str, exp.Expr], names: set[str]) -> exp.Expr:
    if isinstance(node, exp.Column) and (not node.table or node.table.lower() in names):
        return done.get(node.name.lower(), node).copy() if node.name.lower() in done else node
    return node


def _both(conditions: list[exp.Expr | None]) -> exp.Expr | None:
    parts: list[exp.Expr] = [exp.Paren(this=each) for each in conditions if each is not None]
    result = parts[0] if parts else None
    for part in parts[1:]:
        result = exp.And(this=result, expression=part)
    return result


def _chosen(table: exp.Expr, condition: exp.Expr | None, node: exp.Expr) -> exp.Expr:
    """`_rowid_ IN (SELECT _rowid_ FROM table WHERE ... ORDER BY ... LIMIT ...)`."""
    row = exp.Column(this=exp.to_identifier("_rowid_"))
    order = node.args.get("order")
    select = exp.Select(expressions=[row], from_=exp.From(this=table.copy()), limit=node.args["limit"].copy())
    if condition is not None:
        select.set("where", exp.Where(this=condition))
    if order is not None:
        select.set("order", exp.Order(expressions=[rewrite(each) for each in order.expressions]))
        rewrite_order(select)
    return exp.In(this=row.copy(), query=exp.Subquery(this=select))


def rewrite_delete(node: exp.Delete) -> list[exp.Expr]:
    """DELETE from one table, with ORDER BY and LIMIT, or from one of several joined tables."""
    if not isinstance(node.this, exp.Table):
        raise malformed(node.sql("mysql"))
    table, targets, using = node.this, node.args.get("tables") or [], node.args.get("using") or []
    where = node.args.get("where")
    joins = table.args.get("joins") or []
    if not joins and not using and not targets:
        condition = rewrite(where.this) if where is not None else None
        if node.args.get("limit") is not None:
            condition = _chosen(rewrite_table(table), condition, node)
        delete = exp.Delete(this=rewrite_table(table))
        if condition is not None:
            delete.set("where", exp.Where(this=condition))
        return [delete]
    if using:
        targets, table, joins = [table], using[0], [*(using[0].args.get("joins") or []), *map(_join, using[1:])]
    return _delete_joined(table, targets or [table], joins, where)


def _join(table: exp.Expr) -> exp.Expr:
    return exp.Join(this=table)


def _delete_joined(
    table: exp.Expr, targets: list[exp.Expr], joins: list[exp.Expr], where: exp.Expr | None
) -> list[exp.Expr]:
    if len(targets) != 1:
        raise MySQLError(1235, "This version of MySQL doesn't yet support 'DELETE from several tables'")
    name = targets[0].alias_or_name
    table.set("joins", None)
    sources = {
        each.alias_or_name: each.name for each in [table, *(join.this for join in joins)] if isinstance(each, exp.Table)
    }
    if name not in sources:
        raise MySQLError(1109, f"Unknown table '{name}' in MULTI DELETE")
    row = exp.Column(this=exp.to_identifier("_rowid_"), table=exp.to_identifier(name))
    select = exp.Select(expressions=[row], from_=exp.From(this=table), joins=joins)
    if where is not None:
        select.set("where", where)
    chosen = exp.In(this=exp.Column(this=exp.to_identifier("_rowid_")), query=exp.Subquery(this=rewrite(select)))
    return [exp.Delete(this=exp.Table(this=exp.to_identifier(sources[name])), where=exp.Where(this=chosen))]


def rewrite_truncate(node: exp.TruncateTable) -> list[exp.Expr]:
    """TRUNCATE TABLE."""
    return [exp.Delete(this=rewrite_table(table)) for table in node.expressions]
