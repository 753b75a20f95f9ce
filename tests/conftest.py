import os
from collections.abc import Generator

import pytest
import torch

from harness.data.cache import VARIABLE

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _no_worker_of_xdist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of pytest that a test starts are sessions of their own."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_and_a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Two cores shared by everything: more threads only wait for each other. The user's cache is left alone."""
    torch.set_num_threads(1)
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(tmp_path_factory.mktemp("image-cache"))
    yield
    if before is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = before
