"""A few of the kills of :mod:`tests.kills.kills`."""

from pathlib import Path

import pytest

from tests.kills.kills import Trial
from tests.kills.staged import STAGES

BEHIND = {
    "planning": ("forecast", "cell"),
    "forecast": ("cell", "append"),
    "cell": ("append", "finish"),
    "append": ("cell", "finish"),
    "finish": (),
    "report": (),
}
"""Where a command may have got to by the time that the kill meant for a stage arrives."""


@pytest.mark.parametrize(
    "stages", [("append",), pytest.param(STAGES * 2, marks=pytest.mark.thorough)], ids=["append", "all stages"]
)
def test_a_run_that_is_killed_loses_nothing_and_leaves_no_process(tmp_path: Path, stages: tuple[str, ...]) -> None:
    kills = list(Trial(tmp_path).kill_at(stages))
    assert [each.kill for each in kills] == list(range(1, len(stages) + 1))
    assert [(each.lost, each.twice, each.left_behind) for each in kills] == [(0, 0, 0)] * len(stages)
    assert all(each.stage in (stage, *BEHIND[stage]) for each, stage in zip(kills, stages, strict=True))
