"""Page text as data."""

from __future__ import annotations

import pytest

from cmat_env.envs.web.text import clean, match_key, quoted


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("two\nlines\tand  more ", "two lines and more"),
        ("a [SEP] b [ sep ] c [button_]", "a (SEP) b (sep) c (button_)"),
        ("«quoted»", "<quoted>"),
        ("zero\u200bwidth \u202e\x00 \ud800", "zerowidth"),
        ("e\u0301", "\u00e9"),
        ("東京 naïve", "東京 naïve"),
    ],
)
def test_clean_text_cannot_look_like_the_environment(raw: str, wanted: str) -> None:
    """No line break, invisible character, separator or quotation mark is left, and the text is in NFC."""
    assert wanted == clean(raw)
    assert wanted == clean(wanted)


def test_quoted_text_has_exactly_one_pair_of_marks() -> None:
    """Whatever was written, the marks are ours."""
    assert "«a < b»" == quoted(clean("a « b"))


def test_labels_match_in_spite_of_case_form_width_and_invisible_characters() -> None:
    """`match_key` forgives what a model may change in copying a label, and nothing else."""
    assert match_key("Cr\u00e8me Br\u00fbl\u00e9e") == match_key("  «CRE\u0300ME\u00a0BRU\u0302LE\u0301E\u200b» ")
    assert match_key("red") != match_key("red.")
