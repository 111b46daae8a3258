"""Rewrites statements that change the schema: CREATE, DROP, ALTER."""

from __future__ import annotations

from sqlglot import exp

from cmat_env.envs.database.images import quote
from cmat_env.envs.database.mysql.collation import NAME as COLLATION
from cmat_env.envs.database.mysql.errors import DATABASE, MySQLError, malformed
from cmat_env.envs.database.mysql.grammar import generate
from cmat_env.envs.database.mysql.queries import rewrite_table
from cmat_env.envs.database.mysql.rewrite import rewrite
from cmat_env.envs.database.mysql.writes import stored

_INTEGERS = frozenset(
    {
        exp.DType.BIGINT,
        exp.DType.BOOLEAN,
        exp.DType.INT,
        exp.DType.MEDIUMINT,
        exp.DType.SMALLINT,
        exp.DType.TINYINT,
        exp.DType.UBIGINT,
        exp.DType.UINT,
        exp.DType.YEAR,
    }
)
_REALS = frozenset({exp.DType.DECIMAL, exp.DType.DOUBLE, exp.DType.FLOAT})


def denied(what: str) -> MySQLError:
    """1044."""
    return MySQLError(1044, f"Access denied for user 'agent'@'localhost' to {what}")


def rewrite_create(node: exp.Create) -> list[str]:
    """CREATE TABLE, VIEW and INDEX."""
    kind = str(node.args.get("kind") or "").upper()
    if kind == "TABLE":
        return [_create_table(node)]
    if kind == "VIEW":
        query = generate(rewrite(node.expression))
        return [f"CREATE VIEW {_name(node.this)} AS {query}"]
    if kind == "INDEX":
        index = node.this
        columns = ", ".join(quote(_key_part(each)) for each in index.args["params"].args["columns"])
        return [f"CREATE INDEX {quote(index.name)} ON {_name(index.args['table'])} ({columns})"]
    raise denied(f"database '{DATABASE}'")


def _key_part(node: exp.Expr) -> str:
    """The column of a key; `name(20)`, of the first characters only, is read as a call."""
    part = node.find(exp.Anonymous, exp.Identifier)
    if part is None:
        raise malformed(node.sql("mysql"))
    return str(part.name)


def _name(node: exp.Expr) -> str:
    table = node.this if isinstance(node, exp.Schema) else node
    if isinstance(table, exp.Table):
        rewrite_table(table)
    return quote(table.name)


def _create_table(node: exp.Create) -> str:
    exists = "IF NOT EXISTS " if node.args.get("exists") else ""
    name = _name(node.this)
    properties = node.args.get("properties")
    like = properties.find(exp.LikeProperty) if properties is not None else None
    if like is not None:
        return f"CREATE TABLE {exists}{name} AS SELECT * FROM {_name(like.this)} WHERE 0"
    if node.expression is not None:
        return f"CREATE TABLE {exists}{name} AS {generate(rewrite(node.expression))}"
    if not isinstance(node.this, exp.Schema):
        raise MySQLError(1113, "A table must have at least 1 column")
    parts = [_column(each) for each in node.this.expressions if isinstance(each, exp.ColumnDef)]
    automatic = any("AUTOINCREMENT" in part for part in parts)
    for each in node.this.expressions:
        if isinstance(each, exp.PrimaryKey) and not automatic:
            parts.append(f"PRIMARY KEY ({', '.join(quote(key.name) for key in each.expressions)})")
    return f"CREATE TABLE {exists}{name} ({', '.join(parts)})"


def _column(node: exp.ColumnDef) -> str:
    kinds = {type(each.kind): each.kind for each in node.constraints}
    if exp.AutoIncrementColumnConstraint in kinds:
        return f"{quote(node.name)} INTEGER PRIMARY KEY AUTOINCREMENT"
    parts = [quote(node.name), _type(node)]
    if exp.PrimaryKeyColumnConstraint in kinds:
        parts.append("PRIMARY KEY")
    if exp.UniqueColumnConstraint in kinds:
        parts.append("UNIQUE")
    null = kinds.get(exp.NotNullColumnConstraint)
    if null is not None and not null.args.get("allow_null"):
        parts.append("NOT NULL")
    default = kinds.get(exp.DefaultColumnConstraint)
    if default is not None:
        parts.append(f"DEFAULT ({generate(stored(default.this))})")
    return " ".join(parts)


def _type(node: exp.ColumnDef) -> str:
    kind = node.args.get("kind")
    if kind is None:
        raise malformed(node.sql("mysql"))
    if kind.this in _INTEGERS:
        return "INTEGER"
    return "REAL" if kind.this in _REALS else f"TEXT COLLATE {COLLATION}"


def rewrite_drop(node: exp.Drop) -> list[str]:
    """DROP TABLE, VIEW and INDEX."""
    kind = str(node.args.get("kind") or "").upper()
    if kind not in ("TABLE", "VIEW", "INDEX"):
        raise denied(f"database '{DATABASE}'")
    exists = "IF EXISTS " if node.args.get("exists") else ""
    tables = node.args.get("tables") or [node.this]
    return [f"DROP {kind} {exists}{_name(table)}" for table in tables]


def rewrite_alter(node: exp.Alter) -> list[str]:
    """ALTER TABLE: columns added, dropped, renamed, and the table renamed."""
    if str(node.args.get("kind") or "").upper() != "TABLE":
        raise denied(f"database '{DATABASE}'")
    table = _name(node.this)
    statements: list[str] = []
    for action in node.args.get("actions") or []:
        statements += [f"ALTER TABLE {table} {each}" for each in _alteration(action)]
    return statements


def _alteration(action: exp.Expr) -> list[str]:
    if isinstance(action, exp.ColumnDef):
        return [f"ADD COLUMN {_column(action)}"]
    if isinstance(action, exp.Schema):
        return [f"ADD COLUMN {_column(each)}" for each in action.expressions if isinstance(each, exp.ColumnDef)]
    if isinstance(action, exp.Drop) and str(action.args.get("kind") or "COLUMN").upper() == "COLUMN":
        columns = action.args.get("tables") or [action.this]
        return [f"DROP COLUMN {quote(each.name)}" for each in columns if each is not None]
    if isinstance(action, exp.RenameColumn):
        return [f"RENAME COLUMN {quote(action.this.name)} TO {quote(action.args['to'].name)}"]
    if isinstance(action, exp.AlterRename):
        return [f"RENAME TO {quote(action.this.name)}"]
    if isinstance(action, exp.ModifyColumn):
        old = action.args.get("rename_from")
        return [f"RENAME COLUMN {quote(old.name)} TO {quote(action.this.name)}"] if old is not None else []
    raise MySQLError(1235, f"This version of MySQL doesn't yet support 'ALTER TABLE ... {action.key.upper()}'")
