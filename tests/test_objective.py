import torch

import harness
from harness.bilevel import Task
from harness.objective import Objective
from harness.problems.module import ModuleProblem


def test_a_linear_inner_loss_has_no_curvature() -> None:
    layer = torch.nn.Linear(3, 1, bias=False).double()
    data = (torch.ones(4, 3, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64))
    problem = ModuleProblem(layer, lambda out, _: out.mean(), lambda n, seed: [Task(data, data)] * n)
    [task] = problem.tasks(1, 0)
    objective = Objective.of(problem, task, problem.theta(), 1.0)
    v = torch.ones(3, dtype=torch.float64)
    assert torch.equal(objective.hessian(objective.theta)(v), torch.zeros_like(v))
    assert torch.equal(objective.curvature(objective.theta)(v), v)
    for name in ("maml", "maml-replay", "imaml-cg"):
        result = harness.estimator(name, steps=3, lr=0.1, lam=1.0).meta_gradient(problem, task, problem.theta())
        torch.testing.assert_close(result.grad["weight"], torch.ones(1, 3, dtype=torch.float64))
