"""information_schema: its tables are made when they are asked for, from the columns that there are."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp, parse_one

from cmat_env.envs.database.mysql.errors import DATABASE, MySQLError

_TABLES = ("TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE", "ENGINE", "TABLE_COLLATION", "TABLE_COMMENT")
_COLUMNS = (
    "TABLE_CATALOG",
    "TABLE_SCHEMA",
    "TABLE_NAME",
    "COLUMN_NAME",
    "ORDINAL_POSITION",
    "COLUMN_DEFAULT",
    "IS_NULLABLE",
    "DATA_TYPE",
    "CHARACTER_MAXIMUM_LENGTH",
    "COLUMN_TYPE",
    "COLUMN_KEY",
    "EXTRA",
    "COLUMN_COMMENT",
)
_SCHEMATA = ("CATALOG_NAME", "SCHEMA_NAME", "DEFAULT_CHARACTER_SET_NAME", "DEFAULT_COLLATION_NAME")
_COLLATION = "utf8mb4_0900_ai_ci"


def is_information(table: exp.Table) -> bool:
    """Is it a table of information_schema?"""
    return table.db.lower() == "information_schema"


def information_table(table: exp.Table, catalog: Mapping[str, tuple[str, ...]]) -> exp.Subquery:
    """A derived table in the place of a table of information_schema."""
    name = table.name.upper()
    header: tuple[str, ...]
    rows: list[tuple[object, ...]]
    if name == "TABLES":
        header, rows = _TABLES, [("def", DATABASE, each, "BASE TABLE", "InnoDB", _COLLATION, "") for each in catalog]
    elif name == "COLUMNS":
        header = _COLUMNS
        rows = [
            ("def", DATABASE, each, column, position, None, "YES", "text", 65535, "text", "", "", "")
            for each, columns in catalog.items()
            for position, column in enumerate(columns, 1)
        ]
    elif name == "SCHEMATA":
        header, rows = _SCHEMATA, [("def", each, "utf8mb4", _COLLATION) for each in ("information_schema", DATABASE)]
    elif name in ("STATISTICS", "KEY_COLUMN_USAGE", "TABLE_CONSTRAINTS", "VIEWS", "ROUTINES", "TRIGGERS"):
        header, rows = ("TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "CONSTRAINT_NAME"), []
    else:
        raise MySQLError(1109, f"Unknown table '{table.name}' in information_schema")
    selects = [
        "SELECT " + ", ".join(f"{_literal(cell)} AS {column}" for cell, column in zip(row, header, strict=True))
        for row in rows[:1] or [(None,) * len(header)]
    ]
    values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows[1:])
    query = selects[0] + ("" if rows else " WHERE 0") + (f" UNION ALL VALUES {values}" if values else "")
    return exp.Subquery(
        this=parse_one(query, read="sqlite"),
        alias=exp.TableAlias(this=exp.to_identifier(table.alias or name.lower(), quoted=True)),
    )


def _literal(cell: object) -> str:
    if cell is None:
        return "NULL"
    return str(cell) if isinstance(cell, int) else "'" + str(cell).replace("'", "''") + "'"
