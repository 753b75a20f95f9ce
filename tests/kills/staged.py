"""The command line, which says at which stage of a run it is: ``python -m tests.kills.staged FILE ARGUMENTS``.

The first byte of the file is the stage, as a place in :data:`STAGES`, and the second how often it has been entered.
"""

import mmap
import sys
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

STAGES = ("planning", "forecast", "cell", "append", "finish", "report")


def main() -> None:
    """Run the command with what is left of the arguments."""
    path = sys.argv.pop(1)
    with Path(path).open("r+b") as file:
        told = mmap.mmap(file.fileno(), 2)
    entered = Counter[str]()

    def tell(stage: str) -> None:
        entered[stage] += 1
        told[:] = bytes([STAGES.index(stage), entered[stage]])

    def staged(stage: str, holder: Any, name: str, then: str | None = None) -> None:
        function: Callable[..., Any] = getattr(holder, name)

        @wraps(function)
        def at_its_stage(*arguments: Any, **options: Any) -> Any:
            before = bytes(told[:])
            tell(stage)
            result = function(*arguments, **options)
            if stage != "finish":  # what comes after it is part of it
                told[:] = before
            return result

        setattr(holder, name, at_its_stage)

    from harness import measure, report, store
    from harness.cli import main as command
    from harness.executors import LocalExecutor

    tell("planning")
    staged("forecast", measure, "_forecasts")
    staged("cell", LocalExecutor, "measure")
    staged("append", store.Run, "append")
    staged("finish", store.Run, "finish")
    staged("report", report, "write_report")
    command()


if __name__ == "__main__":
    main()
