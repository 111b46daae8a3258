"""Text of strangers: whatever it holds, a terminal shows it and obeys nothing."""

from __future__ import annotations

import sys

from cmat_env.terminal import printable


def test_ordinary_text_stays_as_it_is() -> None:
    """Letters of any script, signs, line ends and tabs."""
    text = "SELECT 'Zürich', '東京', '😀'\n\tFROM t"

    assert text == printable(text)


def test_no_character_that_steers_is_left() -> None:
    """Of all of Unicode: no control character but newline and tab, no direction override, nothing unencodable."""
    everything = printable("".join(map(chr, range(sys.maxunicode + 1))))
    steering = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u202a\u202b\u202c\u202d\u202e"} - {"\n", "\t"}

    assert set() == steering & set(everything)
    assert everything == everything.encode().decode()


def test_a_sign_takes_the_place_of_a_character() -> None:
    """The length stays, so that styles by position still fit."""
    assert "␛[31m␇\ufffd" == printable("\x1b[31m\x07\u202e")
