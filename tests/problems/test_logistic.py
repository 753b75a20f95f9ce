import pytest
import torch
from torch import Tensor
from torch.func import grad, jacrev

from harness.bilevel import ClosedForm, Task
from harness.errors import BadInput
from harness.problems.logistic import LogisticRegression
from harness.pytree import Params
from tests.problems.descent import adapted


def inner_slope(problem: LogisticRegression, task: Task, theta: Params, lam: float, phi: Params) -> Tensor:
    """∇G(φ), by autograd."""
    return grad(problem.inner_loss)(phi, task.support)["w"] + lam * (phi["w"] - theta["w"])


def test_examples_are_two_classes_so_far_apart() -> None:
    [task] = LogisticRegression(dim=4, n=40_001, separation=3.0).tasks(1, 0)
    means: list[Tensor] = []
    for inputs, targets in (task.support, task.query):
        assert (inputs.shape, targets.shape) == ((40_001, 4), (40_001,))
        assert targets.sum().item() == 1.0
        assert set(targets.tolist()) == {-1.0, 1.0}
        positive, negative = inputs[targets > 0], inputs[targets < 0]
        means.append(positive.mean(0) - negative.mean(0))
        assert means[-1].norm().item() == pytest.approx(3.0, abs=0.05)
        torch.testing.assert_close(torch.cov(positive.T), torch.eye(4, dtype=torch.float64), rtol=0, atol=0.05)
    torch.testing.assert_close(*means, rtol=0, atol=0.1)


def test_losses_are_the_logistic_ones_and_only_the_inner_is_regularised() -> None:
    problem = LogisticRegression(dim=3, n=7, regularisation=0.3)
    [task] = problem.tasks(1, 0)
    theta = problem.theta()
    for loss, (inputs, targets), strength in (
        (problem.inner_loss, task.support, 0.3),
        (problem.outer_loss, task.query, 0.0),
    ):
        expected = torch.log1p(torch.exp(-targets * (inputs @ theta["w"]))).mean()
        torch.testing.assert_close(loss(theta, (inputs, targets)), expected + strength / 2 * theta["w"].dot(theta["w"]))


def test_the_loss_is_smooth_and_finite_far_from_the_boundary() -> None:
    """PyTorch's softplus changes its formula at a threshold, by default where the slope then jumps by 2e-9."""
    problem = LogisticRegression(dim=1, n=1, regularisation=0.0)
    data = (torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    for margin in (-500.0, -39.0, -21.0, 0.0, 21.0, 500.0):
        w = torch.tensor([margin], dtype=torch.float64)
        assert grad(problem.inner_loss)({"w": w}, data)["w"].item() == pytest.approx(
            -torch.sigmoid(-w).item(), rel=1e-15
        )


@pytest.mark.parametrize("lam", [1e-3, 0.1, 2.0, 100.0])
@pytest.mark.parametrize("separation", [0.0, 2.0, 20.0])
def test_the_inner_solution_is_stationary(lam: float, separation: float) -> None:
    problem = LogisticRegression(separation=separation)
    [task] = problem.tasks(1, 3)
    theta = problem.theta()
    phi = problem.inner_solution(task, theta, lam)
    residual = inner_slope(problem, task, theta, lam, phi).norm() / inner_slope(problem, task, theta, lam, theta).norm()
    assert residual.item() < 1e-12


def test_newtons_method_converges_from_where_full_steps_diverge() -> None:
    problem = LogisticRegression(regularisation=0.0)
    [task] = problem.tasks(1, 0)
    theta = {"w": 100 * problem.theta()["w"]}
    phi = problem.inner_solution(task, theta, 1e-3)
    residual = inner_slope(problem, task, theta, 1e-3, phi).norm()
    assert residual.item() < 1e-12 * inner_slope(problem, task, theta, 1e-3, theta).norm().item()


def test_a_start_at_the_solution_is_left_there() -> None:
    problem = LogisticRegression()
    [task] = problem.tasks(1, 0)
    silent = Task((torch.zeros_like(task.support[0]), task.support[1]), task.query)
    origin = {"w": torch.zeros(20, dtype=torch.float64)}
    assert torch.equal(problem.inner_solution(silent, origin, 1.0)["w"], origin["w"])


@pytest.mark.parametrize("lam", [0.05, 2.0])
def test_the_implicit_gradient_meets_finite_differences_of_the_solution(lam: float) -> None:
    problem = LogisticRegression(dim=6, n=12)
    assert isinstance(problem, ClosedForm)
    [task] = problem.tasks(1, 1)
    theta = problem.theta()["w"]

    def outer(start: Tensor) -> Tensor:
        return problem.outer_loss(problem.inner_solution(task, {"w": start}, lam), task.query)

    h = 1e-5
    expected = torch.stack([(outer(theta + h * e) - outer(theta - h * e)) / (2 * h) for e in torch.eye(6).double()])
    found = problem.implicit_meta_gradient(task, {"w": theta}, lam)["w"]
    assert ((found - expected).norm() / expected.norm()).item() < 1e-8


def test_the_implicit_gradient_is_the_dense_solve_at_the_solution() -> None:
    problem, lam = LogisticRegression(), 0.5
    [task] = problem.tasks(1, 2)
    phi = problem.inner_solution(task, problem.theta(), lam)["w"]
    hessian = jacrev(jacrev(lambda w: problem.inner_loss({"w": w}, task.support)))(phi)
    right = grad(problem.outer_loss)({"w": phi}, task.query)["w"]
    expected = torch.linalg.solve(torch.eye(20).double() + hessian / lam, right)
    found = problem.implicit_meta_gradient(task, problem.theta(), lam)["w"]
    assert ((found - expected).norm() / expected.norm()).item() < 1e-13


def test_float32_is_solved_in_float64() -> None:
    """The rounded problem's solution, rounded once."""
    problem = LogisticRegression(dtype="float32")
    [task] = problem.tasks(1, 0)
    widened = Task(*(tuple(tensor.double() for tensor in data) for data in (task.support, task.query)))
    theta = {"w": problem.theta()["w"].double()}
    found = problem.implicit_meta_gradient(task, problem.theta(), 0.1)["w"]
    assert torch.equal(found, problem.implicit_meta_gradient(widened, theta, 0.1)["w"].float())


@pytest.mark.parametrize("lam", [0.0, -1.0, float("nan")])
def test_without_a_proximal_term_there_is_no_implicit_gradient(lam: float) -> None:
    problem = LogisticRegression()
    [task] = problem.tasks(1, 0)
    with pytest.raises(BadInput, match=r"^lam: .* is not above 0"):
        problem.implicit_meta_gradient(task, problem.theta(), lam)


def test_a_few_steps_fit_the_support_set_better() -> None:
    problem = LogisticRegression()
    [task] = problem.tasks(1, 0)
    before = problem.inner_loss(problem.theta(), task.support).item()
    assert problem.inner_loss(adapted(problem, task, 20, 1.0), task.support).item() < 0.3 * before
