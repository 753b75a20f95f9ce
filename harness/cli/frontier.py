"""``imaml-bench frontier``."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

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
    from harness.frontier import Frontier, Model


def frontier(
    suite: SuiteArgument,
    budget: Annotated[str, typer.Option("--budget", help="Memory to stay within, as in 80GB or 24GiB.")],
    device: DeviceOption = "auto",
    steps: StepsOption = None,
    estimator: EstimatorOption = None,
    threads: ThreadsOption = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Find the largest K by measuring on the device, too; takes long.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Forecast the largest K and the largest model each estimator can run in a memory budget.

    Nothing is computed, and the device need not be there. The model is made larger with the suite's largest K.
    """
    from harness.errors import BadInput
    from harness.executors import LocalExecutor
    from harness.frontier import frontiers
    from harness.measure import Choice, imagine
    from harness.suite import load_suite
    from harness.units import parse_bytes, quantity

    try:
        budget_bytes = parse_bytes(budget)
    except BadInput as error:
        raise BadInput(f"--budget: {error}") from None
    executor = LocalExecutor()
    cells = imagine(load_suite(suite), executor, Choice(device, parse_step_list(steps), estimator, threads))
    if confirm:
        free_bytes: int | None = executor.ask("harness.forecast:free_bytes", cells[0].device)
        if free_bytes is None:
            raise BadInput(f"--confirm: nothing can be measured on {cells[0].device}, which is not in this machine")
        if budget_bytes > free_bytes:
            raise BadInput(
                f"--confirm: {budget} are more than the {quantity(free_bytes, 'B')} free on {cells[0].device}"
            )
    if not as_json:
        print(f"within {quantity(budget_bytes, 'B')} on {cells[0].device}, θ and the tasks' data included:")
    for found in frontiers(cells, budget_bytes, executor, confirm=confirm):
        print(_json(found) if as_json else _words(found), flush=True)


def _words(found: "Frontier") -> str:
    cell = found.cell
    head = f"{cell.label}, {cell.problem.name}:"
    if found.reason is not None or found.model is None:
        return f"{head} not forecast: {found.reason}"
    sure = "" if not found.without_scratch else ", short of what kernels take while they run"
    steps = "any K" if found.any_steps else f"K ≤ {found.steps:,}" if found.steps else "no K"
    if found.confirmed_steps is not None:
        steps += f" (measured: K ≤ {found.confirmed_steps:,})"
    words = f"{head} {steps} with {_model(found.model)}"
    if found.model.size:
        largest = _model(found.largest) if found.largest else "no model"
        words += f"; {largest} at K = {cell.steps}"
    return f"{words}{sure}"


def _model(model: "Model") -> str:
    size = ", ".join(f"{name} = {value}" for name, value in model.size.items())
    return f"{model.parameters:,} parameters" + (f" ({size})" if size else "")


def _json(found: "Frontier") -> str:
    line = asdict(found) | {"any_steps": found.any_steps, "cell": found.cell.model_dump(mode="json")}
    return json.dumps(line, ensure_ascii=False)
