from collections.abc import Generator

import pytest
import torch


@pytest.fixture(autouse=True)
def _an_allocator_without_a_past() -> Generator[None]:
    """A block that another test left may be handed out whole for a smaller one, and count as such."""
    torch.cuda.empty_cache()
    yield
    torch.cuda.empty_cache()
