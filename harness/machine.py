"""Which device is meant, what machine this is and how it is set; run in a worker: the parent never touches CUDA."""

import os
import platform
import re
import sys
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch.cuda import nccl

from harness.checks import require_count
from harness.errors import BadInput, unknown
from harness.manifest import Machine, Provenance
from harness.meters.conditions import governor, usable_cpus

PACKAGES = ("torch", "numpy", "pandas", "pydantic", "memory-profiler", "psutil", "nvidia-ml-py", "triton")
"""Whose versions are recorded where they are installed."""

ENVIRONMENT = (
    *("OMP_*", "KMP_*", "GOMP_*", "MKL_*", "OPENBLAS_*", "MALLOC_*", "LD_PRELOAD"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING"),
    *("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_*"),
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING"),
)
"""Environment variables that may move the numbers. Never all of them: others may hold secrets."""

_CUDA_DEVICE = re.compile(r"cuda(?::(\d+))?")


def describe(device: str, threads: int | None) -> Machine:
    """This machine with the device asked for.

    Args:
        device: ``auto`` (the first CUDA device, else the CPU), ``cpu``, ``cuda`` or ``cuda:I``.
        threads: CPU threads for torch; torch's own choice if ``None``.

    Raises:
        BadInput: No such device, or more threads than CPUs this process may use.
    """
    device = resolve_device(device)
    if threads is not None:
        _require_threads(threads)
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


def _require_threads(threads: int) -> None:
    require_count("threads", threads)
    most = len(usable_cpus())
    if threads > most:
        processors = "processor" if most == 1 else f"{most} processors"
        raise BadInput(f"threads: {threads} is more than the {processors} this process may use")


def configure(threads: int) -> None:
    """Settle how torch computes in this process: its threads, and no TF32 in place of float32."""
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def provenance(device: str, threads: int) -> Provenance:
    """Software, settings and environment of a worker that measures on ``device``. Configures this process."""
    configure(threads)
    return Provenance(software=_software(device), settings=_settings(), environment=_environment())


def folder_name(machine: Machine) -> str:
    """What to call a folder of this machine's results: its device, and how many threads where that is a CPU."""
    name = re.sub(r"[^a-z0-9]+", "-", machine.device_name.replace("(R)", "").lower()).strip("-")
    return f"{name}-{machine.threads}-threads" if machine.device == "cpu" else name


def imagined_device(device: str) -> str:
    """``cpu`` or ``cuda:I``, which need not be there: without a CUDA device in this machine any number is taken.

    Raises:
        BadInput: Not a device, or not one of this machine's several.
    """
    match = _CUDA_DEVICE.fullmatch(device)
    if match and not torch.cuda.is_available():
        return f"cuda:{int(match[1] or 0)}"
    return resolve_device(device)


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda:I`` for what the user asked for.

    Raises:
        BadInput: Not a device, or not one of this machine.
    """
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return "cpu"
    match = _CUDA_DEVICE.fullmatch(device)
    if not match:
        raise unknown("device", device, ("auto", "cpu", "cuda", "cuda:0"))
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise BadInput(f"device '{device}': torch {torch.__version__} finds no CUDA device here; use 'cpu'")
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


def _software(device: str) -> dict[str, str]:
    has_nccl = device != "cpu" and torch.distributed.is_available() and torch.distributed.is_nccl_available()
    versions = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: _version(name) for name in PACKAGES},
        "torch": torch.__version__,  # the package's version does not say which CUDA it was built for
        "blas": _blas(),
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "cudnn": torch.backends.cudnn.version(),
        "nccl": ".".join(map(str, nccl.version())) if has_nccl else None,
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()).strip(),
    }
    return {name: str(version) for name, version in versions.items() if version}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _blas() -> str | None:
    match = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return match[1] if match else None


def _settings() -> dict[str, str]:
    frequency = governor()
    settings = {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "usable_cpus": len(usable_cpus()),
        "hyperthreading": _hyperthreading(),
        "governor": frequency.value or frequency.reason,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()}


def _hyperthreading() -> str:
    try:
        return {"0": "off", "1": "on"}[Path("/sys/devices/system/cpu/smt/active").read_text().strip()]
    except (OSError, KeyError):
        return "the system does not tell"


def _environment() -> dict[str, str]:
    matters = [name for name in sorted(os.environ) if any(fnmatchcase(name, pattern) for pattern in ENVIRONMENT)]
    return {name: os.environ[name] for name in matters}


if __name__ == "__main__":
    print(folder_name(describe(sys.argv[1], None)))
