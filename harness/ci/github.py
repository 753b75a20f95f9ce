"""GitHub Actions: annotations on stdout, and the job's summary page.

Both follow from the environment GitHub gives every step; elsewhere nothing is said.
"""

import os
import secrets
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from harness.errors import os_errors
from harness.expectations import Outcome, Verdict
from harness.text import one_line

LARGEST_SUMMARY_BYTES = 1024 * 1024
"""GitHub shows nothing of a step whose summary is larger."""

_LEFT_OUT = b"\n\nThe rest is left out: GitHub takes 1 MiB a step.\n"


def in_actions() -> bool:
    """Whether this is a step of a workflow, whose output is read for commands."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotations(verdicts: Iterable[Verdict], suite: Path | None = None) -> list[str]:
    """A workflow command for every failed claim.

    Args:
        verdicts: Any.
        suite: The file the claims are from; annotated where it lies in the checkout.
    """
    file = _in_checkout(suite)
    at = f",file={_property(file)}" if file else ""
    return [
        f"::error title={_property(f'Expectation failed: {each.claim}')}{at}::{_data(each.sentence)}"
        for each in verdicts
        if each.outcome is Outcome.FAIL
    ]


def append_summary(write: Callable[[], str]) -> None:
    """Add the Markdown that ``write`` returns to the step's summary, where there is one.

    Raises:
        BadInput: The summary's file cannot be written to.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    text = write()
    with os_errors(f"GITHUB_STEP_SUMMARY: cannot write to {path}"):
        room = LARGEST_SUMMARY_BYTES - (Path(path).stat().st_size if Path(path).exists() else 0)
        with Path(path).open("ab") as file:
            file.write(_shortened(text, room))


@contextmanager
def commands_stopped() -> Generator[None]:
    """Within, nothing that is printed is taken for a workflow command, whatever labels say."""
    if not in_actions():
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        print(f"::{token}::", flush=True)


def _in_checkout(path: Path | None) -> str | None:
    root = os.environ.get("GITHUB_WORKSPACE")
    if path is None or not root or not path.resolve().is_relative_to(Path(root).resolve()):
        return None
    return path.resolve().relative_to(Path(root).resolve()).as_posix()


def _data(text: str) -> str:
    return one_line(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _shortened(text: str, room: int) -> bytes:
    content = text.encode()
    if len(content) <= room:
        return content
    kept = content[: max(0, room - len(_LEFT_OUT))]
    return kept[: kept.rfind(b"\n") + 1] + _LEFT_OUT if room >= len(_LEFT_OUT) else b""
