"""Resident memory against pages that are known to be touched."""

import mmap

import pytest

from harness.meters import host
from harness.meters.host import rss_bytes, rss_peak_bytes

SIZE = 200_000_000


def touched() -> mmap.mmap:
    """Pages of their own: an allocator may have some left that were touched before."""
    pages = mmap.mmap(-1, SIZE)
    for page in range(0, SIZE, mmap.PAGESIZE):
        pages[page] = 1
    return pages


def test_resident_memory_grows_by_what_is_touched() -> None:
    assert rss_peak_bytes(lambda: touched().close()) == pytest.approx(SIZE, rel=0.05)
    assert rss_peak_bytes(lambda: None) < SIZE / 10


def test_resident_memory_now_falls_again() -> None:
    before = rss_bytes()
    pages = touched()
    assert rss_bytes() - before == pytest.approx(SIZE, rel=0.05)
    pages.close()
    assert rss_bytes() - before < SIZE / 10


def test_elsewhere_the_highest_so_far_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = rss_bytes()
    monkeypatch.setattr(host, "_STATUS", host._STATUS / "none")  # pyright: ignore[reportPrivateUsage]
    assert rss_bytes() >= 0.9 * now
