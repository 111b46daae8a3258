"""One key at a time from the terminal."""

from __future__ import annotations

import os
import sys

_SEQUENCES = {
    "[C": "right", "OC": "right", "[D": "left", "OD": "left", "[A": "up", "OA": "up", "[B": "down", "OB": "down",
    "[H": "home", "OH": "home", "[1~": "home", "[F": "end", "OF": "end", "[4~": "end", "[5~": "up", "[6~": "down",
}  # fmt: skip
_WINDOWS = {"M": "right", "K": "left", "H": "up", "P": "down", "G": "home", "O": "end", "I": "up", "Q": "down"}
_NAMED = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x1b": "escape", "\x04": "q"}


def read_key() -> str:
    """Wait for a key: a character, or "left", "right", "up", "down", "home", "end", "enter", "backspace", "escape".

    Raises:
        KeyboardInterrupt: Ctrl-C.
        EOFError: the terminal is gone.
    """
    return _read()


def name_of(raw: bytes) -> str:
    """The name of the key that sends these bytes on a POSIX terminal.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        EOFError: no bytes.
    """
    if not raw:
        raise EOFError("the terminal is gone")
    if raw == b"\x03":
        raise KeyboardInterrupt
    text = raw.decode("utf-8", "replace")
    if len(text) > 1 and text.startswith("\x1b"):
        return _SEQUENCES.get(text[1:], "escape")
    return _NAMED.get(text[0], text[0])


if sys.platform == "win32":
    import msvcrt

    def _read() -> str:
        key = msvcrt.getwch()
        if key == "\x03":
            raise KeyboardInterrupt
        return _WINDOWS.get(msvcrt.getwch(), "escape") if key in "\x00\xe0" else _NAMED.get(key, key)

else:
    import termios
    import tty

    def _read() -> str:
        """The terminal is raw for this one key, and its settings are put back."""
        terminal = sys.stdin.fileno()
        settings = termios.tcgetattr(terminal)
        try:
            tty.setraw(terminal, termios.TCSADRAIN)
            raw = os.read(terminal, 16)
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
        return name_of(raw)
