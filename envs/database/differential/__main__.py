"""Compare the emulation of MySQL with a real server, or with what one gave before.

python -m cmat_env.envs.database.differential [--server mariadb|URL] [--record FILE | --against FILE] [--show N]
    [--round first|second]

Without --against, the statements run on a server: a private MariaDB, or the one of a URL. Both emulations are compared:
that of MariaDB in all cases, that of MySQL 8 in those in which MariaDB is documented to do the same. Exit status 1: one
of them agrees in less than 99 %.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from cmat_env.envs.database.backend import Limits
from cmat_env.envs.database.differential.cases import ROUNDS, cases
from cmat_env.envs.database.differential.compare import Outcome, difference, play, read, save
from cmat_env.envs.database.differential.known import NOT_MYSQL
from cmat_env.envs.database.mysql.checks import ServerName
from cmat_env.envs.database.server.backend import ServerBackend
from cmat_env.envs.database.sqlite import SQLiteBackend

WANTED = 0.99
SERVERS: tuple[tuple[ServerName, frozenset[str]], ...] = (("mariadb", frozenset()), ("mysql", frozenset(NOT_MYSQL)))
"""What is emulated, and in which cases MariaDB is not that."""
_UNHURRIED = Limits(seconds=60.0)


def recorded(place: str) -> dict[str, Outcome]:
    """What a server gives for every case."""
    backend = ServerBackend(place, limits=_UNHURRIED)
    try:
        return {case.id: play(case, backend) for case in cases()}
    finally:
        backend.close()


def disagreements(truth: Mapping[str, Outcome], server: ServerName) -> dict[str, str]:
    """The cases in which the emulation of a server differs, with what differs first."""
    backend = SQLiteBackend(server, limits=_UNHURRIED)
    found: dict[str, str] = {}
    for case in cases():
        if case.id not in truth:
            continue
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
    parser.add_argument("--round", choices=ROUNDS, help="report the templates of one round only")
    parser.add_argument("--show", type=int, default=1000, help="how many disagreements to print")
    options = parser.parse_args()
    truth = read(options.against) if options.against else recorded(options.server)
    if options.record:
        save(options.record, truth)
    if options.round:
        truth = {id: each for id, each in truth.items() if id.rpartition("-")[0] in ROUNDS[options.round]}
    statements = sum(len(outcome.statements) for outcome in truth.values())
    print(f"{len(truth)} cases, {statements} statements")
    agreements = []
    for server, others in SERVERS:
        apart = others & truth.keys()
        found = {id: wrong for id, wrong in disagreements(truth, server).items() if id not in apart}
        for id, wrong in list(found.items())[: options.show]:
            print(f"{id}: {wrong}")
        by_template = Counter(id.rpartition("-")[0] for id in found)
        agreements.append(1 - len(found) / (len(truth) - len(apart)))
        print(f"as {server}, without {len(apart)} cases: {agreements[-1]:.2%} agree, {len(found)} do not")
        templates = {id.rpartition("-")[0] for id in truth}
        print(f"{len(by_template)} of {len(templates)} templates disagree: {dict(by_template.most_common())}")
    return 0 if min(agreements) >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
