import pytest

from harness.cell import Status
from harness.exports import export
from harness.report.settings import settings
from harness.report.tables import markdown
from tests.exports.hostile import LABELS
from tests.report.synthetic import measurement, run


def test_markdown_is_the_reports() -> None:
    runs = [run([measurement(metrics={"wall_seconds": [0.1]}), measurement(dtype="float64")])]
    assert export(runs, "markdown").content.decode() == markdown(settings(runs))


@pytest.mark.parametrize("label", LABELS)
def test_no_text_is_markup(label: str) -> None:
    failed = measurement(label, status=Status.CRASH, reason=label)
    lines = export([run([failed])], "markdown").content.decode().splitlines()
    assert len(lines) == 5
    row = lines[-1].replace("\\|", "").replace("\\`", "").replace("\\[", "")
    assert row.count("|") == 5
    assert not set("<>`[") & set(row)
