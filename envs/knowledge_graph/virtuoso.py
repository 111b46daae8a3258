"""A private Virtuoso on this machine: its own folder, ini and ports on loopback, some files loaded, gone at the end.

Debian has it: apt-get install virtuoso-server virtuoso-opensource-7-bin.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
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
        self._sql, http = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{http}/sparql"
        self._process: subprocess.Popen[bytes] | None = None
        places = [Path(file).resolve() for file in files]
        dirs = ", ".join(sorted({str(self._folder), *(str(place.parent) for place in places)}))
        ini = _INI.format(
            folder=self._folder, sql=self._sql, http=http, dirs=dirs, rows=most_rows,
            buffers=buffers, dirty=buffers * 3 // 4,
        )  # fmt: skip
        (self._folder / "virtuoso.ini").write_text(ini)
        try:
            self._start(seconds)
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

    def _start(self, seconds: float) -> None:
        self._process = subprocess.Popen(
            ["virtuoso-t", "+foreground", "+configfile", str(self._folder / "virtuoso.ini")],
            cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.sql("status();", seconds=20)
                return
            except (ConfigError, subprocess.TimeoutExpired) as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = self._folder / "virtuoso.log"
                    tail = log.read_text(errors="replace")[-300:] if log.is_file() else str(error)
                    raise ConfigError(f"Virtuoso did not start: {tail}") from error
            time.sleep(0.2)

    def _load(self, file: Path, graph: str) -> None:
        self.sql(f"ld_dir('{file.parent}', '{file.name}', '{graph}');")
        self.sql("rdf_loader_run();")
        failed = self.sql("SELECT ll_error FROM DB.DBA.load_list WHERE ll_error IS NOT NULL;")
        if "0 Rows" not in failed:
            raise ConfigError(f"Virtuoso cannot load {file}: {failed.strip()[-300:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
