"""Translates one statement of MySQL into statements of SQLite, with what has to be checked against the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlglot import exp

from cmat_env.envs.database.mysql.checks import ServerName, check
from cmat_env.envs.database.mysql.errors import MySQLError, syntax_error, unknown_column, unknown_table
from cmat_env.envs.database.mysql.grammar import generate, parse
from cmat_env.envs.database.mysql.grouping import check_grouping, is_word
from cmat_env.envs.database.mysql.information import information_table, is_information
from cmat_env.envs.database.mysql.nesting import too_deep
from cmat_env.envs.database.mysql.rewrite import rewrite
from cmat_env.envs.database.mysql.scales import scale
from cmat_env.envs.database.mysql.schema import rewrite_alter, rewrite_create, rewrite_drop
from cmat_env.envs.database.mysql.writes import rewrite_delete, rewrite_insert, rewrite_truncate, rewrite_update

Catalog = Mapping[str, tuple[str, ...]]
"""The columns of every table, by its name."""

_ROW_NAMES = frozenset({"rowid", "oid", "_rowid_"})
_CLAUSES: dict[type[exp.Expr], str] = {
    exp.Where: "where clause",
    exp.Order: "order clause",
    exp.Group: "group statement",
    exp.Having: "having clause",
    exp.Join: "on clause",
    exp.Select: "field list",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """What to run, and what must hold before it is run.

    Attributes:
        statements: in SQLite's SQL, to be run in order.
        tables: names of tables that must exist, in MySQL's way: case matters.
        scales: by output column, the decimal places of a DECIMAL; None or below 0 for anything else.
        conditions: aliases used in WHERE, which MySQL does not know there.
        row_names: columns with the names that SQLite gives to its row numbers.
        changes_schema: the tables may be others afterwards.
        asks_schema: it reads information_schema, and holds for one state of the schema only.
    """

    statements: tuple[str, ...]
    tables: tuple[str, ...] = ()
    scales: tuple[int | None, ...] = ()
    conditions: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()
    changes_schema: bool = False
    asks_schema: bool = False


@lru_cache(maxsize=4096)
def translate(sql: str, server: ServerName) -> Translation | MySQLError:
    """The translation of one statement, or the error that the server gives for it, whatever the tables are."""
    try:
        tree = parse(sql)
        if any(map(is_information, tree.find_all(exp.Table))):
            return Translation((), asks_schema=True)
        return _translate(tree, sql, server)
    except MySQLError as error:
        return error.with_traceback(None)
    except RecursionError:
        return too_deep()


def translate_for(sql: str, catalog: Catalog, server: ServerName) -> Translation:
    """The translation of a statement that reads information_schema, for one state of the schema.

    Raises:
        MySQLError: the error that MySQL gives.
    """
    tree = parse(sql)
    for table in list(tree.find_all(exp.Table)):
        if is_information(table):
            table.replace(information_table(table, catalog))
    return _translate(tree, sql, server)


def _translate(tree: exp.Expr, sql: str, server: ServerName) -> Translation:
    while isinstance(tree, exp.Subquery) and not tree.alias:
        tree = tree.this
    check(tree, sql, server=server)
    check_grouping(tree)
    schema = _SCHEMA.get(type(tree))
    if schema is not None:
        return Translation(tuple(schema(tree)), changes_schema=True)
    tables, conditions = _tables(tree), _conditions(tree)
    rows = tuple(sorted({each.name for each in tree.find_all(exp.Column) if each.name.lower() in _ROW_NAMES}))
    writes = _WRITES.get(type(tree))
    if writes is not None:
        return Translation(tuple(map(generate, writes(tree))), tables, (), conditions, rows)
    if not isinstance(tree, exp.Query):
        raise _unsupported(tree, sql)
    scales = tuple(scale(each) for each in tree.expressions) if isinstance(tree, exp.Select) else ()
    return Translation((generate(rewrite(tree)),), tables, scales, conditions, rows)


_SCHEMA: dict[type[exp.Expr], Callable[[Any], list[str]]] = {
    exp.Alter: rewrite_alter,
    exp.Create: rewrite_create,
    exp.Drop: rewrite_drop,
}
_WRITES: dict[type[exp.Expr], Callable[[Any], list[exp.Expr]]] = {
    exp.Delete: rewrite_delete,
    exp.Insert: rewrite_insert,
    exp.TruncateTable: rewrite_truncate,
    exp.Update: rewrite_update,
}


_FOR_ADMINISTRATORS = frozenset(
    {"CALL", "CHANGE", "CLONE", "DO", "EXECUTE", "GRANT", "INSTALL", "KILL", "PREPARE", "PURGE", "RESET", "REVOKE"}
)


def _unsupported(tree: exp.Expr, sql: str) -> MySQLError:
    word = tree.key.upper() if isinstance(tree, (exp.Grant, exp.Revoke, exp.Kill)) else tree.name.upper()
    if word not in _FOR_ADMINISTRATORS:
        return syntax_error(sql, 0)
    return MySQLError(1227, f"Access denied; you need more privileges for this operation ({word})")


def _tables(tree: exp.Expr) -> tuple[str, ...]:
    common = {each.alias_or_name for each in tree.find_all(exp.CTE)}
    names = [each.name for each in tree.find_all(exp.Table) if each.name and each.name not in common]
    if isinstance(tree, exp.Delete):  # DELETE alias FROM table AS alias
        aliases = {each.alias for each in tree.find_all(exp.Table) if each.alias}
        names = [each for each in names if each not in aliases]
    return tuple(dict.fromkeys(each for each in names if each.lower() != "dual"))


def _conditions(tree: exp.Expr) -> tuple[str, ...]:
    """Names in WHERE that are aliases of the same query."""
    found: list[str] = []
    for select in tree.find_all(exp.Select):
        where = select.args.get("where")
        aliases = {each.alias.lower() for each in select.expressions if isinstance(each, exp.Alias)}
        if where is None or not aliases:
            continue
        for column in where.find_all(exp.Column):
            if not column.table and column.name.lower() in aliases and column.find_ancestor(exp.Select) is select:
                found.append(column.name)
    return tuple(dict.fromkeys(found))


def unresolved(sql: str, catalog: Catalog) -> MySQLError | None:
    """The first table or column of a statement that does not exist: MySQL names it before it looks at the grouping."""
    tree = parse(sql)
    tables = _tables(tree)
    for name in tables:
        if name not in catalog:
            return unknown_table(name)
    known = {column.lower() for name in tables for column in catalog[name]}
    known |= {each.alias.lower() for each in tree.find_all(exp.Alias, exp.TableAlias)}
    known |= {column.name.lower() for each in tree.find_all(exp.TableAlias) for column in each.columns}
    for column in tree.find_all(exp.Column):
        if column.name.lower() not in known and not column.is_star and not is_word(column):
            return missing_column(sql, column.name)
    return None


def missing_column(sql: str, name: str) -> MySQLError:
    """1054 for a column that no table has, with the clause that it stands in."""
    wanted = name.rsplit(".", maxsplit=1)[-1].lower()
    for column in parse(sql).find_all(exp.Column):
        if column.name.lower() != wanted:
            continue
        clause = column.find_ancestor(*_CLAUSES)
        return unknown_column(name, _CLAUSES[type(clause)] if clause is not None else "field list")
    return unknown_column(name, "field list")
