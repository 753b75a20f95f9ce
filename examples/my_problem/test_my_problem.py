"""The problem held against its contract; in a package of your own, run by pytest."""

import torch
from my_problem import RobustRegression

from harness import conformance


def test_it_is_a_problem() -> None:
    """Purity, shapes, dtypes, derivatives against finite differences, and that ``torch.func.vmap`` can batch it."""
    for dtype in ("float64", "float32"):
        problem = RobustRegression(dim=4, n=9, dtype=dtype)
        assert conformance.check_problem(problem) == []
        assert problem.theta()["w"].dtype == getattr(torch, dtype)
