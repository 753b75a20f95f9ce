"""``imaml-bench list``."""

import json

import typer

from harness.cli.options import JsonOption
from harness.registry import REGISTRIES
from harness.suite_files import suite_titles


def list_parts(as_json: JsonOption = False) -> None:
    """List the suites, problems, estimators, inner solvers and image sources there are."""
    suites = suite_titles()
    parts = {kind.kind: kind.names() for kind in REGISTRIES}
    if as_json:
        print(json.dumps({"suite": suites, **parts}, indent=2, ensure_ascii=False))
        return
    width = max(map(len, suites), default=0)
    typer.echo("suites")
    for name, title in suites.items():
        typer.echo(f"  {name:<{width}}  {title}")
    for kind, names in parts.items():
        typer.echo(f"{kind}s\n  {'  '.join(names)}")
