"""``imaml-bench plan``."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from harness.cell import Cell
    from harness.forecast import Forecast


def plan(
    suite: SuiteArgument,
    device: DeviceOption = "auto",
    steps: StepsOption = None,
    estimator: EstimatorOption = None,
    threads: ThreadsOption = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Forecast each cell's peak memory; the device need not be there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the cells a run would measure, checked but not run."""
    from harness.executors import LocalExecutor
    from harness.measure import Choice, imagine
    from harness.measure import plan as plan_run
    from harness.suite import load_suite

    loaded, executor = load_suite(suite), LocalExecutor()
    chosen = Choice(device, parse_step_list(steps), estimator, threads)
    cells = imagine(loaded, executor, chosen) if memory else plan_run(loaded, executor, chosen)[1]
    forecasts: list[Forecast] = executor.ask("harness.forecast:forecast", cells) if memory else []
    free_bytes: int | None = executor.ask("harness.forecast:free_bytes", cells[0].device) if memory else None
    if as_json:
        _print_json(cells, forecasts)
    else:
        _print_lines(cells, forecasts, free_bytes)


def _print_json(cells: "Sequence[Cell]", forecasts: "Sequence[Forecast]") -> None:
    for index, cell in enumerate(cells):
        line: dict[str, Any] = {"key": cell.key, **cell.model_dump(mode="json")}
        if forecasts:
            line |= {"forecast_peak_bytes": forecasts[index].peak_bytes, "forecast_reason": forecasts[index].reason}
        print(json.dumps(line, ensure_ascii=False))


def _print_lines(cells: "Sequence[Cell]", forecasts: "Sequence[Forecast]", free_bytes: int | None) -> None:
    from harness.cell import varied
    from harness.units import count_of, quantity

    different = varied(cell.problem for cell in cells)
    rows = [[c.key, c.point, c.label, c.problem.only(different).words, c.dtype, c.device] for c in cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index, row in enumerate(rows):
        words = [f"{text:<{width}}" for text, width in zip(row, widths, strict=True)]
        if forecasts:
            words.append(_forecast_in_words(forecasts[index], free_bytes))
        print("  ".join(words).rstrip())
    print(count_of(len(cells), "cell"))
    if not forecasts:
        return
    if free_bytes is not None:
        print(f"{quantity(free_bytes, 'B')} are free on {cells[0].device}")
    if any(each.without_scratch for each in forecasts):
        print("+: and what kernels take while they run, which only the device itself could tell")


def _forecast_in_words(forecast: "Forecast", free_bytes: int | None) -> str:
    from harness.units import quantity

    if forecast.peak_bytes is None:
        return f"peak not forecast: {forecast.reason}"
    words = f"peak {quantity(forecast.peak_bytes, 'B')}{' +' if forecast.without_scratch else ''}"
    return f"{words}, more than is free" if free_bytes is not None and forecast.peak_bytes > free_bytes else words
