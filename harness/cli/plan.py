"""``imaml-bench plan``."""

import json
from collections.abc import Iterable, Sequence
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
    from harness.measure import Choice, forecast_each, imagine
    from harness.measure import plan as plan_run
    from harness.suite import load_suite

    loaded, executor = load_suite(suite), LocalExecutor()
    chosen = Choice(device, parse_step_list(steps), estimator, threads)
    cells = imagine(loaded, executor, chosen) if memory else plan_run(loaded, executor, chosen)[1]
    free_bytes: int | None = executor.ask("harness.forecast:free_bytes", cells[0].device) if memory else None
    told = forecast_each(cells, executor) if memory else ((cell, None) for cell in cells)
    if as_json:
        _print_json(told)
    else:
        _print_lines(cells, told, free_bytes)


def _print_json(told: "Iterable[tuple[Cell, Forecast | None]]") -> None:
    for cell, forecast in told:
        line: dict[str, Any] = {"key": cell.key, **cell.model_dump(mode="json")}
        if forecast is not None:
            line |= {"forecast_peak_bytes": forecast.peak_bytes, "forecast_reason": forecast.reason}
        print(json.dumps(line, ensure_ascii=False), flush=True)


def _print_lines(
    cells: "Sequence[Cell]", told: "Iterable[tuple[Cell, Forecast | None]]", free_bytes: int | None
) -> None:
    from harness.cell import varied
    from harness.units import count_of, quantity

    different = varied(cell.problem for cell in cells)

    def texts(c: "Cell") -> list[str]:
        return [c.key, c.point, c.label, c.problem.only(different).words, c.dtype, c.device]

    widths = [max(map(len, column)) for column in zip(*map(texts, cells), strict=True)]
    without_scratch = False
    for cell, forecast in told:
        words = [f"{text:<{width}}" for text, width in zip(texts(cell), widths, strict=True)]
        if forecast is not None:
            without_scratch |= forecast.without_scratch
            words.append(_forecast_in_words(forecast, free_bytes))
        print("  ".join(words).rstrip(), flush=True)
    print(count_of(len(cells), "cell"))
    if free_bytes is not None:
        print(f"{quantity(free_bytes, 'B')} are free on {cells[0].device}")
    if without_scratch:
        print("+: and what kernels take while they run, which only the device itself could tell")


def _forecast_in_words(forecast: "Forecast", free_bytes: int | None) -> str:
    from harness.units import quantity

    if forecast.peak_bytes is None:
        return f"peak not forecast: {forecast.reason}"
    words = f"peak {quantity(forecast.peak_bytes, 'B')}{' +' if forecast.without_scratch else ''}"
    return f"{words}, more than is free" if free_bytes is not None and forecast.peak_bytes > free_bytes else words
