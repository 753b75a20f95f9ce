"""Every module of the package can be imported by every Python it claims, with torch or without."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "harness").rglob("*.py")
    if path.name != "__main__.py"
)


@pytest.mark.parametrize("module", MODULES)
def test_it_can_be_imported_or_lacks_torch_alone(module: str) -> None:
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        assert error.name == "torch"  # noqa: PT017  (any other is missing for everyone)
        assert find_spec("torch") is None
