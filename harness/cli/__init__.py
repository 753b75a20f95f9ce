"""The command ``imaml-bench``: one file a verb.

What a verb needs is imported inside it, so that ``--help`` and ``list`` answer at once.
"""

import sys
import traceback
from typing import Annotated

import typer

import harness
from harness.cli import check, compare, doctor, export, frontier, history, plan, report, run, validate
from harness.cli import list as list_verb
from harness.cli.signals import ended_by_signals
from harness.cli.streams import fault_of, patient_streams
from harness.errors import BadInput
from harness.text import harmless

EXIT_CODES = """
Exit codes: 0 done; 1 an expectation failed; 2 bad input; 3 some cells failed; 70 a fault of its own; 130 interrupted.
"""

app = typer.Typer(
    help="Measure MAML against implicit MAML: wall time, peak memory and meta-gradient accuracy over inner steps.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(name="run", epilog=EXIT_CODES)(run.run)
app.command(name="report")(report.report)
app.command(name="check", epilog=check.EXIT_CODES)(check.check)
app.command(name="export")(export.export)
app.command(name="compare", epilog=compare.EXIT_CODES)(compare.compare)
app.command(name="history")(history.history)
app.command(name="plan")(plan.plan)
app.command(name="frontier")(frontier.frontier)
app.command(name="validate", epilog=validate.EXIT_CODES)(validate.validate)
app.command(name="doctor", epilog=doctor.EXIT_CODES)(doctor.doctor)
app.command(name="list")(list_verb.list_parts)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"imaml-bench {harness.__version__}")
        raise typer.Exit


@app.callback()
def _all_verbs(  # pyright: ignore[reportUnusedFunction]  (typer calls it)
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What every verb takes."""


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2, an error of ours a traceback and 70."""
    with ended_by_signals(), patient_streams() as output:
        code = _exit_code()
        sys.stdout.flush()
        if fault := fault_of(output):
            print(f"imaml-bench: {fault}", file=sys.stderr)
            code = code or 2
    sys.exit(code)


def _exit_code() -> int:
    try:
        app()
    except SystemExit as error:
        if isinstance(error.code, str):
            print(harmless(error.code), file=sys.stderr)
            return 1
        return int(error.code or 0)
    except BadInput as error:
        print(f"imaml-bench: {harmless(str(error))}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        print("imaml-bench: this is an error of imaml-bench itself; please report it", file=sys.stderr)
        return 70
    return 0
