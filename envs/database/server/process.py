"""A private `mariadbd`: its own socket, its data in memory, gone with the process that started it.

A small shell holds the server. It waits for a line on a pipe, or for the pipe's end when our process ends, also by
SIGKILL; then it stops the server and removes the folder. So nothing is left behind whatever happens to us. (The line is
for a pipe that does not end because a process that we forked has it too.)
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from cmat_env.envs.database.server.address import Address
from cmat_env.errors import ConfigError

COLLATION = "utf8mb4_uca1400_nopad_ai_ci"
"""The nearest that MariaDB has to the default of MySQL 8, utf8mb4_0900_ai_ci."""

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_NEEDED_BYTES = 512 << 20
_SYSTEM_FOLDERS = "/usr/sbin:/usr/bin:/usr/libexec:/usr/local/sbin:/usr/local/bin:/usr/local/mysql/bin"

_KEEPER = """
trap '' INT TERM HUP
folder=$1; shift
"$@" </dev/null >/dev/null 2>&1 &
server=$!
read -r _
kill -TERM $server 2>/dev/null
( sleep 10; kill -KILL $server 2>/dev/null ) & late=$!
wait $server
kill $late 2>/dev/null
rm -rf "$folder"
"""

_OPTIONS = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--skip-symbolic-links",
    "--sysdate-is-now",
    "--performance-schema=OFF",
    "--event-scheduler=OFF",
    "--local-infile=0",
    "--character-set-server=utf8mb4",
    f"--collation-server={COLLATION}",
    "--max-connections=2000",
    "--thread-cache-size=64",
    "--table-open-cache=4000",
    "--max-allowed-packet=16M",
    "--default-storage-engine=InnoDB",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-use-native-aio=0",
    "--innodb-fast-shutdown=2",
    "--innodb-buffer-pool-size=128M",
    "--innodb-buffer-pool-dump-at-shutdown=0",
    "--innodb-buffer-pool-load-at-startup=0",
    "--innodb-log-file-size=32M",
    "--innodb-stats-persistent=0",
    "--innodb-temp-data-file-path=ibtmp1:4M:autoextend:max:512M",
    "--tmp-disk-table-size=268435456",
)


class PrivateServer:
    """A MariaDB server that belongs to this process.

    Attributes:
        folder: everything that it writes.
        address: how its administrator logs in.

    Raises:
        ConfigError: MariaDB is not installed, or does not start here.
    """

    def __init__(self) -> None:
        daemon, install = _program("mariadbd", "mysqld"), _program("mariadb-install-db", "mysql_install_db")
        self.folder = Path(tempfile.mkdtemp(prefix="cmat-mariadb-", dir=_fast_folder()))
        self._keeper: subprocess.Popen[bytes] | None = None
        password = secrets.token_hex(16)
        self.address = Address("root", password, unix_socket=str(self.folder / "socket"))
        try:
            self._prepare(install, password)
            self._start(daemon)
        except BaseException:
            self.stop()
            raise

    def _prepare(self, install: str, password: str) -> None:
        """Make the system tables, and a file that sets the administrator's password at the start."""
        # For temporary files, and the only place where a statement could reach files, whatever the account's rights.
        (self.folder / "files").mkdir()
        start = self.folder / "start.sql"
        start.write_text(f"ALTER USER root@localhost IDENTIFIED BY '{password}';\n", encoding="ascii")
        start.chmod(0o600)
        user = _account()
        if user:
            for path in (self.folder, start, self.folder / "files"):
                shutil.chown(path, user)
        made = subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-log-file-size=8M",
                *([f"--user={user}"] if user else []),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise ConfigError(f"{install} failed: {made.stderr[-500:] or made.stdout[-500:]}; is {self.folder} full?")

    def _start(self, daemon: str) -> None:
        user, log = _account(), self.folder / "error.log"
        command = [
            daemon,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.address.unix_socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--log-error={log}",
            f"--init-file={self.folder / 'start.sql'}",
            f"--tmpdir={self.folder / 'files'}",
            f"--secure-file-priv={self.folder / 'files'}",
            *([f"--user={user}"] if user else []),
            *_OPTIONS,
        ]
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "cmat-mariadb", str(self.folder), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # whoever reads our output need not wait for it
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; the server ends after us
        )
        end = time.monotonic() + _START_SECONDS
        while not (self.folder / "pid").exists():  # written when it takes connections
            if time.monotonic() > end or _failed(log):
                told = log.read_text(encoding="utf-8", errors="replace")[-800:] if log.exists() else "nothing"
                raise ConfigError(f"{daemon} does not start; its log ends with: {told}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """The server's process."""
        return int((self.folder / "pid").read_text(encoding="ascii"))

    def size_of(self, database: str) -> int:
        """Bytes of the files of a database."""
        try:
            with os.scandir(self.folder / "data" / database) as files:
                return sum(file.stat().st_size for file in files)
        except FileNotFoundError:  # dropped
            return 0

    def stop(self) -> None:
        """Stop the server and remove its folder; twice is fine."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                keeper.stdin.write(b"\n")
                keeper.stdin.close()
            try:
                keeper.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(keeper.pid, signal.SIGKILL)
                keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _failed(log: Path) -> bool:
    return log.exists() and "[ERROR] Aborting" in log.read_text(encoding="utf-8", errors="replace")


def _program(*names: str) -> str:
    """The first of these programs that is installed."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)
        if found:
            return found
    raise ConfigError(
        f"backend='mariadb' starts a private server, and {names[0]} is not installed; "
        "run: apt-get install mariadb-server, or give the URL of a server: backend='mariadb://USER:PASSWORD@HOST/'"
    )


def _account() -> str | None:
    """The account to run as: the server refuses to be root without being told who else to be."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("mysql").pw_name
    except KeyError:
        return "root"


def _fast_folder() -> str:
    """A folder in memory, if there is one with room."""
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > _NEEDED_BYTES:
        return str(shared)
    return tempfile.gettempdir()
