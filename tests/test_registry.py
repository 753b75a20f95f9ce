"""Parts by name, with their parameters checked before they are built."""

from typing import Any

import pytest

from harness.errors import BadInput
from harness.registry import Registry


def odd(size: int, *rest: int, **others: Any) -> tuple[int, dict[str, Any]]:
    return size, others


def test_a_part_that_takes_any_parameter_still_needs_its_own() -> None:
    registry = Registry("oddity", "imaml_bench.oddities", {"odd": f"{__name__}:odd"})
    assert registry.create("odd", size=3, colour="red") == (3, {"colour": "red"})
    with pytest.raises(BadInput, match=r"^oddity 'odd': needs size$"):
        registry.create("odd", colour="red")
