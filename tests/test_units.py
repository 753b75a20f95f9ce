import math

import pytest

from harness.errors import BadInput
from harness.units import Scale, number, parse_bytes, quantity, scale


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (26_400_000.0, "B", "26.4 MB"),
        (999.0, "B", "999 B"),
        (1_747_600_000.0, "B", "1.75 GB"),
        (999_999.0, "B", "1.00 MB"),
        (0.0, "B", "0 B"),
        (0.053, "s", "53 ms"),
        (0.0534, "s", "53.4 ms"),
        (1234.5, "s", "1,230 s"),
        (2.5e-7, "s", "250 ns"),
        (3.2e12, "FLOP", "3.20 TFLOP"),
        (0.5, "1", "0.500"),
        (3.0, "furlong", "3 furlong"),
        (-2e6, "B", "-2 MB"),
        (math.inf, "s", "inf s"),
    ],
)
def test_a_quantity_takes_the_prefix_that_leaves_at_least_one(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5234e-5, "1.5e-5"),
        (0.0027, "0.0027"),
        (0.00999, "0.010"),
        (0.0996, "0.10"),
        (9.96, "10"),
        (117.0, "117"),
        (2.5e9, "2.5e9"),
        (-0.5, "-0.50"),
        (0.0, "0"),
        (math.nan, "nan"),
    ],
)
def test_a_number_keeps_two_significant_digits(value: float, text: str) -> None:
    assert number(value, digits=2) == text


def test_a_scale_serves_a_whole_column() -> None:
    assert scale("B", 5e7) == Scale(1e6, "MB")
    assert scale("s", math.nan) == Scale(1.0, "s")


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [
        ("24 MB", 24_000_000),
        ("24MB", 24_000_000),
        ("24 MiB", 24 * 2**20),
        (" 1.5 kb ", 1500),
        ("1 KiB", 1024),
        ("2 GB", 2_000_000_000),
        ("2GiB", 2 * 2**30),
        ("0.5 TB", 500_000_000_000),
        ("1 TiB", 2**40),
        ("100 B", 100),
        ("1e6", 1_000_000),
        (24e6, 24_000_000),
        (0, 0),
    ],
)
def test_sizes_are_read_with_their_units(size: str | float, nbytes: int) -> None:
    assert parse_bytes(size) == nbytes


@pytest.mark.parametrize(
    "size", ["24 MX", "MB", "", "-1 MB", "24 M B", "1,5 MB", "1e300 TB", -1, math.nan, math.inf, True]
)
def test_what_is_not_a_size_says_how_one_is_written(size: str | float) -> None:
    with pytest.raises(BadInput, match=r"is not a size in bytes: write it as in '24 MB'"):
        parse_bytes(size)
