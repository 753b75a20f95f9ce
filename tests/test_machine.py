import os
import platform
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import BadInput
from harness.executors import LocalExecutor
from harness.machine import describe, folder_name, provenance, resolve_device
from harness.manifest import Manifest, Provenance
from harness.meters import conditions

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


def test_the_cpu_is_described() -> None:
    machine = describe("cpu", threads=1)
    assert (machine.device, machine.threads, machine.logical_cores) == ("cpu", 1, os.cpu_count())
    assert machine.device_name == machine.processor != ""
    assert machine.device_uuid is None
    assert machine.memory_bytes % 2**30 == 0
    assert machine.torch == torch.__version__
    assert describe("cpu", None).threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("cpus", "threads", "message"),
    [
        ({0, 3}, 3, "threads: 3 is more than the 2 processors this process may use"),
        ({3}, 2, "threads: 2 is more than the processor this process may use"),
        ({0, 3}, 0, "threads: 0 is not a positive whole number"),
    ],
)
def test_more_threads_than_processors_are_refused(
    monkeypatch: pytest.MonkeyPatch, cpus: set[int], threads: int, message: str
) -> None:
    monkeypatch.setattr("harness.machine.usable_cpus", lambda: frozenset(cpus))
    with pytest.raises(BadInput, match=f"^{message}$"):
        describe("cpu", threads)
    assert describe("cpu", len(cpus)).threads == len(cpus)


def test_a_folder_is_named_after_the_device() -> None:
    machine = describe("cpu", None).model_copy(update={"threads": 2, "device_name": "Intel(R) Xeon(R) W-1290 @ 3.2GHz"})
    assert folder_name(machine) == "intel-xeon-w-1290-3-2ghz-2-threads"
    card = machine.model_copy(update={"device": "cuda:0", "device_name": "NVIDIA H100 80GB HBM3"})
    assert folder_name(card) == "nvidia-h100-80gb-hbm3"


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_an_absent_cuda_device_is_refused(device: str) -> None:
    with pytest.raises(BadInput, match=f"^device '{device}': torch .* finds no CUDA device here; use 'cpu'$"):
        resolve_device(device)


@without_cuda
def test_auto_is_the_cpu_without_cuda() -> None:
    assert resolve_device("auto") == "cpu"


def test_auto_and_indices_with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [resolve_device(name) for name in ("auto", "cuda", "cuda:1", "cpu")] == ["cuda:0", "cuda:0", "cuda:1", "cpu"]
    with pytest.raises(BadInput, match=r"^device 'cuda:2': there are 2 CUDA devices; the last one is cuda:1$"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("device", ["cud", "CUDA", "cuda:", "cuda:x", "gpu", ""])
def test_other_words_are_no_devices(device: str) -> None:
    with pytest.raises(BadInput, match=f"^unknown device '{device}': "):
        resolve_device(device)


@pytest.fixture
def _torch_left_as_it_was() -> Generator[None]:
    threads = torch.get_num_threads()
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32


@pytest.mark.usefixtures("_torch_left_as_it_was")
def test_software_is_what_is_imported() -> None:
    software = provenance("cpu", 1).software
    assert software["torch"] == torch.__version__
    assert software["numpy"] == np.__version__
    assert software["python"] == f"CPython {platform.python_version()}"
    assert software["kernel"] == platform.release()
    assert software["blas"]
    assert "nccl" not in software
    assert "" not in software.values()
    assert "None" not in software.values()


@pytest.mark.usefixtures("_torch_left_as_it_was")
def test_the_build_of_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the package index the CUDA build is the version without it."""
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu999")
    assert provenance("cpu", 1).software["torch"] == "2.13.0+cu999"


@pytest.mark.usefixtures("_torch_left_as_it_was")
def test_settings_are_those_of_a_process_that_measures() -> None:
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = True
    settings = provenance("cpu", 2).settings
    assert settings["threads"] == "2"
    assert settings["matmul_tf32"] == settings["cudnn_tf32"] == "false"
    assert settings["deterministic_algorithms"] == "false"
    assert settings["default_dtype"] == "float32"
    assert int(settings["usable_cpus"]) == len(conditions.usable_cpus())


@pytest.mark.usefixtures("_torch_left_as_it_was")
def test_settings_follow_torch() -> None:
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True
    try:
        settings = provenance("cpu", 1).settings
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False
    assert settings["deterministic_algorithms"] == settings["cudnn_benchmark"] == "true"


@pytest.mark.usefixtures("_torch_left_as_it_was")
def test_an_unknown_governor_has_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conditions, "_CPUS", tmp_path)
    assert provenance("cpu", 1).settings["governor"].startswith("no frequency scaling")


@pytest.mark.usefixtures("_torch_left_as_it_was")
def test_only_variables_that_matter_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    kept = {"OMP_NUM_THREADS": "3", "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "PYTORCH_CUDA_ALLOC_CONF": "a:b"}
    secrets = {"API_TOKEN": "hush", "HOME": "/home/me", "PYTORCH_SECRET": "hush", "CUDA_SECRET": "hush"}
    for name, value in (kept | secrets).items():
        monkeypatch.setenv(name, value)
    assert provenance("cpu", 1).environment == kept


def test_a_worker_says_what_workers_see() -> None:
    seen: Provenance = LocalExecutor().ask("harness.machine:provenance", "cpu", 1)
    assert isinstance(seen, Provenance)
    assert seen.environment["OPENBLAS_NUM_THREADS"] == os.environ.get("OPENBLAS_NUM_THREADS", "1")


def test_manifests_from_before_say_nothing_of_it() -> None:
    old = Path(__file__).parent / "runs" / "schema1" / "manifest.json"
    manifest = Manifest.model_validate_json(old.read_text())
    assert (manifest.software, manifest.settings, manifest.environment) == ({}, {}, {})
