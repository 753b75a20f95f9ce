"""Where suites are found and what they are called; the standard library alone, so that listing them is quick."""

import os
import tomllib
from pathlib import Path

from harness.errors import BadInput, unknown


def suite_folder() -> Path:
    """The packaged suites: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "suites"
    return installed if installed.is_dir() else package.parent / "suites"


def suite_titles() -> dict[str, str]:
    """Title of every packaged suite, by name."""
    return {path.stem: tomllib.loads(path.read_text("utf-8"))["title"] for path in sorted(_packaged())}


def find_suite(suite: str | Path) -> Path:
    """The file of a suite given by the name of a packaged one or by a path (ends in ``.toml`` or has a separator).

    Raises:
        BadInput: No such suite; for a name, the message suggests the nearest one.
    """
    if isinstance(suite, Path) or suite.endswith(".toml") or "/" in suite or os.sep in suite:
        path = Path(suite)
        if not path.is_file():
            raise BadInput(f"{path}: {'not a file' if path.exists() else 'no such suite file'}")
        return path
    packaged = {path.stem: path for path in _packaged()}
    if suite not in packaged:
        raise unknown("suite", suite, packaged)
    return packaged[suite]


def _packaged() -> list[Path]:
    return list(suite_folder().glob("*.toml"))
