"""Functions that MariaDB has and MySQL has not, or that give something else there."""

from __future__ import annotations

from cmat_env.envs.database.mysql.functions.numbers import extreme
from cmat_env.envs.database.mysql.functions.patterns import regexp_substr
from cmat_env.envs.database.mysql.functions.registry import Function, strict
from cmat_env.envs.database.mysql.values import Value, number


def _extreme(*values: Value, sign: int) -> Value:
    """GREATEST and LEAST: a number beside a text makes numbers of all."""
    kinds = {isinstance(each, (int, float)) for each in values}
    return extreme(*([float(number(each)) for each in values] if len(kinds) > 1 else values), sign=sign)


FUNCTIONS: dict[str, Function] = {
    "GREATEST": strict(lambda *values: _extreme(*values, sign=1), 2, 100),
    "LEAST": strict(lambda *values: _extreme(*values, sign=-1), 2, 100),
    "REGEXP_SUBSTR": strict(lambda *values: regexp_substr(*values) or "", 2, 5),
}
NOT_THERE = {"mariadb": frozenset({"ANY_VALUE", "REGEXP_LIKE"}), "mysql": frozenset({"NVL", "NVL2"})}
"""By server, functions of the other one."""
WINDOWS_THERE = frozenset({"MEDIAN", "PERCENTILE_CONT", "PERCENTILE_DISC"})
"""Window functions of MariaDB, which are a matter of its grammar."""
