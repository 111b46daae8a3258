"""Make what a program wrote fit to be shown: no escape sequences, no control characters, always text."""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # everything else
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(output: bytes) -> str:
    """Decode a program's output; bytes that are no UTF-8 become U+FFFD, lines end with a newline alone."""
    text = output.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))
