"""Reads a statement of MySQL into a syntax tree, and refuses what the parser accepts but MySQL does not.

Every function is read as `Anonymous` with its name as written: its meaning is looked up in our own tables, and no
rewriting by sqlglot comes in between.
"""

from __future__ import annotations

import logging
import re
from typing import Any, ClassVar

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.mysql import MySQL as SQLGlotMySQL
from sqlglot.dialects.sqlite import SQLite as SQLGlotSQLite
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.mysql import MySQLParser

from cmat_env.envs.database.mysql.errors import MySQLError, syntax_error
from cmat_env.envs.database.mysql.nesting import check_nesting, too_deep
from cmat_env.envs.database.statements import leading_word

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of statements that we answer with an error

_SPECIAL_CALLS = frozenset(
    {"CAST", "CHAR", "CONVERT", "EXTRACT", "GROUP_CONCAT", "POSITION", "SUBSTR", "SUBSTRING", "TRIM", "VALUES"}
)
_NEVER = {TokenType.L_BRACKET, TokenType.R_BRACKET, TokenType.DCOLON, TokenType.L_BRACE, TokenType.PLACEHOLDER}
_AFTER_NO_COMMA = {TokenType.FROM, TokenType.WHERE, TokenType.R_PAREN, TokenType.GROUP_BY, TokenType.ORDER_BY}
_BEFORE_TABLE = {TokenType.FROM, TokenType.JOIN, TokenType.INTO, TokenType.UPDATE, TokenType.TABLE, TokenType.DESCRIBE}
_CLAUSES = {
    TokenType.SELECT: 0,
    TokenType.UNION: 0,
    TokenType.EXCEPT: 0,
    TokenType.INTERSECT: 0,
    TokenType.WHERE: 1,
    TokenType.GROUP_BY: 2,
    TokenType.HAVING: 3,
    TokenType.ORDER_BY: 4,
    TokenType.LIMIT: 5,
}
_WITH_FROM = {"EXTRACT", "MID", "SUBSTR", "SUBSTRING", "TRIM"}
_OPENING = {TokenType.L_PAREN, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.END}


class _Parser(MySQLParser):
    """Functions keep their names; only those with a syntax of their own are parsed specially."""

    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, Any]] = {}
    FUNCTION_PARSERS = {name: MySQLParser.FUNCTION_PARSERS[name] for name in _SPECIAL_CALLS}  # noqa: RUF012


class Reading(SQLGlotMySQL):
    """MySQL as we read it."""

    Parser = _Parser


class Writing(SQLGlotSQLite):
    """SQLite as we write it: in double quotes an unknown name would become a string, so names stand in backticks."""

    class Tokenizer(SQLGlotSQLite.Tokenizer):
        """Identifiers in backticks."""

        IDENTIFIERS = ["`"]  # noqa: RUF012


_READING = Reading()
_WRITING = Writing()


def single(sql: str) -> str:
    """The one statement of a text, without comments around it.

    Raises:
        MySQLError: 1064 for a second statement.
    """
    tokens = _tokens(sql)
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            raise syntax_error(sql, token.end + 1)
    return sql[tokens[0].start : tokens[-1].end + 1]


def parse(sql: str) -> exp.Expr:
    """The syntax tree of one statement.

    Raises:
        MySQLError: 1064 for what MySQL would not accept, also for a second statement.
    """
    if leading_word(sql) == "REPLACE":  # there are no keys, so it inserts; a blank keeps the positions
        sql = re.sub("REPLACE", "INSERT ", sql, count=1, flags=re.IGNORECASE)
    tokens = _tokens(sql)
    check_nesting(tokens)
    _check_tokens(sql, tokens)
    try:
        trees = _READING.parser().parse(tokens, sql)
    except ParseError as error:
        raise syntax_error(sql, _position(sql, error)) from error
    except RecursionError as error:
        raise too_deep() from error
    if len(trees) != 1 or trees[0] is None:
        raise syntax_error(sql, 0)
    return trees[0]


def _tokens(sql: str) -> list[Token]:
    try:
        tokens = _READING.tokenize(sql)
    except TokenError as error:
        raise syntax_error(sql, max(0, len(sql) - 20)) from error
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise MySQLError(1065, "Query was empty")
    return tokens


def generate(tree: exp.Expr) -> str:
    """The statement in SQLite's SQL."""
    try:
        return _WRITING.generate(tree, identify=True, normalize_functions=False, comments=False)
    except RecursionError as error:
        raise too_deep() from error


def _position(sql: str, error: ParseError) -> int:
    details = error.errors[0] if error.errors else {}
    line, column = details.get("line") or 1, details.get("col") or 1
    start = sum(len(each) + 1 for each in sql.split("\n")[: line - 1])
    return max(0, min(len(sql), start + column - len(details.get("highlight") or " ")))


def _check_tokens(sql: str, tokens: list[Token]) -> None:
    openers: list[str] = []  # the words before the parentheses and CASEs that are open
    clauses = [0]  # the rank of the last clause on each level of parentheses
    before: Token | None = None
    for token in tokens:
        kind = token.token_type
        if kind in _OPENING:
            openers.append(before.text.upper() if before is not None else "")
            clauses.append(0)
        elif kind in _CLOSING and openers:
            openers.pop()
            clauses.pop()
        if kind == TokenType.SEMICOLON:
            raise syntax_error(sql, token.end + 1)
        refused = kind in _NEVER or (kind == TokenType.EQ and token.text == "==")
        rank = _CLAUSES.get(kind)
        if rank is not None:
            refused = refused or 0 < rank <= clauses[-1]
            clauses[-1] = rank
        if before is not None and before.token_type == TokenType.COMMA:
            refused = refused or kind in _AFTER_NO_COMMA
        elif before is not None and before.token_type == TokenType.SELECT:
            refused = refused or kind == TokenType.COMMA
        elif before is not None and before.token_type in _BEFORE_TABLE and kind == TokenType.STRING:
            refused = not openers or openers[-1] not in _WITH_FROM
        if refused:
            raise syntax_error(sql, token.start)
        before = token
