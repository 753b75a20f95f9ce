"""How an exception says that memory ran out."""

import torch

_WANT_OF_MEMORY = (
    *("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED"),
    "NVML_SUCCESS == r INTERNAL ASSERT FAILED",  # torch asks NVML for the words of its error, and NVML may not answer
)
"""How the CPU's allocator, the CUDA runtime and its libraries (cuBLAS, cuDNN, …) say it without a type of its own."""

_NO_ENGINE = "unable to find an engine"
"""How cuDNN says that none of its algorithms would do, for want of memory or of support."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error) if isinstance(error, RuntimeError) else ""
    return any(each in words for each in _WANT_OF_MEMORY) or (_NO_ENGINE in words and _was_refused_memory())


def _was_refused_memory() -> bool:
    """Whether a CUDA allocator of this process ran out of memory, whatever became of the error."""
    return any(torch.cuda.memory_stats(index).get("num_ooms", 0) for index in range(torch.cuda.device_count()))
