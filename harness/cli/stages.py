"""What a verb that reads runs is at, for as long as it takes: on a terminal, and gone afterwards."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from harness.store import LoadedRun


@contextmanager
def stage(words: str) -> Generator[None]:
    """Say so on stderr meanwhile, if that is a terminal."""
    to = Console(stderr=True)
    if not to.is_terminal:
        yield
        return
    with to.status(escape(words)):
        yield


def read_runs(folders: Sequence[Path]) -> "list[LoadedRun]":
    """The runs in these folders, read in turn."""
    from harness.store import load_run

    loaded: list[LoadedRun] = []
    for count, folder in enumerate(folders, start=1):
        of = f" ({count} of {len(folders)})" if len(folders) > 1 else ""
        with stage(f"reading {folder}{of}"):
            loaded.append(load_run(folder))
    return loaded
