"""Resident memory against pages that are known to be touched."""

import pytest
import torch

from harness.meters import host
from harness.meters.host import rss_bytes, rss_peak_bytes

SIZE = 200_000_000


def test_resident_memory_grows_by_what_is_touched() -> None:
    def call() -> None:
        torch.ones(SIZE, dtype=torch.uint8)

    assert rss_peak_bytes(call) == pytest.approx(SIZE, rel=0.05)
    assert rss_peak_bytes(lambda: None) < SIZE / 10


def test_resident_memory_now_falls_again() -> None:
    before = rss_bytes()
    touched = torch.ones(SIZE, dtype=torch.uint8)
    assert rss_bytes() - before == pytest.approx(touched.numel(), rel=0.05)
    del touched
    assert rss_bytes() - before < SIZE / 10


def test_elsewhere_the_highest_so_far_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = rss_bytes()
    monkeypatch.setattr(host, "_STATUS", host._STATUS / "none")  # pyright: ignore[reportPrivateUsage]
    assert rss_bytes() >= 0.9 * now
