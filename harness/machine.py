"""Which device is meant and what machine this is; run in a worker, so that the parent never touches CUDA."""

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from harness.errors import BadInput, unknown
from harness.manifest import Machine


def describe(device: str, threads: int | None) -> Machine:
    """This machine with the device asked for.

    Args:
        device: ``auto`` (the first CUDA device, else the CPU), ``cpu``, ``cuda`` or ``cuda:I``.
        threads: CPU threads for torch; torch's own choice if ``None``.

    Raises:
        BadInput: No such device.
    """
    device = resolve_device(device)
    cuda = torch.cuda.get_device_properties(device) if device != "cpu" else None
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        logical_cores=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        device=device,
        device_name=cuda.name if cuda else _processor(),
        device_uuid=str(getattr(cuda, "uuid", "")) or None if cuda else None,
        device_memory_bytes=cuda.total_memory if cuda else None,
        driver=_driver() if cuda else None,
        threads=threads or torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
        harness=version("imaml-bench"),
    )


def folder_name(machine: Machine) -> str:
    """What to call a folder of this machine's results: its device, and how many threads where that is a CPU."""
    name = re.sub(r"[^a-z0-9]+", "-", machine.device_name.replace("(R)", "").lower()).strip("-")
    return f"{name}-{machine.threads}-threads" if machine.device == "cpu" else name


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda:I`` for what the user asked for.

    Raises:
        BadInput: Not a device, or not one of this machine.
    """
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return "cpu"
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if not match:
        raise unknown("device", device, ("auto", "cpu", "cuda", "cuda:0"))
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise BadInput(f"device '{device}': torch {torch.__version__} finds no CUDA device here; use --device cpu")
    index = int(match[1] or 0)
    if index >= count:
        raise BadInput(f"device '{device}': there {_devices(count)}; the last one is cuda:{count - 1}")
    return f"cuda:{index}"


def _devices(count: int) -> str:
    return "is 1 CUDA device" if count == 1 else f"are {count} CUDA devices"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    """To the next GiB: what the kernel keeps for itself differs between boots."""
    gib = 2**30
    return -(-os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // gib) * gib


def _driver() -> str | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None


if __name__ == "__main__":
    print(folder_name(describe(sys.argv[1], None)))
