"""``imaml-bench run``."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.checks import MOST_REPEATS
from harness.cli.options import (
    DeviceOption,
    EstimatorOption,
    JsonOption,
    StepsOption,
    SuiteArgument,
    ThreadsOption,
    parse_step_list,
)
from harness.limits import Skip


def run(
    suite: SuiteArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Run directory; runs/SUITE by default.")] = None,
    device: DeviceOption = "auto",
    steps: StepsOption = None,
    estimator: EstimatorOption = None,
    threads: ThreadsOption = None,
    repeat: Annotated[
        int, typer.Option("--repeat", help="Processes to measure each cell in.", min=1, max=MOST_REPEATS)
    ] = 1,
    trace: Annotated[bool, typer.Option("--trace", help="Record each cell's memory over time.")] = False,
    skip: Annotated[
        Skip, typer.Option("--skip", help="Leave out cells forecast not to fit, only those after an OOM, or none.")
    ] = Skip.FORECAST,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Measure a suite; the same command goes on where an earlier run stopped.

    Failed cells are tried again. Results are on disk before the next cell starts. In the end, what the suite expects
    is checked; failed cells go before failed expectations in the exit code.
    """
    from harness.ci.github import append_summary, commands_stopped
    from harness.ci.summary import run_summary, verdicts_summary
    from harness.cli.progress import busy_line, listener_for
    from harness.cli.signals import Ended
    from harness.cli.verdicts import tell
    from harness.expectations import passed, verdicts
    from harness.measure import run as measure_suite
    from harness.suite import load_suite

    named = load_suite(suite)
    folder = out or Path("runs") / named.name
    listener = listener_for(as_json=as_json, quiet=quiet, terminal=sys.stderr.isatty())
    try:
        with nullcontext() if as_json else commands_stopped(), listener:
            measured = measure_suite(
                suite,
                folder,
                device=device,
                steps=parse_step_list(steps),
                estimators=estimator,
                threads=threads,
                listener=listener,
                repeats=repeat,
                trace=trace,
                skip=skip,
            )
    except (KeyboardInterrupt, Ended) as end:
        print("imaml-bench: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(int(end.code or 0) if isinstance(end, Ended) else 130) from None
    found = verdicts(measured, named.expectations)
    tell(found, as_json=as_json, quiet=quiet, suite=named.path)
    append_summary(lambda: verdicts_summary(named.name, found) + run_summary([measured]))
    if not (quiet or as_json):
        if busy := busy_line(measured):
            print(busy)
        print(f"{listener.summary()}; see them with: imaml-bench report {folder}")
    raise typer.Exit(3 if listener.failed else 0 if passed(found) else 1)
