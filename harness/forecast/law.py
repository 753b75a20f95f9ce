"""Peak memory against inner steps, from a few runs of few steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.forecast.live import Kernel, Record, Site

Variables = tuple[int, ...]
"""What memory is affine in, at some number of inner steps."""

FIRST_SAMPLE = 3
"""Fewest steps of a run that a law is fitted to: the first step of momentum holds less than the others."""
LARGEST_SAMPLE = 9
"""Most steps of a run that a law is fitted to."""
TOLERANCE = 0.002
"""Of the peak: what a law may be off at the run it was not fitted to."""


@dataclass(frozen=True)
class Samples:
    """Numbers of inner steps to run."""

    fitted: tuple[int, ...]
    """As many as the law has coefficients."""
    check: int | None
    """One more, to see whether there is such a law; ``None`` where memory has no variable."""


def choose(variables: Callable[[int], Variables]) -> Samples:
    """The least numbers of steps, from 3 on, whose variables span those of all larger ones, and one to check with."""
    fitted: list[int] = []
    for steps in range(FIRST_SAMPLE, LARGEST_SAMPLE):
        if not spanned([variables(each) for each in fitted], variables(steps)):
            fitted.append(steps)
    larger = [variables(steps) for steps in range(LARGEST_SAMPLE, 2 * LARGEST_SAMPLE)]
    for steps in [*fitted]:
        others = [variables(each) for each in fitted if each != steps]
        if all(spanned(others, row) for row in larger):
            fitted.remove(steps)
    rows = [variables(each) for each in fitted]
    spare = (steps for steps in range(FIRST_SAMPLE, LARGEST_SAMPLE + 1) if steps not in fitted)
    return Samples(tuple(fitted), next((steps for steps in spare if spanned(rows, variables(steps))), None))


def spanned(rows: list[Variables], row: Variables) -> bool:
    """Whether an affine function known at ``rows`` is known at ``row``."""
    return bool(rows) and np.linalg.matrix_rank(_design([*rows, row])) == np.linalg.matrix_rank(_design(rows))


@dataclass(frozen=True)
class Law:
    """Bytes live at every site as affine functions of the variables, and what the site's kernel takes itself.

    The largest of affine functions is not affine, so the lines are fitted site by site and the largest taken last: a
    site that is not the peak's at few steps may become so at many.
    """

    rows: list[Variables]
    sites: dict[Site, list[int | None]]
    """Bytes live before the kernel, in each run fitted; ``None`` where it was not called."""
    kernels: dict[Kernel, int]
    """Bytes a kernel takes."""

    @classmethod
    def of(cls, runs: dict[Variables, Record], kernels: dict[Kernel, int]) -> "Law":
        """The law through the runs."""
        known = dict.fromkeys(site for record in runs.values() for site in record.before)
        sites = {site: [record.before.get(site) for record in runs.values()] for site in known}
        return cls(list(runs), sites, kernels)

    def lines(self, variables: Variables) -> dict[Site, float]:
        """Bytes at each site, its kernel's own included."""
        weights = np.linalg.lstsq(_design(self.rows).T, _design([variables])[0], rcond=None)[0]
        return {site: self._live(seen, weights) + self.kernels[site[1]] for site, seen in self.sites.items()}

    def _live(self, seen: list[int | None], weights: NDArray[np.float64]) -> float:
        if None in seen:
            return max(each for each in seen if each is not None)
        return float(np.dot(weights, np.array(seen, dtype=float)))

    def peak_bytes(self, variables: Variables) -> int:
        """The peak."""
        return round(max(self.lines(variables).values(), default=0))

    def holds(self, variables: Variables, record: Record) -> bool:
        """Whether the run at ``variables`` went as the law says, at every site that may be the peak's at many steps.

        Those are the sites near the largest that grows: a larger one that does not is overtaken.
        """
        lines = self.lines(variables)
        seen = {site: before + self.kernels[site[1]] for site, before in record.before.items()}
        growing = [nbytes for site, nbytes in seen.items() if len(set(self.sites.get(site, ()))) != 1]
        peak = max(growing or seen.values(), default=0)
        near = {site: nbytes for site, nbytes in seen.items() if nbytes > peak / 2}
        return all(abs(lines.get(site, 0) - nbytes) <= TOLERANCE * peak for site, nbytes in near.items())


def peak_of(record: Record, kernels: dict[Kernel, int]) -> int:
    """Highest number of bytes live in one run."""
    return max((before + kernels[kernel] for (_, kernel), before in record.before.items()), default=0)


def _design(rows: list[Variables]) -> NDArray[np.float64]:
    return np.array([(1, *row) for row in rows], dtype=float)
