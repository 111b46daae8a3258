"""The MySQL dialect: what queries give. Expected values were checked against MariaDB 10.11 and MySQL's manual."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from cmat_env.envs.database.backend import Table
from cmat_env.envs.database.sqlite import SQLiteBackend

TABLE = Table(
    "Sales 2020",
    ("Id", "Name", "Price", "Day of sale"),
    (
        ("1", "Ann", "10.5", "January 5, 2020"),
        ("2", "bob", "9", "March 1, 2020"),
        ("3", "Éve", "100", "2020-02-29"),
        ("4", "ann", "7", ""),
        ("5", "dan", "1,200", "n/a"),
    ),
)


@pytest.fixture(scope="module")
def backend() -> Iterator[SQLiteBackend]:
    """A MySQL backend that holds one table; these statements do not change it."""
    backend = SQLiteBackend("mysql")
    backend.load([TABLE])
    yield backend
    backend.close()


EXPRESSIONS: list[tuple[str, object]] = [
    # comparisons: texts by the collation, anything with a number as numbers
    ("'a' = 'A'", 1),
    ("'é' = 'e'", 1),
    ("'ß' = 'ss'", 1),
    ("'a' = 'a '", 0),
    ("'10' = 10", 1),
    ("'10a' = 10", 1),
    ("'a' = 0", 1),
    ("'1.0' = '1'", 0),
    ("'10' < '9'", 1),
    ("10 < '9'", 0),
    ("'a-b' < 'ab'", 1),
    ("'Z' < 'a'", 0),
    ("NULL = NULL", None),
    ("NULL <=> NULL", 1),
    ("1 <=> NULL", 0),
    ("'a' = BINARY 'A'", 0),
    ("'a' COLLATE utf8mb4_bin = 'A'", 0),
    ("5 BETWEEN '1' AND '10'", 1),
    ("'5' BETWEEN '1' AND '10'", 0),
    ("'5' NOT BETWEEN 1 AND 10", 0),
    ("'b' IN ('A', 'B')", 1),
    ("3 NOT IN (1, 2, NULL)", None),
    ("2 IN (1, '2', NULL)", 1),
    ("(1, 'a') = (1, 'a')", 1),
    # arithmetic: decimals are exact, texts are doubles
    ("5 / 2", Decimal("2.5000")),
    ("10 / 3 * 3", Decimal("9.9999")),
    ("0.1 + 0.2", Decimal("0.3")),
    ("'0.1' + '0.2'", 0.1 + 0.2),
    ("2 * 1.50", Decimal("3.00")),
    ("7 DIV 2", 3),
    ("-7 % 3", -1),
    ("7 MOD 4", 3),
    ("1 / 0", None),
    ("5 % 0", None),
    ("'3a' + 1", 4.0),
    ("'1,234' + 0", 1.0),
    ("'7' / 2", 3.5),
    ("-'5'", -5.0),
    ("1 + NULL", None),
    ("3 | 4", 7),
    ("3 ^ 1", 2),
    ("1 << 3", 8),
    # logic
    ("1 XOR 1", 0),
    ("NOT 'abc'", 1),
    ("1 AND NULL", None),
    ("1 || 0", 1),
    ("!1", 0),
    ("TRUE", 1),
    ("NULL IS NULL", 1),
    # numbers
    ("ROUND(2.5)", Decimal("3")),
    ("ROUND('2.5')", 2.0),
    ("ROUND(1.005, 2)", Decimal("1.01")),
    ("ROUND(125, -1)", 130),
    ("TRUNCATE(-1.999, 1)", Decimal("-1.9")),
    ("FLOOR(-1.5)", -2),
    ("CEILING(1.2)", 2),
    ("MOD(-7, 2)", -1),
    ("POW(2, 10)", 1024.0),
    ("SQRT(-1)", None),
    ("LOG(2, 8)", 3.0),
    ("GREATEST(1, 2, 3)", 3),
    ("LEAST('a', 'B', NULL)", None),
    ("CAST('12abc' AS SIGNED)", 12),
    ("CAST('1.9' AS SIGNED)", 1),
    ("CAST(1.9 AS SIGNED)", 2),
    ("CAST('3.456' AS DECIMAL(5,2))", Decimal("3.46")),
    ("CAST('12.5' AS DECIMAL)", Decimal("13")),
    ("CAST(3.7 AS CHAR)", "3.7"),
    ("CONVERT('7', UNSIGNED)", 7),
    ("FORMAT(1234567.891, 2)", "1,234,567.89"),
    ("FORMAT('12345', 0)", "12,345"),
    ("CONV('ff', 16, 10)", "255"),
    ("HEX(255)", "FF"),
    # texts
    ("CONCAT('a', 1, 2.50)", "a12.50"),
    ("CONCAT('a', NULL)", None),
    ("CONCAT_WS('-', 'a', NULL, 'b')", "a-b"),
    ("'abc' 'def'", "abcdef"),
    ('"it\'s"', "it's"),
    (r"'a\nb'", "a\nb"),
    ("LEFT('abc', 2)", "ab"),
    ("RIGHT('abc', 5)", "abc"),
    ("MID('abcdef', 2, 3)", "bcd"),
    ("SUBSTRING('abcdef' FROM -3 FOR 2)", "de"),
    ("SUBSTRING('abc', 0)", ""),
    ("SUBSTRING_INDEX('a.b.c', '.', 2)", "a.b"),
    ("SUBSTRING_INDEX('a.b.c', '.', -1)", "c"),
    ("LOCATE('b', 'aBcb', 3)", 4),
    ("INSTR('abc', 'C')", 3),
    ("LPAD('5', 3, '0')", "005"),
    ("LPAD('abc', 2, 'x')", "ab"),
    ("TRIM(LEADING 'x' FROM 'xxaxx')", "axx"),
    ("REVERSE('añb')", "bña"),
    ("REPEAT('ab', 2)", "abab"),
    ("LENGTH('ñ')", 2),
    ("CHAR_LENGTH('ñ')", 1),
    ("FIELD('b', 'a', 'B')", 2),
    ("FIND_IN_SET('b', 'a,b')", 2),
    ("INSERT('abcdef', 2, 3, 'X')", "aXef"),
    ("MD5('a')", "0cc175b9c0f1b6a831c399e269772661"),
    ("'abc' LIKE 'A_c'", 1),
    (r"'a%c' LIKE 'a\%c'", 1),
    (r"'abc' LIKE 'a\%c'", 0),
    ("'50%' LIKE '50|%' ESCAPE '|'", 1),
    ("'abc' NOT LIKE '%B%'", 0),
    ("'aab' LIKE '%ab'", 1),
    ("'abc' REGEXP '^A.c$'", 1),
    ("'abc' NOT REGEXP '[0-9]'", 1),
    ("REGEXP_REPLACE('a1b22', '[0-9]+', '#')", "a#b#"),
    ("REGEXP_SUBSTR('ab12', '[0-9]+')", "12"),
    # conditions
    ("IF('5' > 10, 'high', 'low')", "low"),
    ("IFNULL(NULL, 'x')", "x"),
    ("COALESCE(NULL, NULL, 3)", 3),
    ("NULLIF('a', 'A')", None),
    ("CASE 'B' WHEN 'b' THEN 1 ELSE 2 END", 1),
    # dates
    ("DATEDIFF('2020-03-01', '2020-02-01')", 29),
    ("DATE_ADD('2020-01-31', INTERVAL 1 MONTH)", "2020-02-29"),
    ("'2020-01-31' + INTERVAL 1 DAY", "2020-02-01"),
    ("DATE_FORMAT('2020-02-05', '%d/%m/%Y %W %D')", "05/02/2020 Wednesday 5th"),
    ("STR_TO_DATE('January 5, 2020', '%M %d, %Y')", "2020-01-05"),
    ("YEAR('2020-02-05')", 2020),
    ("EXTRACT(MONTH FROM '2020-02-05')", 2),
    ("HOUR('10:11:12')", 10),
    ("TIMESTAMPDIFF(MONTH, '2020-01-31', '2020-03-01')", 1),
    ("LAST_DAY('2020-02-05')", "2020-02-29"),
    ("DAYNAME('2020-02-05')", "Wednesday"),
    ("YEAR('no date')", None),
    ("CURRENT_DATE", "2026-01-01"),
    # session
    ("DATABASE()", "db"),
    ("SLEEP(100)", 0),
    ("@x", None),
    ("@@autocommit", 1),
]


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS)
def test_expressions(backend: SQLiteBackend, expression: str, expected: object) -> None:
    """An expression has MySQL's value, in MySQL's type."""
    result = backend.execute(f"SELECT {expression}")

    assert ((expected,),) == result.rows, result.error
    assert type(expected) is type(result.rows[0][0])


T = "FROM `Sales 2020`"
QUERIES: list[tuple[str, list[tuple[object, ...]]]] = [
    (f"SELECT Name {T} WHERE Name = 'ANN' ORDER BY Id", [("Ann",), ("ann",)]),
    (f"SELECT Name {T} WHERE Price > 9.5 ORDER BY Price + 0 DESC", [("Éve",), ("Ann",)]),
    (f"SELECT Name {T} WHERE Price > '9' ORDER BY 1", []),
    (f"SELECT Id {T} WHERE Name LIKE 'e%' OR Name LIKE '_OB' ORDER BY Id", [("2",), ("3",)]),
    (f"SELECT Name {T} ORDER BY Name, Id", [("Ann",), ("ann",), ("bob",), ("dan",), ("Éve",)]),
    (f"SELECT DISTINCT Name {T} ORDER BY Name DESC", [("Éve",), ("dan",), ("bob",), ("Ann",)]),
    (f"SELECT UPPER(Name) u, COUNT(*) {T} GROUP BY u ORDER BY 2 DESC, 1 LIMIT 2", [("ANN", 2), ("BOB", 1)]),
    (f"SELECT COUNT(*), SUM(Price), MIN(Price), MAX(Price) {T}", [(5, 127.5, "1,200", "9")]),
    (f"SELECT AVG(Price), AVG(Id + 0), AVG(2) {T} WHERE Id < 3", [(9.75, 1.5, Decimal("2.0000"))]),
    (f"SELECT SUM(CAST(REPLACE(Price, ',', '') AS DECIMAL(10,2))) {T}", [(Decimal("1326.50"),)]),
    (f"SELECT SUM(Price > 9), COUNT(*) / 2 {T}", [(Decimal("2"), Decimal("2.5000"))]),
    (f"SELECT SUM(Price), AVG(Price), MAX(Price), COUNT(Price) {T} WHERE 0", [(None, None, None, 0)]),
    (f"SELECT COUNT(DISTINCT Name), COUNT(DISTINCT Name, Price) {T}", [(4, 5)]),
    (f"SELECT COUNT(DISTINCT Name, Price) {T} WHERE 0", [(0,)]),
    (f"SELECT STDDEV(Id), VAR_SAMP(Id) {T}", [(2.0**0.5, 2.5)]),
    (f"SELECT GROUP_CONCAT(DISTINCT Name ORDER BY Name DESC SEPARATOR '; ') {T}", [("Éve; dan; bob; Ann",)]),
    (f"SELECT GROUP_CONCAT(Name, ':', Price ORDER BY Price + 0) {T} WHERE Id < 3", [("bob:9,Ann:10.5",)]),
    (f"SELECT Name {T} WHERE Price = (SELECT MAX(Price) {T})", [("bob",)]),
    (f"SELECT Name {T} WHERE Id IN (SELECT MAX(Id) {T})", [("dan",)]),
    (f"SELECT Id {T} WHERE Price IN (SELECT Price + 0 {T} WHERE Id = 1)", [("1",)]),
    (f"SELECT Id {T} WHERE Id NOT IN (SELECT NULL)", []),
    (f"SELECT Id {T} WHERE Id NOT IN (SELECT Id {T} WHERE 0) LIMIT 1, 2", [("2",), ("3",)]),
    (f"SELECT Id {T} WHERE Price >= ALL (SELECT Price {T})", [("2",)]),
    (f"SELECT Id {T} WHERE Id = ANY (SELECT Id {T} WHERE Name = 'ann') ORDER BY Id", [("1",), ("4",)]),
    (f"SELECT x.Id {T} x WHERE EXISTS (SELECT 1 {T} y WHERE y.Name = x.Name AND y.Id <> x.Id)", [("1",), ("4",)]),
    (f"SELECT x.Id, y.Id {T} x JOIN {T[5:]} y ON x.Name = y.Name AND x.Id < y.Id", [("1", "4")]),
    (f"SELECT n FROM (SELECT Name, COUNT(*) AS n {T} GROUP BY Name) AS q WHERE n > 1", [(2,)]),
    (f"SELECT Name, COUNT(*) AS n {T} GROUP BY Name HAVING n > 1", [("Ann", 2)]),
    (f"SELECT Name {T} HAVING Name = 'BOB'", [("bob",)]),
    (f"SELECT Id {T} WHERE Id = 1 UNION ALL SELECT COUNT(*) {T}", [("1",), (5,)]),
    (f"(SELECT Id {T} ORDER BY Id DESC LIMIT 1) UNION (SELECT 0) ORDER BY 1", [(0,), ("5",)]),
    (f"SELECT Name {T} UNION SELECT 'x' ORDER BY LENGTH(Name), Name LIMIT 2", [("x",), ("Ann",)]),
    (f"WITH q AS (SELECT MAX(Id + 0) m {T}) SELECT m + 1 FROM q", [(6.0,)]),
    ("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n", [(1,), (2,), (3,)]),
    (f"SELECT Id, RANK() OVER (ORDER BY Name) r {T} ORDER BY r, Id LIMIT 3", [("1", 1), ("4", 1), ("2", 3)]),
    (f"SELECT Id, AVG(Price) OVER (PARTITION BY Name) {T} WHERE Name = 'ann'", [("1", 8.75), ("4", 8.75)]),
    (f"SELECT STR_TO_DATE(`Day of sale`, '%M %d, %Y') {T} WHERE Id IN (1, 5) ORDER BY Id", [("2020-01-05",), (None,)]),
    (f"SELECT IF(Price > 50, 'hi', 'lo') k, COUNT(*) {T} GROUP BY k ORDER BY k", [("hi", 1), ("lo", 4)]),
    (f"SELECT COUNT(*) {T} WHERE Id IN ({', '.join(map(str, range(3, 300)))})", [(3,)]),
    (f"SELECT COUNT(*) {T} # a comment", [(5,)]),
    ("SELECT 1 FROM DUAL", [(1,)]),
    (
        "SELECT x FROM (SELECT 'f' x UNION SELECT '1' UNION SELECT '-' UNION SELECT 'é' UNION SELECT '_' "
        "UNION SELECT ' ' UNION SELECT '~' UNION SELECT 'b') q ORDER BY x",
        [(" ",), ("_",), ("-",), ("~",), ("1",), ("b",), ("é",), ("f",)],
    ),
]


@pytest.mark.parametrize(("sql", "expected"), QUERIES)
def test_queries(backend: SQLiteBackend, sql: str, expected: list[tuple[object, ...]]) -> None:
    """A query over text columns gives what MySQL gives."""
    result = backend.execute(sql)

    assert expected == list(result.rows), result.error


def test_columns_are_named_as_in_mysql(backend: SQLiteBackend) -> None:
    """An expression is named by its text, a column by its name, anything else by its alias."""
    assert ("COUNT(*)", "Name", "n b") == backend.execute(
        f"SELECT COUNT(*), Name, 1 AS `n b` {T} GROUP BY Name"
    ).columns


ANSWERS: list[tuple[str, list[tuple[object, ...]]]] = [
    ("SHOW TABLES", [("Sales 2020",)]),
    ("show full tables from db like 'Sales%'", [("Sales 2020", "BASE TABLE")]),
    ("SHOW TABLES LIKE 'x'", []),
    ("SHOW DATABASES", [("db",), ("information_schema",)]),
    ("DESCRIBE `Sales 2020` Name", [("Name", "text", "YES", "", None, "")]),
    ("SHOW COLUMNS FROM `Sales 2020` LIKE 'Pri%'", [("Price", "text", "YES", "", None, "")]),
    (
        "EXPLAIN SELECT * FROM `Sales 2020`",
        [(1, "SIMPLE", "Sales 2020", None, "ALL", None, None, None, None, None, 100.0, None)],
    ),
    ("SHOW INDEX FROM `Sales 2020`", []),
    ("SHOW WARNINGS", []),
    ("USE db", []),
    ("SET NAMES utf8mb4", []),
    ("START TRANSACTION", []),
    ("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()", [("Sales 2020",)]),
    (
        "SELECT COLUMN_NAME FROM information_schema.columns WHERE TABLE_NAME = 'Sales 2020' AND ordinal_position < 3",
        [("Id",), ("Name",)],
    ),
    ("SELECT COUNT(*) FROM information_schema.schemata", [(2,)]),
]


@pytest.mark.parametrize(("sql", "expected"), ANSWERS)
def test_questions_about_the_database(backend: SQLiteBackend, sql: str, expected: list[tuple[object, ...]]) -> None:
    """Agents ask for tables and columns all the time."""
    result = backend.execute(sql)

    assert expected == list(result.rows), result.error


def test_describe_gives_every_column(backend: SQLiteBackend) -> None:
    """DESCRIBE lists the columns in order, as text."""
    result = backend.execute("DESC `Sales 2020`;")

    assert list(TABLE.columns) == [row[0] for row in result.rows]
    assert ("Field", "Type", "Null", "Key", "Default", "Extra") == result.columns


def test_show_create_table(backend: SQLiteBackend) -> None:
    """SHOW CREATE TABLE gives a statement with every column."""
    ((name, statement),) = backend.execute("SHOW CREATE TABLE `Sales 2020`").rows

    assert name == "Sales 2020"
    assert str(statement).startswith("CREATE TABLE `Sales 2020` (\n  `Id` text,\n  `Name` text,")


def test_random_numbers_can_be_replayed() -> None:
    """RAND() gives the same numbers after the same load."""
    backend = SQLiteBackend("mysql")
    drawn = []
    for _ in range(2):
        backend.load([TABLE])
        drawn.append([backend.execute("SELECT RAND()").rows, backend.execute(f"SELECT Id {T} ORDER BY RAND()").rows])

    assert drawn[0] == drawn[1]
    assert 0.0 <= float(str(drawn[0][0][0][0])) < 1.0
