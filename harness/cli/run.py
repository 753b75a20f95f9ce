"""``imaml-bench run``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import (
    DeviceOption,
    EstimatorOption,
    JsonOption,
    StepsOption,
    SuiteArgument,
    ThreadsOption,
    parse_step_list,
)


def run(
    suite: SuiteArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Run directory; runs/SUITE by default.")] = None,
    device: DeviceOption = "auto",
    steps: StepsOption = None,
    estimator: EstimatorOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Measure a suite; the same command goes on where an earlier run stopped.

    Failed cells are tried again. Results are on disk before the next cell starts.
    """
    from harness.cli.progress import listener_for
    from harness.measure import run as measure_suite
    from harness.suite import load_suite

    folder = out or Path("runs") / load_suite(suite).name
    listener = listener_for(as_json=as_json, quiet=quiet, terminal=sys.stderr.isatty())
    try:
        with listener:
            measure_suite(
                suite,
                folder,
                device=device,
                steps=parse_step_list(steps),
                estimators=estimator,
                threads=threads,
                listener=listener,
            )
    except KeyboardInterrupt:
        print("imaml-bench: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None
    if not (quiet or as_json):
        print(f"{listener.summary()}; see them with: imaml-bench report {folder}")
    raise typer.Exit(3 if listener.failed else 0)
