"""SHOW, DESCRIBE, EXPLAIN and USE: answered from the tables that there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cmat_env.envs.database.backend import Result, Row
from cmat_env.envs.database.mysql.errors import DATABASE, MySQLError, syntax_error, unknown_column, unknown_table
from cmat_env.envs.database.mysql.functions.patterns import like
from cmat_env.envs.database.mysql.functions.system import VERSION

Catalog = Mapping[str, tuple[str, ...]]

_NAME = r"(`(?:[^`]|``)+`|[^\s`';().]+)"
_LIKE = r"(?:\s+LIKE\s+(?:'([^']*)'|\"([^\"]*)\"))?"
_FROM = rf"(?:\s+(?:FROM|IN)\s+{_NAME})?"
_VARIABLES = {
    "autocommit": "ON",
    "character_set_server": "utf8mb4",
    "collation_server": "utf8mb4_0900_ai_ci",
    "lower_case_table_names": "0",
    "sql_mode": "ONLY_FULL_GROUP_BY",
    "version": VERSION,
}
_FIELD_COLUMNS = ("Field", "Type", "Null", "Key", "Default", "Extra")


def answer(sql: str, catalog: Catalog) -> Result | None:
    """The answer to a statement of this kind, or None if it is of another kind.

    Raises:
        MySQLError: a table, column or database is unknown, or the statement is malformed.
    """
    statement = sql.strip().rstrip(";").strip()
    for pattern, handler in _HANDLERS:
        if match := pattern.fullmatch(statement):
            return handler(match, catalog)
    if re.match(r"(?:SHOW|DESC|DESCRIBE|EXPLAIN|USE)\b", statement, re.IGNORECASE):
        raise syntax_error(sql, len(sql) - len(sql.lstrip()) + len(statement.split(maxsplit=1)[0]) + 1)
    return None


def _unquote(name: str | None) -> str:
    if name is None:
        return ""
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def _matching(names: list[str], match: re.Match[str]) -> list[str]:
    """Those that the LIKE of the statement takes; its groups are the last two."""
    *_, single, double = match.groups()
    pattern = single if single is not None else double
    return names if pattern is None else [each for each in names if like(each, pattern)]


def _check_database(name: str | None) -> None:
    if name is not None and _unquote(name).lower() not in (DATABASE, "information_schema"):
        raise MySQLError(1049, f"Unknown database '{_unquote(name)}'")


def _tables(match: re.Match[str], catalog: Catalog) -> Result:
    full, database = match.group(1), match.group(2)
    _check_database(database)
    names = _matching(list(catalog), match)
    if full:
        return Result(tuple((each, "BASE TABLE") for each in names), (f"Tables_in_{DATABASE}", "Table_type"))
    return Result(tuple((each,) for each in names), (f"Tables_in_{DATABASE}",))


def _databases(match: re.Match[str], _catalog: Catalog) -> Result:
    return Result(tuple((each,) for each in _matching([DATABASE, "information_schema"], match)), ("Database",))


def _columns_of(name: str, catalog: Catalog) -> tuple[str, ...]:
    parts = [_unquote(each) for each in re.findall(r"`(?:[^`]|``)+`|[^.]+", name)]
    if len(parts) > 1:
        _check_database(parts[0])
    table = parts[-1]
    if table not in catalog:
        raise unknown_table(table)
    return catalog[table]


def _show_columns(match: re.Match[str], catalog: Catalog) -> Result:
    full, table = match.group(1), match.group(2)
    names = _matching(list(_columns_of(table, catalog)), match)
    if full:
        columns = ("Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment")
        rows: list[Row] = [
            (each, "text", "utf8mb4_0900_ai_ci", "YES", "", None, "", "select,insert,update,references", "")
            for each in names
        ]
        return Result(tuple(rows), columns)
    return Result(tuple((each, "text", "YES", "", None, "") for each in names), _FIELD_COLUMNS)


def _describe(match: re.Match[str], catalog: Catalog) -> Result:
    table, column = match.group(1), match.group(2)
    names = _columns_of(table, catalog)
    if column is not None:
        wanted = _unquote(column.strip("'\""))
        names = tuple(each for each in names if each.lower() == wanted.lower() or like(each, wanted))
        if not names and "%" not in wanted:
            raise unknown_column(wanted, _unquote(table))
    return Result(tuple((each, "text", "YES", "", None, "") for each in names), _FIELD_COLUMNS)


def _create_table(match: re.Match[str], catalog: Catalog) -> Result:
    columns = _columns_of(match.group(1), catalog)
    name = _unquote(match.group(1).rsplit(".", maxsplit=1)[-1] if not match.group(1).endswith("`") else match.group(1))
    lines = ",\n".join(f"  `{each.replace('`', '``')}` text" for each in columns)
    statement = f"CREATE TABLE `{name}` (\n{lines}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"
    return Result(((name, statement),), ("Table", "Create Table"))


def _index(match: re.Match[str], catalog: Catalog) -> Result:
    _columns_of(match.group(1), catalog)
    return Result((), ("Table", "Non_unique", "Key_name", "Seq_in_index", "Column_name"))


def _status(match: re.Match[str], catalog: Catalog) -> Result:
    names = _matching(list(catalog), match)
    return Result(tuple((each, "InnoDB", 10, "Dynamic") for each in names), ("Name", "Engine", "Version", "Row_format"))


def _variables(match: re.Match[str], _catalog: Catalog) -> Result:
    names = _matching(list(_VARIABLES), match)
    return Result(tuple((each, _VARIABLES[each]) for each in names), ("Variable_name", "Value"))


def _nothing(*_: object) -> Result:
    return Result()


def _use(match: re.Match[str], _catalog: Catalog) -> Result:
    _check_database(match.group(1))
    return Result()


_Handler = Callable[[re.Match[str], Catalog], Result]
_TABLE = rf"({_NAME[1:-1]}(?:\s*\.\s*{_NAME[1:-1]})?)"
_HANDLERS: tuple[tuple[re.Pattern[str], _Handler], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), handler)
    for pattern, handler in (
        (rf"SHOW\s+(FULL\s+)?TABLES{_FROM}{_LIKE}", _tables),
        (rf"SHOW\s+(?:DATABASES|SCHEMAS){_LIKE}", _databases),
        (
            rf"SHOW\s+(FULL\s+)?(?:COLUMNS|FIELDS)\s+(?:FROM|IN)\s+{_TABLE}(?:\s+(?:FROM|IN)\s+{_NAME})?{_LIKE}",
            _show_columns,
        ),
        (rf"SHOW\s+CREATE\s+TABLE\s+{_TABLE}", _create_table),
        (rf"SHOW\s+(?:INDEX|INDEXES|KEYS)\s+(?:FROM|IN)\s+{_TABLE}", _index),
        (rf"SHOW\s+TABLE\s+STATUS{_FROM}{_LIKE}", _status),
        (rf"SHOW\s+(?:GLOBAL\s+|SESSION\s+)?VARIABLES{_LIKE}", _variables),
        (r"SHOW\s+(?:COUNT\(\*\)\s+)?(?:WARNINGS|ERRORS)(?:\s+LIMIT\s+\d+)?", _nothing),
        (r"SHOW\s+(?:FULL\s+)?PROCESSLIST|SHOW\s+TRIGGERS|SHOW\s+(?:PROCEDURE|FUNCTION)\s+STATUS", _nothing),
        (rf"(?:DESCRIBE|DESC|EXPLAIN)\s+{_TABLE}(?:\s+({_NAME[1:-1]}|'[^']*'))?", _describe),
        (rf"USE\s+{_NAME}", _use),
    )
)
