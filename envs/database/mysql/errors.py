"""MySQL's errors: their numbers, states and texts, and what SQLite's messages become."""

from __future__ import annotations

import re

DATABASE = "db"
"""The name of the one database that an agent sees."""

_STATES = {  # HY000 for all others
    1038: "HY001",
    1044: "42000",
    1048: "23000",
    1049: "42000",
    1050: "42S01",
    1051: "42S02",
    1052: "23000",
    1054: "42S22",
    1055: "42000",
    1060: "42S21",
    1062: "23000",
    1064: "42000",
    1065: "42000",
    1066: "42000",
    1072: "42000",
    1091: "42000",
    1110: "42000",
    1109: "42S02",
    1113: "42000",
    1136: "21S01",
    1139: "42000",
    1140: "42000",
    1142: "42000",
    1146: "42S02",
    1153: "08S01",
    1222: "21000",
    1227: "42000",
    1235: "42000",
    1241: "21000",
    1242: "21000",
    1248: "42000",
    1305: "42000",
    1317: "70100",
    1582: "42000",
    3141: "22032",
    1630: "42000",
    1690: "22003",
}


class MySQLError(Exception):
    """An error as the agent sees it; it never leaves the backend."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"{code} ({_STATES.get(code, 'HY000')}): {message}")


def syntax_error(sql: str, position: int) -> MySQLError:
    """1064, near what begins at a position of the statement."""
    near = sql[position : position + 80]
    line = sql.count("\n", 0, position) + 1
    return MySQLError(
        1064,
        "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the "
        f"right syntax to use near '{near}' at line {line}",
    )


def malformed(near: str) -> MySQLError:
    """1064, where the position is not known."""
    return syntax_error(near, 0)


def unknown_table(name: str, database: str = DATABASE) -> MySQLError:
    """1146."""
    return MySQLError(1146, f"Table '{database}.{name}' doesn't exist")


def unknown_column(name: str, clause: str) -> MySQLError:
    """1054."""
    return MySQLError(1054, f"Unknown column '{name}' in '{clause}'")


_FROM_SQLITE: tuple[tuple[str, int, str], ...] = (
    (r"no such table: (?:main\.)?(.+)", 1146, f"Table '{DATABASE}.{{0}}' doesn't exist"),
    (
        r'(?:near|unrecognized token:) "(.*)"(?:: syntax error)?',
        1064,
        "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the "
        "right syntax to use near '{0}' at line 1",
    ),
    (r"no such view: (?:main\.)?(.+)", 1051, f"Unknown table '{DATABASE}.{{0}}'"),
    (r"table (.+) has no column named (.+)", 1054, "Unknown column '{1}' in 'field list'"),
    (r"no such index: (.+)", 1091, "Can't DROP '{0}'; check that column/key exists"),
    (r"ambiguous column name: (.+)", 1052, "Column '{0}' in field list is ambiguous"),
    (r"(?:table|view) .?(.+?).? already exists", 1050, "Table '{0}' already exists"),
    (r"duplicate column name: (.+)", 1060, "Duplicate column name '{0}'"),
    (r"table .+ has \d+ columns but \d+ values were supplied", 1136, "Column count doesn't match value count at row 1"),
    (r"\d+ values for \d+ columns", 1136, "Column count doesn't match value count at row 1"),
    (r"all VALUES must have the same number of terms", 1136, "Column count doesn't match value count at row 2"),
    (
        r"SELECTs to the left and right of .+ do not have the same number of result columns",
        1222,
        "The used SELECT statements have a different number of columns",
    ),
    (r"sub-select returns \d+ columns - expected (\d+)", 1241, "Operand should contain {0} column(s)"),
    (r"row value misused", 1241, "Operand should contain 1 column(s)"),
    (r"misuse of aggregate:? .*", 1111, "Invalid use of group function"),
    (r"misuse of window function .*", 3593, "You cannot use the window function in this context"),
    (r"UNIQUE constraint failed: .*", 1062, "Duplicate entry for key 'PRIMARY'"),
    (r"NOT NULL constraint failed: .*?([^.]+)", 1048, "Column '{0}' cannot be null"),
    (r"user-defined aggregate's 'finalize' method raised error", 1242, "Subquery returns more than 1 row"),
    (r"user-defined function raised exception", 3141, "Invalid JSON text in argument 1 to function json_extract"),
    (r"\w+\(\) may not be used as a window function", 1235, "This version of MySQL doesn't yet support that window"),
    (r"interrupted", 3024, "Query execution was interrupted, maximum statement execution time exceeded"),
    (r"database or disk is full", 1114, "The table is full"),
    (r"out of memory", 1038, "Out of memory; try a smaller result"),
    (r"string or blob too big", 1301, "Result was larger than max_allowed_packet (1000000) - truncated"),
    (r"(?:not authorized|access to .+ is prohibited).*", 1142, "command denied to user 'agent'@'localhost'"),
    (r"query string is too large", 1153, "Got a packet bigger than 'max_allowed_packet' bytes"),
    (r"at most \d+ tables in a join", 1116, "Too many tables; MySQL can only use 61 tables in a join"),
    (r"too many columns .*", 1117, "Too many columns"),
    (
        r"parser stack overflow|too many (?:terms in compound SELECT|arguments on function .+)"
        r"|Expression tree is too large.*",
        1436,
        "Thread stack overrun: the statement is nested too deeply",
    ),
    (r"user-defined aggregate's 'step' method raised error", 1038, "Out of memory; try a smaller result"),
    (r"(\d+)\w\w ORDER BY term out of range .*", 1054, "Unknown column '{0}' in 'order clause'"),
    (r"integer overflow", 1690, "BIGINT value is out of range"),
)
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), code, message) for pattern, code, message in _FROM_SQLITE)


def from_sqlite(message: str) -> MySQLError:
    """What MySQL would have said where SQLite said `message`."""
    for pattern, code, wording in _PATTERNS:
        if match := pattern.fullmatch(message):
            return MySQLError(code, wording.format(*match.groups()))
    return MySQLError(1105, f"Unknown error: {message}")
