"""``imaml-bench check``."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import JsonOption

EXIT_CODES = "Exit codes: 0 no expectation failed; 1 one did; 2 bad input; 130 interrupted."


def check(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    suite: Annotated[
        str | None, typer.Option("--suite", help="Take the expectations of this suite; those of the run by default.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where an expectation could not be tested, or there is none.")
    ] = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="File to write the verdicts to, as JUnit XML.")] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Hold a run against what its suite expects: its [\[expect]] tables.

    Nothing is measured. What the run does not hold is not tested, and does not count as a pass.
    """
    from harness.ci.github import append_summary
    from harness.ci.junit import write_junit
    from harness.ci.summary import verdicts_summary
    from harness.cli.verdicts import tell
    from harness.expectations import passed, verdicts
    from harness.store import load_run
    from harness.suite import load_suite

    loaded, named = load_run(run), load_suite(suite) if suite is not None else None
    expectations = named.expectations if named else loaded.manifest.expectations
    found = verdicts(loaded, expectations)
    if junit is not None:
        write_junit(junit, loaded.manifest.suite.name, found)
    tell(found, as_json=as_json, suite=named.path if named else None)
    nothing = ["the suite has no [[expect]] table: nothing was checked"] if not found else []
    for notice in [*loaded.notices, *nothing]:
        typer.echo(f"note: {notice}", err=True)
    append_summary(lambda: verdicts_summary(loaded.manifest.suite.name, found))
    raise typer.Exit(0 if passed(found, strict=strict) and (found or not strict) else 1)
