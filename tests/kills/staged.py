"""The command line, which says at which stage of a run it is: ``python -m tests.kills.staged FILE ARGUMENTS``.

The first byte of the file is the stage, as a place in :data:`STAGES`, and the second how often it has been entered: the
cell between two measurements that are appended is one.
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

    def staged(stage: str, holder: Any, name: str, then: str) -> None:
        function: Callable[..., Any] = getattr(holder, name)

        @wraps(function)
        def at_its_stage(*arguments: Any, **options: Any) -> Any:
            tell(stage)
            result = function(*arguments, **options)
            if then != stage:
                tell(then)
            return result

        setattr(holder, name, at_its_stage)

    from harness import measure, report, store
    from harness.cli import main as command

    tell("planning")
    staged("forecast", measure, "_forecasts", then="cell")
    staged("append", store.Run, "append", then="cell")
    staged("finish", store.Run, "finish", then="finish")
    staged("report", report, "write_report", then="report")
    command()


if __name__ == "__main__":
    main()
