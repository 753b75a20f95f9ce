import subprocess
import sys

import pytest

from harness.errors import BadInput
from harness.exports import FORMATS, export
from harness.exports.selection import select
from tests.report.synthetic import measurement, run

RUN = run([measurement(metrics={"wall_seconds": [1.0], "peak_bytes": [2.0], "aura": [3.0]})])


def test_only_the_metrics_asked_for_are_held() -> None:
    [found] = select([RUN], ["aura", "wall_seconds"])
    assert found.measurements[0].metrics == {"wall_seconds": [1.0], "aura": [3.0]}
    assert select([RUN], []) == [RUN]


def test_a_misspelt_metric_is_told() -> None:
    with pytest.raises(BadInput, match="unknown metric 'wall_second': did you mean 'wall_seconds'"):
        export([RUN], "csv", ["wall_second"])


def test_a_misspelt_format_is_told() -> None:
    with pytest.raises(BadInput, match="unknown format 'markdwon': did you mean 'markdown'"):
        export([RUN], "markdwon")


@pytest.mark.parametrize("format", FORMATS)
def test_a_metric_nobody_measured_is_no_error(format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    assert export([RUN], format, ["cuda_seconds"]).content


def test_no_format_needs_torch() -> None:
    modules = sorted({f"harness.exports.{format.writer.partition(':')[0]}" for format in FORMATS.values()})
    code = f"import sys, harness.exports.schemas, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
