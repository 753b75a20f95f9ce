"""A few of the kills of :mod:`tests.kills.kills`."""

from pathlib import Path

import pytest

from tests.kills.kills import Trial
from tests.kills.staged import STAGES


@pytest.mark.parametrize("stages", [("append",), pytest.param(STAGES * 2, marks=pytest.mark.thorough)], ids=len)
def test_a_run_that_is_killed_loses_nothing_and_leaves_no_process(tmp_path: Path, stages: tuple[str, ...]) -> None:
    kills = list(Trial(tmp_path).kill_at(stages))
    assert [each.kill for each in kills] == list(range(1, len(stages) + 1))
    assert [(each.lost, each.twice, each.left_behind) for each in kills] == [(0, 0, 0)] * len(stages)
    assert {each.stage for each in kills} & {*stages}  # a moment may fall just behind its stage
