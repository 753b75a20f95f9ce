"""Properties that hold for every dimension, condition number, λ, α, K and seed of a linear regression."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness.cell import Cell, Part
from harness.passes import Metrics
from harness.problems.linear import LinearRegression, Quadratic
from harness.worker import measure

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=40)

SETTINGS = st.fixed_dictionaries(
    {
        "dim": st.integers(1, 12),
        "kappa": st.floats(1.0, 1e4),
        "lam": st.floats(1e-2, 10.0),
        "share": st.floats(0.05, 1.9),
        "steps": st.integers(1, 25),
        "seed": st.integers(0, 1000),
    }
)
"""``share`` is α in units of 1/(λ_max + λ), below the 2 at which gradient descent stops converging."""


def relative(grad: torch.Tensor, expected: torch.Tensor) -> float:
    return float((grad - expected).norm() / expected.norm())


@settings(settings.get_profile("repeatable"))
@given(SETTINGS)
def test_unrolling_is_the_k_step_closed_form(drawn: dict[str, float]) -> None:
    dim, steps, seed = int(drawn["dim"]), int(drawn["steps"]), int(drawn["seed"])
    problem = LinearRegression(dim=dim, n=2 * dim, kappa=drawn["kappa"], seed=seed)
    [task] = problem.tasks(1, seed)
    theta, lam = problem.theta(), drawn["lam"]
    lr = drawn["share"] / (1 + lam)
    expected = problem.unrolled_meta_gradient(task, theta, lam, lr, steps)["w"]
    for name in ("maml", "maml-replay", "maml-checkpoint"):
        grad = harness.estimator(name, steps=steps, lr=lr, lam=lam).meta_gradient(problem, task, theta).grad["w"]
        assert relative(grad, expected) < 1e-9


@settings(settings.get_profile("repeatable"))
@given(SETTINGS)
def test_the_implicit_estimate_is_off_by_what_the_inner_loop_is(drawn: dict[str, float]) -> None:
    """The dense solve at φ_K misses the exact gradient by J A_t Mᴷ(θ − φ*), no more and no less."""
    dim, steps, seed = int(drawn["dim"]), int(drawn["steps"]), int(drawn["seed"])
    problem = LinearRegression(dim=dim, n=2 * dim, kappa=drawn["kappa"], seed=seed)
    [task] = problem.tasks(1, seed)
    theta, lam = problem.theta(), drawn["lam"]
    lr = drawn["share"] / (1 + lam)
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    identity = torch.eye(dim, dtype=torch.float64)
    regularised = support.hessian + lam * identity
    solution = torch.linalg.solve(regularised, support.linear + lam * theta["w"])
    decay = torch.linalg.matrix_power(identity - lr * regularised, steps)
    missed = lam * torch.linalg.solve(regularised, query.hessian @ decay @ (theta["w"] - solution))
    exact = problem.implicit_meta_gradient(task, theta, lam)["w"]
    for name, own in {"imaml-dense": {}, "imaml-cg": {"cg_steps": 60}, "imaml-minres": {"minres_steps": 60}}.items():
        estimator = harness.estimator(name, steps=steps, lr=lr, lam=lam, **own)
        grad = estimator.meta_gradient(problem, task, theta).grad["w"]
        assert relative(grad, exact + missed) < 1e-8


def peak(name: str, batching: str, tasks: int) -> float:
    cell = Cell(
        problem=Part(name="mlp", parameters={"width": 32, "shots": 64, "queries": 64}),
        estimator=Part(name=name, parameters={"lam": 1.0, "batching": batching}),
        label=name,
        steps=4,
        tasks=tasks,
        measure=("memory",),
    )
    metrics: Metrics = {}
    outcome = measure(cell, lambda found: metrics.update(found.metrics))
    assert outcome.reason is None
    return metrics["peak_bytes"][0]


def test_backward_once_a_task_needs_the_memory_of_one_and_once_a_meta_batch_that_of_all() -> None:
    for name in ("maml", "maml-replay", "imaml-cg"):
        single = peak(name, "loop", 1)
        assert peak(name, "loop", 8) < 1.3 * single
        assert 6 * single < peak(name, "vmap", 8) < 10 * single
