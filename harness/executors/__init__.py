"""Where cells are measured, each in a process of its own."""

from harness.executors.local import LocalExecutor, WorkerDied

__all__ = ["LocalExecutor", "WorkerDied"]
