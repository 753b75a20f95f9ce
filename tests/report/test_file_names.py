import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.file_names import WORDS_BYTES, FileNames, slug


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("Figure 2a, by CG steps", "-figure-2a-by-cg-steps"),
        ("a_b - c", "-a-b-c"),
        ("../../etc/passwd", "-etc-passwd"),
        ("!?", ""),
        ("Genauigkeit über λ", "-genauigkeit-über-λ"),
        ("精度", "-精度"),
        ("गति की जाँच", "-गति-की-जाँच"),
    ],
)
def test_a_slug_keeps_letters_of_any_script_and_nothing_else(text: str, expected: str) -> None:
    assert slug(text) == unicodedata.normalize("NFKC", expected)


@given(st.text(max_size=300))
def test_a_slug_is_safe_in_a_file_name(text: str) -> None:
    found = slug(text)
    assert len(found.encode()) <= WORDS_BYTES + 1
    assert all(each in "-." or unicodedata.category(each)[0] in "LMN" for each in found)
    assert found == "" or (found.startswith("-") and found[-1] not in "-.")


@given(st.lists(st.sampled_from(["a", "A", "a-2", "A-2", "é", "e\u0301", "É", "ß", "SS", "ﬁ", "fi"]), max_size=20))
def test_no_two_names_are_one_file_on_any_file_system(wanted: list[str]) -> None:
    names = FileNames()
    found = [unicodedata.normalize("NFD", names.unique(each).casefold()).casefold() for each in wanted]
    assert len(set(found)) == len(wanted)
