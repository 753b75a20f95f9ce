"""Options that several verbs share."""

from typing import Annotated

import typer

from harness.errors import BadInput

SuiteArgument = Annotated[str, typer.Argument(help="Name of a packaged suite, or path of a TOML file.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:I.")]
StepsOption = Annotated[
    str | None, typer.Option("--steps", help="Inner steps in place of the suite's, as in 1,2,4.", metavar="K,K,…")
]
EstimatorOption = Annotated[
    list[str] | None, typer.Option("--estimator", help="Only this estimator of the suite (name or label); repeatable.")
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="CPU threads for torch; torch's own choice by default.", min=1)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


def parse_step_list(text: str | None) -> list[int] | None:
    """The whole numbers of ``"1,2,4"``.

    Raises:
        BadInput: One of them is not a positive whole number.
    """
    if text is None:
        return None
    steps: list[int] = []
    for item in text.split(","):
        if not item.strip().isdecimal() or int(item) == 0:
            raise BadInput(f"--steps: '{item.strip()}' is not a positive whole number; write them as in 1,2,4")
        steps.append(int(item))
    return steps


def parse_share(text: str, option: str = "--detect", least: float = 0.01) -> float:
    """The number in ``"10%"`` or ``"0.1"``.

    Raises:
        BadInput: It is no number between ``least`` and 1.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / (100 if "%" in text else 1)
    except ValueError:
        value = 0.0
    if not least <= value <= 1:
        raise BadInput(f"{option}: '{text}' is no share between {least:.0%} and 100%; write it as in 10% or 0.1")
    return value
