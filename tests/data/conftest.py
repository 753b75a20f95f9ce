from pathlib import Path

import pytest

from harness.data.cache import VARIABLE
from harness.data.glyphs import Glyphs
from harness.data.source import ImageSet, Split


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="session")
def glyphs() -> dict[Split, ImageSet]:
    """Both splits of seed 0, from the test session's cache."""
    return {"train": Glyphs().load("train"), "test": Glyphs().load("test")}
