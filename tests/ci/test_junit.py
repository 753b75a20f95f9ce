"""Verdicts as JUnit XML."""

from xml.etree import ElementTree

import pytest

from harness.ci.junit import junit
from harness.expectations import Outcome, Verdict
from tests.exports.hostile import LABELS


def test_a_case_a_verdict() -> None:
    found = [
        Verdict("Flat", "flat", Outcome.PASS, "is flat", "iMAML, K = 1 to 16"),
        Verdict("Linear", "linear", Outcome.FAIL, "is flat", "MAML, K = 1 to 16"),
        Verdict("Small", "at most 1 B", Outcome.UNTESTED, "no cell of it was measured"),
    ]
    root = ElementTree.fromstring(junit("fig2b", found))
    [suite] = root
    assert suite.attrib == {"name": "fig2b", "tests": "3", "failures": "1", "skipped": "1", "errors": "0"}
    assert [case.get("name") for case in suite] == ["Flat: flat", "Linear: linear", "Small: at most 1 B"]
    assert {case.get("classname") for case in suite} == {"fig2b"}
    assert [(case[0].tag, case[0].get("message"), case[0].text) for case in suite] == [
        ("system-out", None, "is flat (iMAML, K = 1 to 16)"),
        ("failure", "is flat (MAML, K = 1 to 16); expected: linear", None),
        ("skipped", "no cell of it was measured; expected: at most 1 B", None),
    ]


@pytest.mark.parametrize("text", [*LABELS, "]]>", "\x00\ufffe\ud800"])
@pytest.mark.parametrize("outcome", Outcome)
def test_any_text_is_well_formed(text: str, outcome: Outcome) -> None:
    [[case]] = ElementTree.fromstring(junit(text, [Verdict(text, text, outcome, text, text)]))
    assert len(case) == 1
