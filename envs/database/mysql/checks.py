"""Refuses statements that sqlglot reads and SQLite would run, but MySQL does not accept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from sqlglot import exp

from cmat_env.envs.database.mysql.errors import DATABASE, MySQLError, syntax_error
from cmat_env.envs.database.mysql.functions.aggregates import NAMES as AGGREGATES
from cmat_env.envs.database.mysql.functions.mariadb import NOT_THERE, WINDOWS_THERE
from cmat_env.envs.database.mysql.words import CLOCK, RESERVED

ServerName = Literal["mysql", "mariadb"]
_FOREIGN = (exp.ILike, exp.Qualify, exp.Glob, exp.SimilarTo, exp.TableSample, exp.Fetch, exp.RegexpILike, exp.Lateral)


def check(tree: exp.Expr, sql: str, *, server: ServerName) -> None:
    """Raise the error that the server would give for the form of a statement."""
    for node in tree.walk():
        if isinstance(node, _FOREIGN):
            raise _near(sql, node.key)
        rule = _RULES.get(type(node))
        if rule is not None:
            rule(node, sql)
        elif isinstance(node, exp.Anonymous):
            _check_call(node, sql, server=server)
        elif isinstance(node, exp.Subquery):
            _check_derived(node, sql, server=server)
        elif server == "mariadb" and isinstance(node, (exp.JSONExtract, exp.JSONExtractScalar)):
            raise _near(sql, "->")
    if isinstance(tree, (exp.Update, exp.Delete)) and server == "mysql":
        _check_target(tree)


def _near(sql: str, word: str) -> MySQLError:
    return syntax_error(sql, max(0, sql.lower().find(word.lower())))


def _check_identifier(node: exp.Identifier, sql: str) -> None:
    """An unquoted reserved word; after a dot any word may stand."""
    if node.quoted or node.name.upper() not in RESERVED:
        return
    parent = node.parent
    word = node.name.upper()
    if isinstance(parent, exp.Column):
        qualified = parent.args.get("table") is not None and parent.this is node
        if qualified or word in CLOCK or word == "DEFAULT" or _is_unit(parent):
            return
    if isinstance(parent, exp.Table) and word == "DUAL":
        return
    if isinstance(parent, (exp.Column, exp.Table, exp.Alias, exp.TableAlias, exp.Schema, exp.ColumnDef, exp.CTE)):
        start = node.meta.get("start")
        raise syntax_error(sql, start) if isinstance(start, int) else _near(sql, node.name)


def _is_unit(column: exp.Column) -> bool:
    return isinstance(column.parent, exp.Anonymous) and str(column.parent.this).upper().startswith("TIMESTAMP")


def _check_count(node: exp.Limit | exp.Offset, sql: str) -> None:
    count = node.expression
    if not isinstance(count, exp.Literal) or count.is_string or not count.name.isdigit():
        raise _near(sql, "limit")


def _check_join(node: exp.Join, sql: str) -> None:
    if node.side == "FULL" or node.kind in ("SEMI", "ANTI"):
        raise _near(sql, node.side or node.kind)


def _check_select(node: exp.Select, sql: str) -> None:
    if not node.expressions:
        raise _near(sql, "from")


def _check_distinct(node: exp.Distinct, sql: str) -> None:
    if node.args.get("on") is not None:
        raise _near(sql, "on")


def _check_condition(node: exp.Where, _sql: str) -> None:
    for each in node.find_all(exp.Anonymous, exp.GroupConcat):
        name = "GROUP_CONCAT" if isinstance(each, exp.GroupConcat) else str(each.this).upper()
        if name in AGGREGATES and each.find_ancestor(exp.Select, exp.Where) is node:
            raise MySQLError(1111, "Invalid use of group function")


def _check_in(node: exp.In, _sql: str) -> None:
    query = node.args.get("query")
    if query is not None and query.this.args.get("limit") is not None:
        raise MySQLError(1235, "This version of MySQL doesn't yet support 'LIMIT & IN/ALL/ANY/SOME subquery'")
    if query is not None and not isinstance(node.this, exp.Tuple) and len(query.selects) > 1:
        raise MySQLError(1241, "Operand should contain 1 column(s)")


def _check_interval(node: exp.Interval, sql: str) -> None:
    """A span stands in a sum, in a call or in a window's frame; INTERVAL(...) of several values is a function."""
    if not isinstance(node.this, exp.Tuple) and isinstance(node.parent, (exp.Select, exp.Alias, exp.Predicate)):
        raise _near(sql, "interval")


def _check_call(node: exp.Anonymous, sql: str, *, server: ServerName) -> None:
    name = str(node.this).upper()
    if name in NOT_THERE[server]:
        raise MySQLError(1305, f"FUNCTION {DATABASE}.{node.this} does not exist")
    if server == "mariadb" and _is_malformed_there(node, name):
        raise _near(sql, str(node.this))


def _is_malformed_there(node: exp.Anonymous, name: str) -> bool:
    """What is not of MariaDB's grammar: its own window functions without OVER, a default for LAG, VALUES in a query."""
    if name in ("LAG", "LEAD"):
        return len(node.expressions) > 2
    if name == "VALUES":
        return node.find_ancestor(exp.OnConflict) is None
    return name in WINDOWS_THERE and not isinstance(node.parent, exp.Window)


def _check_derived(node: exp.Subquery, sql: str, *, server: ServerName) -> None:
    if isinstance(node.parent, (exp.From, exp.Join)) and not node.alias and isinstance(node.this, exp.Query):
        if server == "mariadb":
            raise _near(sql, ")")
        raise MySQLError(1248, "Every derived table must have its own alias")


def _check_target(tree: exp.Update | exp.Delete) -> None:
    """A statement may not read the table that it changes, but for inside a derived table; MariaDB has no such rule."""
    target = tree.this.name if isinstance(tree.this, exp.Table) else ""
    for table in tree.find_all(exp.Table):
        select = table.find_ancestor(exp.Select)
        if table is tree.this or table.name != target or select is None:
            continue
        if not _inside_derived(select, tree):
            raise MySQLError(1093, f"You can't specify target table '{target}' for update in FROM clause")


def _inside_derived(select: exp.Expr | None, tree: exp.Expr) -> bool:
    while select is not None and select is not tree:
        parent = select.parent
        if isinstance(select, exp.Subquery) and isinstance(parent, (exp.From, exp.Join)):
            return True
        select = parent
    return False


_RULES: dict[type[exp.Expr], Callable[[Any, str], None]] = {
    exp.Distinct: _check_distinct,
    exp.Identifier: _check_identifier,
    exp.In: _check_in,
    exp.Interval: _check_interval,
    exp.Join: _check_join,
    exp.Limit: _check_count,
    exp.Offset: _check_count,
    exp.Select: _check_select,
    exp.Where: _check_condition,
}
