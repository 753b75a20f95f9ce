import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.text import harmless, is_harmless, one_line, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("over\rwritten", r"over\rwritten"),
        ("abc\u202egnp", r"abc\u202egnp"),
        ("half \ud800", r"half \ud800"),
        ("λ = 2 → été, 精度, 👩\u200d🔬\tx\ny", "λ = 2 → été, 精度, 👩\u200d🔬\tx\ny"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert harmless(text) == shown
    assert is_harmless(text) == (text == shown)


@given(st.text())
def test_a_harmless_text_obeys_nothing_and_stays_as_it_is(text: str) -> None:
    once = harmless(text)
    assert is_harmless(once)
    assert harmless(once) == once
    once.encode()


@given(st.text(max_size=50), st.integers(3, 60))
def test_a_shortened_text_is_one_short_line(text: str, length: int) -> None:
    assert len(shortened(text, length)) <= length
    assert shortened(text, length).isprintable()
    assert one_line(text).isprintable()
