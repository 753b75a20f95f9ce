"""What was measured, kept with the test's report: it is written to JUnit XML and survives pytest-xdist."""

from collections.abc import Iterable

import pytest

_PREFIX = "metagrad."


def record(item: pytest.Item, sentence: str, **numbers: float) -> None:
    """Keep numbers by their names, and the sentence that says them."""
    item.user_properties.extend((_PREFIX + name, number) for name, number in numbers.items())
    item.user_properties.append((_PREFIX + "says", sentence))


def forget(item: pytest.Item) -> None:
    """Drop what was kept, as the body is run anew."""
    item.user_properties[:] = [pair for pair in item.user_properties if not pair[0].startswith(_PREFIX)]


def sentences(user_properties: Iterable[tuple[str, object]]) -> list[str]:
    """The sentences kept in a report."""
    return [str(value) for name, value in user_properties if name == _PREFIX + "says"]
