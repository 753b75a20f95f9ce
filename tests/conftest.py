import gc
import os
import random
from collections.abc import Generator
from importlib.util import find_spec

import pytest

from harness.data.cache import VARIABLE

pytest_plugins = ["pytester", "tests.margins"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", metavar="SEED", type=int, help="run the tests in a random order, the seed's own")
    parser.addoption("--thorough", action="store_true", help="every combination, also those that seldom tell more")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    seed = config.getoption("--shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)


@pytest.fixture(scope="session", autouse=True)
def _what_is_imported_is_no_garbage() -> None:
    """Meters collect garbage before each sample, which takes many times as long over all that the tests import."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_worker_of_xdist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of pytest that a test starts are sessions of their own."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_and_a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Two cores shared by everything: more threads only wait for each other. The user's cache is left alone."""
    if find_spec("torch"):  # what reads results is tested without it too, on other Pythons
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(tmp_path_factory.mktemp("image-cache"))
    yield
    if before is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = before
