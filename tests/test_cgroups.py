"""What the kernel's memory groups tell, from made-up folders."""

from pathlib import Path

import pytest

from harness.cgroups import count_oom_kills, memory_groups


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    return folder


def in_group(proc: Path, line: str) -> None:
    (proc / "self" / "cgroup").write_text(f"5:cpu,cpuacct:/other\n{line}\n")


def told(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_version_2_tells_of_kills_among_its_events(proc: Path, tmp_path: Path) -> None:
    in_group(proc, "0::/slice/job")
    told(tmp_path / "slice/job", "memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n")
    told(tmp_path / "slice", "memory.events", "oom_kill 9\n")
    assert count_oom_kills(proc, tmp_path) == 2


def test_version_1_tells_of_kills_in_a_hierarchy_of_its_own(proc: Path, tmp_path: Path) -> None:
    in_group(proc, "4:memory:/job")
    told(tmp_path / "memory/job", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    assert count_oom_kills(proc, tmp_path) == 5
    assert [each.folder for each in memory_groups(proc, tmp_path)] == [tmp_path / "memory/job", tmp_path / "memory"]


def test_a_group_that_is_not_visible_is_told_of_by_the_one_above(proc: Path, tmp_path: Path) -> None:
    in_group(proc, "0::/elsewhere/job")
    told(tmp_path, "memory.events", "oom_kill 1\n")
    assert count_oom_kills(proc, tmp_path) == 1


@pytest.mark.parametrize("text", ["", "oom_kill many\n", "under_oom 0\n"])
def test_a_kernel_that_does_not_tell_is_not_taken_for_none_killed(proc: Path, tmp_path: Path, text: str) -> None:
    in_group(proc, "0::/job")
    told(tmp_path / "job", "memory.events", text)
    assert count_oom_kills(proc, tmp_path) is None


def test_there_may_be_no_groups(proc: Path, tmp_path: Path) -> None:
    assert count_oom_kills(proc, tmp_path) is None
    assert list(memory_groups(proc, tmp_path)) == []
