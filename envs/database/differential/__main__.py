"""Compare the emulation of MySQL with a real server, or with what one gave before.

python -m cmat_env.envs.database.differential [--server mariadb|URL] [--record FILE | --against FILE] [--show N]

Without --against, the statements run on a server: a private MariaDB, or the one of a URL. Exit status 1: the agreement
is under 99 %, cases apart in which MariaDB is not MySQL 8.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from cmat_env.envs.database.backend import Limits
from cmat_env.envs.database.differential.cases import TEMPLATES, cases
from cmat_env.envs.database.differential.compare import Outcome, difference, play, read, save
from cmat_env.envs.database.differential.known import NOT_MYSQL
from cmat_env.envs.database.server.backend import ServerBackend
from cmat_env.envs.database.sqlite import SQLiteBackend

WANTED = 0.99
_UNHURRIED = Limits(seconds=60.0)


def recorded(place: str) -> dict[str, Outcome]:
    """What a server gives for every case."""
    backend = ServerBackend(place, limits=_UNHURRIED)
    try:
        return {case.id: play(case, backend) for case in cases()}
    finally:
        backend.close()


def disagreements(truth: Mapping[str, Outcome]) -> dict[str, str]:
    """The cases in which the emulation differs, with what differs first."""
    backend = SQLiteBackend("mysql", limits=_UNHURRIED)
    found: dict[str, str] = {}
    for case in cases():
        wrong = difference(play(case, backend), truth[case.id], ordered=case.ordered)
        if wrong:
            found[case.id] = wrong
    backend.close()
    return found


def main() -> int:
    """Run the comparison and report it."""
    parser = argparse.ArgumentParser(description="compare the emulation of MySQL with a server")
    parser.add_argument("--server", default="mariadb", help="mariadb = a private one, or a URL")
    parser.add_argument("--record", type=Path, help="write what the server gives to this file")
    parser.add_argument("--against", type=Path, help="compare with this file instead of a server")
    parser.add_argument("--show", type=int, default=1000, help="how many disagreements to print")
    options = parser.parse_args()
    truth = read(options.against) if options.against else recorded(options.server)
    if options.record:
        save(options.record, truth)
    found = disagreements(truth)
    for id, wrong in list(found.items())[: options.show]:
        print(f"{id}: {wrong}")
    by_template = Counter(id.rpartition("-")[0] for id in found)
    statements = sum(len(outcome.statements) for outcome in truth.values())
    share = 1 - len(found) / len(truth)
    misses = [id for id in found if id not in NOT_MYSQL]
    comparable = len(truth) - len(NOT_MYSQL)
    print(f"{len(by_template)} of {len(TEMPLATES)} templates disagree: {dict(by_template.most_common())}")
    print(f"{len(truth)} cases, {statements} statements: {share:.2%} agree, {len(found)} do not")
    agreement = 1 - len(misses) / comparable
    print(
        f"without the {len(NOT_MYSQL)} in which MariaDB is not MySQL 8: {agreement:.2%}, {len(misses)} misses: {misses}"
    )
    return 0 if agreement >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
