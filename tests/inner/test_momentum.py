"""The momentum that the solvers choose themselves."""

import pytest
import torch

from harness.errors import BadInput
from harness.inner import HeavyBall, Nesterov
from harness.objective import Objective
from tests.inner.examples import Regression, TanhNet


@pytest.mark.parametrize(("lam", "lr", "root"), [(0.1, 0.9, 0.3), (0.25, 1.0, 0.5), (2.0, 0.5, 1.0), (50.0, 0.5, 1.0)])
def test_auto_follows_the_strong_convexity_that_the_proximal_term_gives(lam: float, lr: float, root: float) -> None:
    objective = Regression(lam=lam).objective()
    assert HeavyBall().bind(objective, lr).momentum == pytest.approx((1 - root) ** 2, abs=1e-15)
    assert Nesterov().bind(objective, lr).momentum == pytest.approx((1 - root) / (1 + root), abs=1e-15)


def test_auto_takes_the_least_strength_of_several() -> None:
    problem = TanhNet()
    lam = {name: torch.full_like(value, 1.0) for name, value in problem.theta().items()} | {"b": torch.tensor(0.25)}
    objective = Objective.of(problem, problem.tasks(1, 0)[0], problem.theta(), lam)
    assert Nesterov().bind(objective, 1.0).momentum == pytest.approx(1 / 3)


@pytest.mark.parametrize("solver", [HeavyBall(), Nesterov()])
def test_auto_without_a_proximal_term(solver: HeavyBall | Nesterov) -> None:
    objective = Regression(lam=0.0).objective()
    with pytest.raises(BadInput, match="momentum: 'auto' needs a proximal strength lam above 0; give a number"):
        solver.solve(objective, 1, 0.1)


@pytest.mark.parametrize("solver", [HeavyBall(0.0), HeavyBall(0.9), Nesterov(0.0), Nesterov(0.9)])
def test_a_number_is_left_alone(solver: HeavyBall | Nesterov) -> None:
    assert solver.bind(Regression(lam=0.0).objective(), 0.1) is solver


def test_auto_has_no_number_before_it_is_bound() -> None:
    solver, phi = Nesterov(), torch.zeros(2)
    with pytest.raises(AssertionError, match="bind the solver"):
        solver.point(solver.initial(phi))
