"""ONLY_FULL_GROUP_BY, MySQL's default: a selected column must be grouped, aggregated, or fixed by the condition."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from cmat_env.envs.database.mysql.errors import DATABASE, MySQLError, unknown_column
from cmat_env.envs.database.mysql.functions.aggregates import NAMES as AGGREGATES

_COLLAPSING = AGGREGATES - {"ANY_VALUE"}
_MODE = "this is incompatible with sql_mode=only_full_group_by"


def check_grouping(tree: exp.Expr) -> None:
    """Raise 1055, 1140, 1054 or 3065 for a query that MySQL would refuse."""
    for select in tree.find_all(exp.Select):
        grouped = select.args.get("group") is not None
        if grouped or any(_aggregates(each) for each in _outputs(select)):
            _Grouping(select).check(grouped=grouped)
        elif select.args.get("distinct") is not None:
            _check_distinct(select)


def _outputs(select: exp.Select) -> list[exp.Expr]:
    having = select.args.get("having")
    return [*select.expressions, *([having.this] if having is not None else [])]


def _aggregates(node: exp.Expr) -> bool:
    return any(_is_aggregate(each) for each in _own(node))


def _is_aggregate(node: exp.Expr) -> bool:
    if isinstance(node.parent, exp.Window) and node.arg_key == "this":
        return False
    return isinstance(node, exp.GroupConcat) or (
        isinstance(node, exp.Anonymous) and str(node.this).upper() in _COLLAPSING
    )


def _own(node: exp.Expr) -> Iterator[exp.Expr]:
    """The node and all below it, but for subqueries."""
    yield node
    for child in node.iter_expressions():
        if not isinstance(child, exp.Query):
            yield from _own(child)


def _text(node: exp.Expr) -> str:
    return node.sql("mysql").replace("`", "").lower()


class _Grouping:
    """What one query groups by."""

    def __init__(self, select: exp.Select) -> None:
        self.select = select
        self.aliases = {each.alias.lower(): each.this for each in select.expressions if isinstance(each, exp.Alias)}
        source = select.args.get("from_")
        tables = [source.this] if source is not None else []
        tables += [join.this for join in select.args.get("joins") or []]
        self.sources = {each.alias_or_name.lower(): each.name for each in tables}
        self.columns: set[str] = set()
        self.texts: set[str] = set()
        group = select.args.get("group")
        for each in group.expressions if group is not None else []:
            self._add(each)
        self._add_fixed()

    def _add(self, node: exp.Expr) -> None:
        if isinstance(node, exp.Literal) and not node.is_string:
            position = int(node.name) if node.name.isdigit() else 0
            if not 1 <= position <= len(self.select.expressions):
                raise unknown_column(node.name, "group statement")
            node = self.select.expressions[position - 1].unalias()
        self.texts.add(_text(node))
        if isinstance(node, exp.Column):
            self.columns.add(node.name.lower())
            aliased = None if node.table else self.aliases.get(node.name.lower())
            if aliased is not None:
                self.texts.add(_text(aliased))
                self.columns |= {aliased.name.lower()} if isinstance(aliased, exp.Column) else set()

    def _add_fixed(self) -> None:
        """Columns that the condition fixes: equal to a constant, or to a column that is fixed or grouped."""
        where = self.select.args.get("where")
        condition = where.this if where is not None else None
        parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
        pairs = [each for each in parts if isinstance(each, exp.EQ)]
        for join in self.select.args.get("joins") or []:
            on = join.args.get("on")
            pairs += [on] if isinstance(on, exp.EQ) else []
        for _ in range(len(pairs) + 1):
            for pair in pairs:
                for one, other in ((pair.this, pair.expression), (pair.expression, pair.this)):
                    if isinstance(one, exp.Column) and self._is_fixed(other):
                        self.columns.add(one.name.lower())

    def _is_fixed(self, node: exp.Expr) -> bool:
        if isinstance(node, exp.Column):
            return node.name.lower() in self.columns
        return isinstance(node, exp.Literal) or (isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal))

    def check(self, *, grouped: bool) -> None:
        """Raise MySQL's error for the first column that is neither grouped nor aggregated."""
        for position, each in enumerate(self.select.expressions, 1):
            loose = self._loose(each.unalias())
            if loose is not None:
                raise self._refusal(position, loose, "SELECT list", grouped=grouped)
        having = self.select.args.get("having")
        loose = self._loose(having.this, aliases=True) if having is not None else None
        if loose is not None:
            raise unknown_column(loose.name, "having clause")
        order = self.select.args.get("order")
        for position, each in enumerate(order.expressions if order is not None and grouped else [], 1):
            loose = self._loose(each.this, aliases=True)
            if loose is not None:
                raise self._refusal(position, loose, "ORDER BY clause", grouped=True)

    def _refusal(self, position: int, column: exp.Expr, clause: str, *, grouped: bool) -> MySQLError:
        table = column.args.get("table")
        source = (
            self.sources.get(table.name.lower(), "") if table is not None else next(iter(self.sources.values()), "")
        )
        name = "*" if isinstance(column, exp.Star) else column.name
        full = f"{DATABASE}.{source}.{name}"
        if grouped:
            return MySQLError(
                1055,
                f"Expression #{position} of {clause} is not in GROUP BY clause and contains nonaggregated column "
                f"'{full}' which is not functionally dependent on columns in GROUP BY clause; {_MODE}",
            )
        return MySQLError(
            1140,
            f"In aggregated query without GROUP BY, expression #{position} of {clause} contains nonaggregated column "
            f"'{full}'; {_MODE}",
        )

    def _loose(self, node: exp.Expr, *, aliases: bool = False) -> exp.Expr | None:
        """The first column of an expression that stands for many values of a group."""
        if isinstance(node, exp.Query) or _is_aggregate(node) or _text(node) in self.texts:
            return None
        if isinstance(node, exp.Anonymous) and str(node.this).upper() == "ANY_VALUE":
            return None
        if isinstance(node, exp.Star):
            return node
        if isinstance(node, exp.Column):
            return None if self._is_settled(node, aliases=aliases) else node
        for child in node.iter_expressions():
            loose = self._loose(child, aliases=aliases)
            if loose is not None:
                return loose
        return None

    def _is_settled(self, column: exp.Column, *, aliases: bool) -> bool:
        if column.table and column.table.lower() not in self.sources:
            return True  # of a query around this one
        name = column.name.lower()
        if isinstance(column.this, exp.Star):
            return False
        return name in self.columns or (aliases and not column.table and name in self.aliases) or is_word(column)


def is_word(column: exp.Column) -> bool:
    """CURRENT_DATE and units of time are read as columns, but name no data."""
    parent = column.parent
    unit = isinstance(parent, exp.Anonymous) and str(parent.this).upper().startswith("TIMESTAMP")
    return not column.this.quoted and (unit or column.name.upper().startswith(("CURRENT_", "UTC_", "LOCALTIME")))


def _check_distinct(select: exp.Select) -> None:
    """With DISTINCT, what is ordered by must be selected."""
    order = select.args.get("order")
    shown = {each.unnest().alias_or_name.lower() for each in select.expressions}
    shown |= {_text(each.unalias().unnest()) for each in select.expressions}
    if order is None or any(each.is_star for each in select.expressions):
        return
    for position, each in enumerate(order.expressions, 1):
        if _text(each.this) in shown:
            continue
        for column in each.this.find_all(exp.Column):
            if column.name.lower() not in shown:
                source = select.args.get("from_")
                table = source.this.name if source is not None else ""
                raise MySQLError(
                    3065,
                    f"Expression #{position} of ORDER BY clause is not in SELECT list, references column "
                    f"'{DATABASE}.{table}.{column.name}' which is not in SELECT list; this is incompatible with "
                    "DISTINCT",
                )
