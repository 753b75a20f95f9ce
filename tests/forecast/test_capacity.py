"""What a device has left, from made-up folders of the kernel's."""

from pathlib import Path

import pytest

from harness.forecast import free_bytes
from harness.forecast.capacity import free_host_bytes

KIB, MIB, GIB = 2**10, 2**20, 2**30


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 8 GiB available."""
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:  {8 * GIB // KIB} kB\n")
    return folder


def group(folder: Path, limit: str, usage: int, inactive: int | None = None, *, version: int = 2) -> None:
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    if inactive is not None:
        name = "inactive_file" if version == 2 else "total_inactive_file"
        (folder / "memory.stat").write_text(f"anon 5\n{name} {inactive}\n")


def test_without_groups_it_is_what_the_kernel_deems_available(proc: Path, tmp_path: Path) -> None:
    assert free_host_bytes(proc, tmp_path / "cgroup") == 8 * GIB


def test_a_groups_limit_counts_less_what_is_used_and_cannot_be_dropped(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/job\n")
    group(tmp_path / "job", str(4 * GIB), 3 * GIB, inactive=2 * GIB)
    assert free_host_bytes(proc, tmp_path) == 3 * GIB


def test_the_tightest_of_the_groups_above_counts(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/slice/job\n")
    group(tmp_path / "slice/job", "max", 0)
    group(tmp_path / "slice", str(GIB), GIB - MIB)
    assert free_host_bytes(proc, tmp_path) == MIB


def test_a_group_over_its_limit_leaves_nothing(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/\n")
    group(tmp_path, str(GIB), 2 * GIB)
    assert free_host_bytes(proc, tmp_path) == 0


def test_version_1_has_a_hierarchy_of_its_own_for_memory(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("5:cpu,cpuacct:/other\n4:memory:/job\n")
    group(tmp_path / "memory/job", str(2 * GIB), GIB, inactive=MIB, version=1)
    group(tmp_path / "memory/other", str(MIB), 0, version=1)
    assert free_host_bytes(proc, tmp_path) == GIB + MIB


def test_version_1_writes_a_large_number_for_no_limit(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("4:memory:/job\n")
    group(tmp_path / "memory/job", str(2**63 - 4096), 0, version=1)
    assert free_host_bytes(proc, tmp_path) == 8 * GIB


def test_where_nothing_is_known_it_is_none(tmp_path: Path) -> None:
    assert free_host_bytes(tmp_path / "no-proc", tmp_path) is None


def test_this_machine_has_some_left_and_no_cuda_device_that_is_not_there() -> None:
    left = free_bytes("cpu")
    assert left is not None
    assert left > MIB


def test_an_absent_cuda_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert free_bytes("cuda:0") is None
