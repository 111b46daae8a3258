"""Refuses statements that are nested too deeply to be translated.

The parser and the translation call themselves; how deep they may go would otherwise depend on how deep their caller
stands, and the same statement would fail in one place and succeed in another. The costs are Python frames, measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import Token, TokenType

from cmat_env.envs.database.mysql.errors import MySQLError

_MOST_FRAMES = 700
_PER_LEVEL = 34
_PER_OPERATOR = 13
_PER_CONNECTIVE = 2

_OPENING = frozenset({TokenType.L_PAREN, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.END})
_CONNECTIVES = frozenset({TokenType.AND, TokenType.OR, TokenType.XOR, TokenType.DAMP, TokenType.DPIPE})
_SEPARATORS = frozenset({TokenType.COMMA, TokenType.SELECT, TokenType.WHERE, TokenType.FROM, TokenType.THEN})
_OPERATORS = frozenset(
    {
        TokenType.AMP,
        TokenType.CARET,
        TokenType.DASH,
        TokenType.DIV,
        TokenType.DOT,
        TokenType.EQ,
        TokenType.GT,
        TokenType.GTE,
        TokenType.INTERVAL,
        TokenType.IS,
        TokenType.LT,
        TokenType.LTE,
        TokenType.MOD,
        TokenType.NEQ,
        TokenType.NOT,
        TokenType.NULLSAFE_EQ,
        TokenType.PIPE,
        TokenType.PLUS,
        TokenType.SLASH,
        TokenType.STAR,
        TokenType.TILDE,
    }
)


def check_nesting(tokens: Sequence[Token]) -> None:
    """Raise 1436 for a statement that would need too many frames.

    Raises:
        MySQLError: it is nested too deeply.
    """
    outer: list[int] = []  # what the levels around this one cost
    connectives = operators = below = 0
    for token in tokens:
        kind = token.token_type
        if kind in _OPERATORS:
            operators += _PER_OPERATOR
        elif kind in _CONNECTIVES:
            connectives, operators = connectives + _PER_CONNECTIVE, 0
        elif kind in _SEPARATORS:
            connectives = operators = 0
        elif kind in _OPENING:
            outer.append(below)
            below += connectives + operators + _PER_LEVEL
            connectives = operators = 0
        elif kind in _CLOSING and outer:
            below = outer.pop()
            operators = 0
        if below + connectives + operators > _MOST_FRAMES:
            raise too_deep()


def too_deep() -> MySQLError:
    """1436."""
    return MySQLError(1436, "Thread stack overrun: the statement is nested too deeply")
