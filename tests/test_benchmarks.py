"""The suites as pytest-benchmark tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cell import METRICS

SUITES = Path(__file__).parents[1] / "suites"


def test_memory_and_error_stand_beside_the_time(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    names = ["MAML-K=1", "MAML, replay-K=1", "iMAML, 5 CG steps-K=1"]
    chosen = [f"{SUITES / 'bench_ci.py'}::test_meta_gradient[{name}]" for name in names]
    command = [sys.executable, "-m", "pytest", *chosen, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--benchmark-enable", f"--benchmark-json={out}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    benchmarks = json.loads(out.read_text())["benchmarks"]
    assert [each["name"] for each in benchmarks] == [f"test_meta_gradient[{n}]" for n in names]
    for each in benchmarks:
        assert each["extra_info"].keys() <= METRICS.keys()
        assert each["extra_info"]["peak_bytes"] > 1e6
        assert each["stats"]["rounds"] == 3
    errors = [each["extra_info"]["backprop_relative_error"] for each in benchmarks]
    assert errors[0] < 1e-12 < errors[2]


@pytest.mark.parametrize("suite", [path.stem for path in SUITES.glob("*.toml")])
def test_every_suite_has_its_benchmarks(suite: str) -> None:
    assert f'cells("{suite}")' in (SUITES / f"bench_{suite}.py").read_text()
