"""A comparison for other readers: JSON, Markdown, JUnit."""

import math
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from harness.compare.finding import Comparison, Finding
from harness.exports.document import json_bytes
from harness.report.tables import Row, Table, markdown_table, section, title
from harness.statistics import Verdict
from harness.store import LoadedRun
from harness.text import harmless, one_line
from harness.units import number, quantity

HEADERS = ("verdict", "cell", "metric", "base", "head", "change", "remark")


def row(finding: Finding) -> list[str]:
    """The finding in words, a text for each of ``HEADERS``."""
    return [
        finding.verdict.upper(),
        finding.name,
        title(finding.metric),
        *(_written(value, finding.unit) for value in (finding.base, finding.head)),
        _changed(finding),
        "; ".join(part for part in (finding.reason, finding.remedy) if part),
    ]


def change(base: float, head: float) -> str:
    """Head against base as "+10 %" or "× 25"; empty where it cannot be said, or there is none."""
    if base == head or not base or not math.isfinite(head / base):
        return ""
    return _change(head / base)


def message(finding: Finding) -> str:
    """Numbers, change and reason in one line."""
    _, _, _, base, head, changed, reason = row(finding)
    numbers = f"{base} → {head}" if base or head else ""
    return "; ".join(part for part in (numbers, changed, reason) if part)


def as_json(comparison: Comparison) -> bytes:
    """Everything, numbers in the metrics' units."""
    runs = {"base": comparison.base, "head": comparison.head}
    return json_bytes(
        {
            "passed": not comparison.failed,
            **{name: _run(run) for name, run in runs.items()},
            "counts": {str(verdict): comparison.count(verdict) for verdict in Verdict},
            "findings": [_entry(each) for each in comparison.findings],
            "notices": comparison.notes,
        }
    )


def _run(run: LoadedRun) -> dict[str, Any]:
    return {
        "path": harmless(str(run.path)),
        "git_revision": run.manifest.git_revision,
        "suite": run.manifest.suite.name,
    }


def _entry(finding: Finding) -> dict[str, Any]:
    return {
        "verdict": str(finding.verdict),
        "key": finding.cell.key,
        "cell": finding.name,
        "setting": finding.setting,
        "metric": finding.metric,
        "unit": finding.unit,
        "base": finding.base,
        "head": finding.head,
        "ratio": finding.ratio,
        "ratio_low": finding.low,
        "ratio_high": finding.high,
        "reason": finding.reason,
        "remedy": finding.remedy,
        "processes_needed": finding.needed,
    }


def as_markdown(comparison: Comparison, findings: Sequence[Finding]) -> str:
    """These findings as a table for each setting, with the summary above and what else to know below."""
    parts = [f"**{'WORSE' if comparison.failed else 'PASSED'}**: {comparison.summary}\n"]
    for setting in dict.fromkeys(each.setting for each in findings):
        rows = [Row(each.verdict is Verdict.WORSE, row(each)) for each in findings if each.setting == setting]
        parts.append(section(setting, Table(list(HEADERS), rows)))
    if comparison.notes:
        parts.append(markdown_table(Table(["note"], [Row(False, [each]) for each in comparison.notes])))
    return "\n".join(parts)


def as_junit(comparison: Comparison) -> bytes:
    """A test case for each cell and metric: what is worse failed, what is unclear was skipped."""
    counts = {
        "tests": str(len(comparison.findings)),
        "failures": str(comparison.count(Verdict.WORSE)),
        "skipped": str(comparison.count(Verdict.UNCLEAR)),
        "errors": "0",
    }
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "imaml-bench compare", **counts})
    for finding in comparison.findings:
        names = {"classname": f"{finding.name}; {finding.setting}", "name": finding.metric}
        case = ElementTree.SubElement(suite, "testcase", {name: one_line(text) for name, text in names.items()})
        outcome = {Verdict.WORSE: "failure", Verdict.UNCLEAR: "skipped"}.get(finding.verdict)
        if outcome:
            ElementTree.SubElement(case, outcome, {"message": one_line(message(finding))})
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)


def _changed(finding: Finding) -> str:
    """The change, with the interval where there is one."""
    if finding.base is None or finding.head is None:
        return ""
    ends = "" if finding.low is None or finding.high is None else f" ({_change(finding.low)} … {_change(finding.high)})"
    return f"{change(finding.base, finding.head)}{ends}"


def _written(value: float | None, unit: str) -> str:
    return "" if value is None else quantity(value, unit, digits=4)


def _change(ratio: float) -> str:
    return f"× {number(ratio)}" if ratio >= 10 else f"{100 * (ratio - 1):+.3g} %"
