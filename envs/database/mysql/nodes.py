"""Small pieces of syntax trees that the translation is built from."""

from __future__ import annotations

from sqlglot import exp

from cmat_env.envs.database.mysql.collation import NAME as COLLATION


def call(name: str, *arguments: exp.Expr | None) -> exp.Anonymous:
    """A call of our function `name`."""
    return exp.Anonymous(this=f"my_{name}", expressions=[each for each in arguments if each is not None])


def text(value: str) -> exp.Literal:
    """A string literal."""
    return exp.Literal.string(value)


def collated(node: exp.Expr, collation: str = COLLATION) -> exp.Expr:
    """The expression under a collation, if it has none of its own."""
    if isinstance(node, exp.Collate):
        return node
    inner = exp.Paren(this=node) if isinstance(node, (exp.Binary, exp.Unary)) else node
    return exp.Collate(this=inner, expression=exp.Var(this=collation))


def is_binary(node: exp.Expr | None) -> bool:
    """Is the expression under the binary collation, after rewriting?"""
    return isinstance(node, exp.Collate) and node.expression.name == "BINARY"


def is_number(node: exp.Expr | None) -> bool:
    """Is it a number literal?"""
    return isinstance(node, exp.Literal) and not node.is_string


def numeric(node: exp.Expr) -> exp.Expr:
    """The expression as a number."""
    return node if is_number(node) else call("num", node)


def single_column(query: exp.Expr, aggregate: str) -> exp.Subquery:
    """`(WITH q(y) AS (query) SELECT my_aggregate(y) FROM q)`: all of a one-column query as one value."""
    name = f"my_q{query.depth}"  # a query inside the query gets another name
    column = exp.Column(this=exp.to_identifier("my_y"))
    select = exp.Select(
        expressions=[exp.Anonymous(this=f"my_{aggregate}", expressions=[column])],
        from_=exp.From(this=exp.Table(this=exp.to_identifier(name))),
        with_=exp.With(expressions=[_cte(name, query)]),
    )
    return exp.Subquery(this=select)


def exists_in(query: exp.Expr, condition: exp.Expr) -> exp.Exists:
    """`EXISTS (WITH q(y) AS (query) SELECT 1 FROM q WHERE condition)`; the condition names the value `my_y`."""
    name = f"my_q{query.depth}"
    select = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=exp.Table(this=exp.to_identifier(name))),
        where=exp.Where(this=condition),
        with_=exp.With(expressions=[_cte(name, query)]),
    )
    return exp.Exists(this=select)


def _cte(name: str, query: exp.Expr) -> exp.CTE:
    alias = exp.TableAlias(this=exp.to_identifier(name), columns=[exp.to_identifier("my_y")])
    return exp.CTE(this=query.unnest() if isinstance(query, exp.Subquery) else query, alias=alias)
