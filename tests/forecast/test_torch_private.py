"""The private parts of PyTorch that forecasts need: one that is missing is named, and nothing else goes with it."""

import subprocess
import sys

import pytest
import torch

from harness.errors import BadInput
from harness.forecast.torch_private import PARTS, require

MISSING = """
from torch.utils import _python_dispatch
from harness.cell import Cell, Part, Status
from harness.worker import measure

del _python_dispatch.TorchDispatchMode
from harness.forecast import forecast, free_bytes

one = Cell(
    problem=Part(name="linear", parameters={"dim": 8, "n": 16}),
    estimator=Part(name="fomaml", parameters={}),
    label="fomaml",
    steps=2,
    measure=("memory",),
)
print(*forecast([one, one]), sep="\\n")
found = []
print(measure(one, found.append), any("peak_bytes" in each.metrics for each in found), free_bytes("cpu") > 0)
"""


def test_this_torch_has_them() -> None:
    assert require() is None  # or it raises, and names what is missing


@pytest.mark.parametrize("path", PARTS)
def test_a_missing_part_is_named_with_what_it_is_for(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.forecast.torch_private.PARTS", {f"{path}_of_old": "what it was for"})
    with pytest.raises(BadInput) as raised:
        require()
    assert str(raised.value) == (
        f"torch {torch.__version__} has no {path}_of_old (what it was for), so memory cannot be forecast with it"
    )


def test_without_one_forecasts_have_a_reason_and_measuring_goes_on() -> None:
    part = "torch.utils._python_dispatch.TorchDispatchMode"
    ended = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    *forecasts, measured = ended.stdout.splitlines()
    assert len(forecasts) == 2
    assert all("peak_bytes=None" in each and f"has no {part} ({PARTS[part]})" in each for each in forecasts)
    assert measured == "Outcome(status=<Status.OK: 'ok'>, reason=None) True True"
