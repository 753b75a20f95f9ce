"""Verdicts as a JUnit report, which GitLab, Jenkins and others show beside tests."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from harness.errors import os_errors
from harness.expectations import Outcome, Verdict
from harness.text import one_line


def write_junit(path: Path, suite: str, verdicts: Sequence[Verdict]) -> None:
    """Write :func:`junit` to a file.

    Raises:
        BadInput: It cannot be written.
    """
    with os_errors(f"cannot write to {path}"):
        path.write_bytes(junit(suite, verdicts))


def junit(suite: str, verdicts: Sequence[Verdict]) -> bytes:
    """One test case a verdict: failed claims are failures, those not tested are skipped."""
    counts = Counter(each.outcome for each in verdicts)
    numbers = {"tests": counts.total(), "failures": counts[Outcome.FAIL], "skipped": counts[Outcome.UNTESTED]}
    attributes = {"name": _text(suite), **{name: str(number) for name, number in numbers.items()}, "errors": "0"}
    root = ElementTree.Element("testsuites")
    of_suite = ElementTree.SubElement(root, "testsuite", attributes)
    for each in verdicts:
        name = _text(f"{each.claim}: {each.bound}")
        case = ElementTree.SubElement(of_suite, "testcase", {"classname": _text(suite), "name": name, "time": "0"})
        if each.outcome is Outcome.PASS:
            ElementTree.SubElement(case, "system-out").text = _text(each.found)
        else:
            tag = "failure" if each.outcome is Outcome.FAIL else "skipped"
            ElementTree.SubElement(case, tag, {"message": _text(each.sentence)})
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _text(text: str) -> str:
    """Without what XML cannot hold: control characters, lone surrogates, U+FFFE and U+FFFF."""
    return one_line(text)
