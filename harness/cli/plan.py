"""``imaml-bench plan``."""

import json

from harness.cli.options import (
    DeviceOption,
    EstimatorOption,
    JsonOption,
    StepsOption,
    SuiteArgument,
    ThreadsOption,
    parse_step_list,
)


def plan(
    suite: SuiteArgument,
    device: DeviceOption = "auto",
    steps: StepsOption = None,
    estimator: EstimatorOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the cells a run would measure, checked but not run."""
    from harness.executors import LocalExecutor
    from harness.measure import plan as plan_run
    from harness.suite import load_suite

    _, cells = plan_run(
        load_suite(suite),
        LocalExecutor(),
        device=device,
        steps=parse_step_list(steps),
        estimators=estimator,
        threads=threads,
    )
    for cell in cells:
        if as_json:
            print(json.dumps({"key": cell.key, **cell.model_dump(mode="json")}, ensure_ascii=False))
        else:
            print(f"{cell.key}  K={cell.steps:<4} {cell.label:<24} {cell.problem.name}  {cell.dtype}  {cell.device}")
    if not as_json:
        print(f"{len(cells)} cells")
