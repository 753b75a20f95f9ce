"""What an export is made of."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Document:
    """An exported file."""

    content: bytes
    notices: list[str] = field(default_factory=list[str])
    """What the format has no place for, a line each."""


def left_out(reasons: Iterable[str], total: int, what: str = "cells") -> list[str]:
    """The notice that some are missing, and why; none where none are."""
    counted = Counter(reasons)
    why = ", ".join(f"{count} {reason}" for reason, count in counted.items())
    return [f"{counted.total()} of {total} {what} left out: {why}"] if counted else []


def json_bytes(content: Any) -> bytes:
    """``content`` as JSON in ASCII that may stand inside HTML; numbers that are not finite become ``null``."""
    text = json.dumps(_finite(content), indent=1, allow_nan=False)
    return text.replace("<", "\\u003c").encode() + b"\n"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
