"""Where cells are measured, each in a process of its own."""

from harness.executors.local import LocalExecutor

__all__ = ["LocalExecutor"]
