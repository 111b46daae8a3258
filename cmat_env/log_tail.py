"""An episode log that is followed while it grows: each look gives what was written since the last one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cmat_env.errors import LogError
from cmat_env.log import read_from
from cmat_env.log_lines import EpisodeRecord


class LogTail:
    """The end of a log. An episode that is half written, or torn, is given once it is whole.

    Args:
        path: the log; it may come later.

    Attributes:
        restarts: how often the log was found cut back or written anew, as by a run that was resumed; then everything
            in it is given again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.restarts = 0
        self._place = self._line = 0
        self._last = b""

    def read(self) -> Iterator[EpisodeRecord]:
        """The episodes that are new.

        Raises:
            LogError: a line is corrupt or of another schema, or the log cannot be read.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            self._forget()
            return
        except OSError as error:
            raise LogError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        with file:
            file.seek(max(0, self._place - len(self._last)))
            if file.read(len(self._last)) != self._last:
                self._forget()
                file.seek(0)
            line = self._line
            for record, (number, raw) in read_from(self.path, file, line=line):
                self._line, self._last = number, raw
                self._place = file.tell()
                yield record

    def _forget(self) -> None:
        self.restarts += self._place > 0
        self._place, self._line, self._last = 0, 0, b""
