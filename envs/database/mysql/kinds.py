"""Which expressions are text by their form, and what that does to the branches of IFNULL, COALESCE, IF and CASE.

In MySQL such an expression is text as soon as one branch is: `IFNULL(column, 0)` of a text column gives '0', not 0.
Columns of tables count as text, since AgentBench's all are; columns of subqueries are looked up there.
"""

from __future__ import annotations

from sqlglot import exp

_TEXT_NAMES = """
    ADDTIME CONCAT CONCAT_WS DATE_FORMAT DAYNAME ELT EXPORT_SET FORMAT HEX INSERT JSON_UNQUOTE JSON_VALUE LCASE LEFT
    LOWER LPAD LTRIM MAKE_SET MD5 MID MONTHNAME QUOTE REGEXP_REPLACE REGEXP_SUBSTR REPEAT REPLACE REVERSE RIGHT RPAD
    RTRIM SHA SHA1 SHA2 SOUNDEX SPACE SUBSTRING_INDEX SUBTIME UCASE UPPER UUID
"""
_TEXT_FUNCTIONS = frozenset(_TEXT_NAMES.split())
_SAME_AS_FIRST = frozenset({"ANY_VALUE", "FIRST_VALUE", "LAG", "LAST_VALUE", "LEAD", "MAX", "MIN", "NULLIF"})
_ONE_OF = frozenset({"COALESCE", "IFNULL", "NVL"})
_TEXTS = (exp.Concat, exp.GroupConcat, exp.Substring, exp.Trim)
_DEEPEST = 20
_CHARACTERS = (exp.DType.CHAR, exp.DType.NCHAR, exp.DType.VARCHAR, exp.DType.TEXT)


def unify(node: exp.Expr) -> None:
    """Make text of the branches that are none, if another one is; to be called before anything below is rewritten."""
    branches = _branches(node)
    known = [is_text(each) for each in branches]
    if not any(known) or all(known):
        return
    for branch, textual in zip(branches, known, strict=True):
        if not textual and not isinstance(branch, exp.Null):
            branch.replace(exp.Anonymous(this="CONCAT", expressions=[branch.copy()]))  # keeps the places of a DECIMAL


def is_text(node: exp.Expr | None, depth: int = 0) -> bool:
    """Is the expression, as it was parsed, surely text? `depth`: of the queries that columns were looked up in."""
    if isinstance(node, (exp.Paren, exp.Alias, exp.Collate, exp.Window, exp.Distinct)):
        return is_text(node.expressions[0] if isinstance(node, exp.Distinct) else node.this, depth)
    if isinstance(node, exp.Literal):
        return bool(node.is_string)
    if isinstance(node, exp.Cast):
        return node.to.this in _CHARACTERS
    if isinstance(node, exp.Column):
        return depth < _DEEPEST and _is_text_column(node, depth)
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Select) and len(node.this.expressions) == 1:
        return is_text(node.this.expressions[0], depth)
    if isinstance(node, exp.Anonymous) and str(node.this).upper() in _SAME_AS_FIRST:
        return bool(node.expressions) and is_text(node.expressions[0], depth)
    if isinstance(node, exp.Anonymous) and str(node.this).upper() in _TEXT_FUNCTIONS:
        return True
    return isinstance(node, _TEXTS) or any(is_text(each, depth) for each in _branches(node))


def _branches(node: exp.Expr | None) -> list[exp.Expr]:
    found: list[exp.Expr | None] = []
    if isinstance(node, exp.Case):
        found = [*(each.args.get("true") for each in node.args["ifs"]), node.args.get("default")]
    elif isinstance(node, exp.If) and not isinstance(node.parent, exp.Case):
        found = [node.args.get("true"), node.args.get("false")]
    elif isinstance(node, exp.Anonymous) and str(node.this).upper() in _ONE_OF:
        found = list(node.expressions)
    elif isinstance(node, exp.Anonymous) and str(node.this).upper() == "NVL2":
        found = node.expressions[1:]
    return [each for each in found if each is not None]


def _is_text_column(column: exp.Column, depth: int) -> bool:
    """By the tables around it; a column that several could have is text if the first table is one of the database."""
    scope = column.find_ancestor(exp.Select, exp.Update, exp.Delete)
    while scope is not None:
        for source in _sources(scope):
            if column.table and source.alias_or_name.lower() != column.table.lower():
                continue
            if isinstance(source, exp.Table):
                query = _common(source)
                if query is None:
                    return True
            else:
                query = source.this
            shown = _shown(query, column.name) if isinstance(query, exp.Select) else None
            if shown is not None:
                return is_text(shown, depth + 1)
        scope = scope.find_ancestor(exp.Select, exp.Update, exp.Delete)
    return False


def _sources(scope: exp.Expr) -> list[exp.Expr]:
    origin = scope.args.get("from_")
    first = scope.this if isinstance(scope, (exp.Update, exp.Delete)) else origin.this if origin is not None else None
    joins = [*(scope.args.get("joins") or []), *(first.args.get("joins") or [] if first is not None else [])]
    return [each for each in (first, *(join.this for join in joins)) if each is not None]


def _common(table: exp.Table) -> exp.Expr | None:
    """The query that a name stands for, if it is that of a common table expression."""
    holder: exp.Expr | None = table
    while holder is not None:
        clause = holder.args.get("with_")
        for each in clause.expressions if clause is not None else ():
            query: exp.Expr = each.this
            if each.alias.lower() == table.name.lower() and table.find_ancestor(exp.CTE) is not each:
                return query
        holder = holder.parent
    return None


def _shown(query: exp.Select, name: str) -> exp.Expr | None:
    """What a query shows under a name."""
    for each in query.expressions:
        if each.alias_or_name.lower() == name.lower():
            found: exp.Expr = each
            return found
    return None
