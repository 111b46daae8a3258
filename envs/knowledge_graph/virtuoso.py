"""A private Virtuoso on this machine: its own folder, ini and ports on loopback, some files loaded, gone at the end.

Debian has it: apt-get install virtuoso-server virtuoso-opensource-7-bin.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cmat_env.errors import ConfigError

_INI = """\
[Database]
DatabaseFile = {folder}/virtuoso.db
ErrorLogFile = {folder}/virtuoso.log
LockFile = {folder}/virtuoso.lck
TransactionFile = {folder}/virtuoso.trx
xa_persistent_file = {folder}/virtuoso.pxa
ErrorLogLevel = 3
FileExtend = 200
Striping = 0
TempStorage = TempDatabase
[TempDatabase]
DatabaseFile = {folder}/temp.db
TransactionFile = {folder}/temp.trx
FileExtend = 200
[Parameters]
ServerPort = 127.0.0.1:{sql}
DirsAllowed = {dirs}
NumberOfBuffers = {buffers}
MaxDirtyBuffers = {dirty}
CheckpointInterval = 0
ThreadsPerQuery = 2
SchedulerInterval = 10
[HTTPServer]
ServerPort = 127.0.0.1:{http}
ServerThreads = 8
[SPARQL]
ResultSetMaxRows = {rows}
MaxQueryExecutionTime = 60
"""
_TAKEN = re.compile(r"Failed (to start listening|HTTP listen) at")
_BINARIES = ("virtuoso-t", "isql-vt")


class LocalVirtuoso:
    """A running Virtuoso; leave the context or call `stop` to end it and remove its folder.

    Args:
        files: of triples or quads to load, also .gz; triples go into `graph`.
        graph: where the triples of files without graphs go.
        most_rows: its ResultSetMaxRows.
        buffers: of 8 kB each.
        seconds: to wait for the start.

    Raises:
        ConfigError: it is not installed, does not start, or refuses a file.
    """

    def __init__(
        self,
        files: Sequence[str | Path] = (),
        *,
        graph: str = "urn:graph",
        most_rows: int = 1_000_000,
        buffers: int = 40_000,
        seconds: float = 120.0,
    ) -> None:
        if not self.installed():
            raise ConfigError("Virtuoso is not installed; apt-get install virtuoso-server virtuoso-opensource-7-bin")
        self._folder = Path(tempfile.mkdtemp(prefix="cmat-virtuoso-"))
        self._sql, self.url = 0, ""
        self._process: subprocess.Popen[bytes] | None = None
        places = [Path(file).resolve() for file in files]
        dirs = ", ".join(sorted({str(self._folder), *(str(place.parent) for place in places)}))
        ini = {"dirs": dirs, "rows": most_rows, "buffers": buffers, "dirty": buffers * 3 // 4}
        try:
            self._start(ini, seconds)
            for place in places:
                self._load(place, graph)
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def installed() -> bool:
        """Are its programs there?"""
        return all(shutil.which(name) for name in _BINARIES)

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._process is not None
        return self._process.pid

    def sql(self, statement: str, *, seconds: float = 600.0) -> str:
        """Run a statement of Virtuoso's own SQL.

        Raises:
            ConfigError: it failed.
        """
        done = subprocess.run(
            ["isql-vt", f"127.0.0.1:{self._sql}", "dba", "dba", "ERRORS=STDOUT", f"exec={statement}"],
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        if done.returncode or "*** Error" in done.stdout:
            raise ConfigError(f"Virtuoso refuses {statement!r}: {(done.stdout + done.stderr).strip()[-300:]}")
        return done.stdout

    def stop(self) -> None:
        """End it and remove its folder; twice is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> LocalVirtuoso:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, ini: Mapping[str, object], seconds: float) -> None:
        """Start it; again with other ports, if somebody else took one between the choice and the start."""
        deadline = time.monotonic() + seconds
        while not self._listens(ini, deadline):
            pass

    def _listens(self, ini: Mapping[str, object], deadline: float) -> bool:
        """Start it once, and wait until it answers; False if a port was taken."""
        file, log = self._folder / "virtuoso.ini", self._folder / "virtuoso.log"
        log.unlink(missing_ok=True)
        self._sql, http = _free_ports()
        self.url = f"http://127.0.0.1:{http}/sparql"
        file.write_text(_INI.format(folder=self._folder, sql=self._sql, http=http, **ini))
        self._process = subprocess.Popen(
            ["virtuoso-t", "+foreground", "+configfile", str(file)],
            cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        said = ""
        while True:
            try:
                # Who answers may be another Virtuoso; SQL is served last, so that HTTP is ours as well.
                said = self.sql("SELECT virtuoso_ini_path();", seconds=20)
                if str(self._folder) in said:
                    return True
            except (ConfigError, subprocess.TimeoutExpired) as error:
                said = str(error)
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-300:] if log.is_file() else said
                if _TAKEN.search(tail) and time.monotonic() < deadline:
                    return False
                raise ConfigError(f"Virtuoso did not start: {tail}")
            time.sleep(0.2)

    def _load(self, file: Path, graph: str) -> None:
        self.sql(f"ld_dir('{file.parent}', '{file.name}', '{graph}');")
        self.sql("rdf_loader_run();")
        failed = self.sql("SELECT ll_error FROM DB.DBA.load_list WHERE ll_error IS NOT NULL;")
        if "0 Rows" not in failed:
            raise ConfigError(f"Virtuoso cannot load {file}: {failed.strip()[-300:]}")


def _free_ports() -> tuple[int, int]:
    """Two that are free at this moment."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
