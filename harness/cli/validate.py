"""``imaml-bench validate``."""

import sys
import tomllib
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import JsonOption
from harness.errors import BadInput, first_line, os_errors, unknown

EXIT_CODES = "Exit codes: 0 passed; 1 failed; 2 bad input; 130 interrupted."


def validate(
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION", help="Your function, as in package.module:function; or an estimator's name."
        ),
    ],
    problem: Annotated[str, typer.Option("--problem", help="Name of a problem.")] = "linear",
    vs: Annotated[
        str, typer.Option("--vs", help="implicit: the exact inner solution. backprop: the same K steps.")
    ] = "implicit",
    lam: Annotated[float | None, typer.Option("--lam", help="λ, the proximal strength your function uses.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="K, the inner steps your function takes.")] = None,
    lr: Annotated[str | None, typer.Option("--lr", help="α, its inner step size, or auto for 1/(λ_max + λ).")] = None,
    inner: Annotated[str | None, typer.Option("--inner", help="Its inner solver; gd by default.")] = None,
    tol: Annotated[float | None, typer.Option("--tol", help="Largest relative error that passes.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="How many draws.", min=1)] = 3,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float64 by default.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the problem or estimator; repeatable."),
    ] = None,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option("--out", help="File to write the report to, as JSON.")] = None,
) -> None:
    """Hold a meta-gradient function against the exact meta-gradient.

    It is called as fn(problem, task, theta) and returns a dict of tensors.
    It uses its own λ, K and α: say here which. Modules in the current folder are found.
    """
    if out is not None and not out.absolute().parent.is_dir():
        raise BadInput(f"--out {out}: there is no folder {out.parent}")
    from harness.validation import validate as validate_function
    from harness.validation.subject import require_subject

    settings = parse_settings(parameters or [])
    for key in settings.keys() & signature(validate_function).parameters:
        raise BadInput(f"--set {key}: that is an option of its own, --{key}")
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        fn = load(function)
        if not isinstance(fn, str):
            require_subject(fn, function)
        report = validate_function(
            fn,
            problem,
            vs,  # pyright: ignore[reportArgumentType]  (checked there)
            lam=lam,
            steps=steps,
            lr=_step_size(lr),
            inner=inner,
            tol=tol,
            seeds=seeds,
            dtype=dtype,
            **settings,
        )
    if out is not None:
        with os_errors(f"cannot write to {out}"):
            out.write_text(report.to_json() + "\n", encoding="utf-8")
    print(report.to_json() if as_json else report)
    raise typer.Exit(0 if report.passed else 1)


def load(target: str) -> Any:
    """The object ``module:name`` stands for; a word without a colon is an estimator's name, and returned as it is.

    Raises:
        BadInput: There is no such module or name in it, or importing it raises.
    """
    name, colon, path = target.partition(":")
    if not colon:
        return target
    if name.endswith(".py"):
        raise BadInput(f"{target}: name the module, not its file: {Path(name).stem}:{path}")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = import_module(name)
    except Exception as error:
        raise BadInput(f"{target}: cannot import '{name}': {type(error).__name__}: {first_line(error)}") from error
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            public = [each for each in dir(found) if not each.startswith("_") and callable(getattr(found, each, None))]
            raise BadInput(f"{target}: {unknown('name', attribute, public)}")
        found = getattr(found, attribute)
    return found


def parse_settings(items: Sequence[str]) -> dict[str, Any]:
    """The parameters of ``key=value`` items, values as in a suite's TOML; a word that is none of those is a string.

    Raises:
        BadInput: An item is not of that form, or a key is given twice.
    """
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not (equals and key.isidentifier()):
            raise BadInput(f"--set {item}: not of the form key=value")
        if key in settings:
            raise BadInput(f"--set {item}: {key} is given twice")
        try:
            settings[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key] = text
    return settings


def _step_size(text: str | None) -> float | str | None:
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"--lr {text}: neither a number nor 'auto'") from None
