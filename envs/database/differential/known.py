"""Cases in which MariaDB 10.11, which was recorded, is documented to do something else than MySQL 8.

The emulation of MySQL follows MySQL 8 here, so that these are no misses; the test makes sure that each still differs.
That of MariaDB follows MariaDB, but for what is in `NOT_EMULATED`.
"""

from __future__ import annotations

from cmat_env.envs.database.differential.cases import PER_TEMPLATE

_SAME_TABLE = "MySQL: error 1093, the changed table may not be read in a subquery; MariaDB allows it since 10.3"
_COLLATION = "the collation's name: utf8mb4_0900_ai_ci is MySQL's"
_MEDIAN = "MEDIAN is a function of MariaDB alone"
_DEFAULT = "MySQL: LAG and LEAD take a default; MariaDB: error 1064"
_FRACTION = "a text column and hours: MariaDB writes .000000 behind the seconds, MySQL's manual does not"

NOT_MYSQL: dict[str, str] = {
    **{f"update_self-{number}": _SAME_TABLE for number in range(PER_TEMPLATE)},
    **{f"delete_self-{number}": _SAME_TABLE for number in range(PER_TEMPLATE)},
    "describe-10": _COLLATION,
    "describe-17": _COLLATION,
    "no_function-2": _MEDIAN,
    "no_function-14": _MEDIAN,
    "no_function-9": "NVL2 is a function of MariaDB alone",
    **{f"difference_to_previous-{number}": _DEFAULT for number in range(PER_TEMPLATE)},
    **{f"date_arith-{number}": _FRACTION for number in (1, 4, 6, 7, 11, 17)},
}
"""By case, why."""
MISSED = {"oldest_per_group-10": "which of two spellings that are equal stands for a group"}
"""By case, what neither emulation does as MariaDB."""
NOT_EMULATED = frozenset({case for case, why in NOT_MYSQL.items() if why in (_COLLATION, _FRACTION)} | MISSED.keys())
"""Those that the emulation of MariaDB misses."""
