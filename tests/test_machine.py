import os

import pytest
import torch

from harness.errors import BadInput
from harness.machine import describe, folder_name, resolve_device

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


def test_the_cpu_is_described() -> None:
    machine = describe("cpu", threads=3)
    assert (machine.device, machine.threads, machine.logical_cores) == ("cpu", 3, os.cpu_count())
    assert machine.device_name == machine.processor != ""
    assert machine.device_uuid is None
    assert machine.memory_bytes % 2**30 == 0
    assert machine.torch == torch.__version__
    assert describe("cpu", None).threads == torch.get_num_threads()


def test_a_folder_is_named_after_the_device() -> None:
    machine = describe("cpu", threads=2).model_copy(update={"device_name": "Intel(R) Xeon(R) W-1290 @ 3.2GHz"})
    assert folder_name(machine) == "intel-xeon-w-1290-3-2ghz-2-threads"
    card = machine.model_copy(update={"device": "cuda:0", "device_name": "NVIDIA H100 80GB HBM3"})
    assert folder_name(card) == "nvidia-h100-80gb-hbm3"


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_an_absent_cuda_device_is_refused(device: str) -> None:
    with pytest.raises(BadInput, match=f"^device '{device}': torch .* finds no CUDA device here; use --device cpu$"):
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
