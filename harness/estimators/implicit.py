"""Implicit differentiation at the end of the inner loop."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from harness.checks import is_positive, require_count, require_not_negative, require_positive, require_seed
from harness.errors import BadInput
from harness.estimators.base import Diagnostics, Estimate, Estimator
from harness.linear_solvers import ConjugateGradient, Dense, LinearSolver, Minres, Neumann, Nystrom, Operator
from harness.objective import Objective
from harness.phases import phase
from harness.pytree import Params


@dataclass(frozen=True)
class Implicit(Estimator):
    """Solve (I + H/λ) x = ∇L(φ_K) with H = ∇²L̂(φ_K) (paper, Lemma 1 and Algorithm 2).

    Exact as φ_K reaches the minimiser of G and the linear solve converges; it needs I + H/λ positive definite. With λ
    by parameter, Λ, the system is (I + Λ^-½ H Λ^-½) z = Λ^-½ ∇L(φ_K) and x = Λ^½ z, which is symmetric, and the same
    where all entries are equal. Memory holds the activations of one gradient, whatever K.

    Raises:
        BadInput: λ is not above 0: without a proximal term the minimiser does not depend on θ.
    """

    lam: float | Params = 1.0

    remedy: ClassVar[str] = "a larger lam, which brings I + H/λ nearer to the identity"
    """What to change where the linear solve diverges."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.lam, dict) and not is_positive(self.lam):
            raise BadInput(f"lam: {self.lam!r} is not above 0, as an implicit estimator needs")

    @abstractmethod
    def linear_solver(self) -> LinearSolver:
        """The solver of B x = b, B = I + H/λ."""

    def hessian(self, objective: Objective, phi: Tensor) -> Operator:
        """The operator v ↦ Hv: exact, by double backward with the gradient's graph kept."""
        return objective.hessian(phi)

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """Those of the inner solver."""
        return self.solver.memory_variables(steps)

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """Descend, take the query gradient, solve."""
        solution = self.descend(objective, lr)
        with phase("query"):
            loss, gradient = objective.query_gradient(solution.phi)
        with phase("linear"):
            solver, hessian = self.linear_solver(), self.hessian(objective, solution.phi)
            lam = objective.lam
            if isinstance(lam, Tensor):
                root = _root(lam)
                solved = solver.solve(lambda v: v + hessian(v / root) / root, gradient / root)
                grad = solved.x * root
            else:
                solved = solver.solve(lambda v: v.add(hessian(v), alpha=1.0 / lam), gradient)
                grad = solved.x
        return Estimate(grad, loss, Diagnostics(objective, solution.phi, lr, solution.steps, solved))


def _root(lam: Tensor) -> Tensor:
    if bool((~(lam > 0)).any()):
        raise BadInput("lam: an entry is not above 0, as an implicit estimator needs")
    return lam.sqrt()


@dataclass(frozen=True)
class ImamlCg(Implicit):
    """Implicit MAML with conjugate gradients (paper, Algorithm 2).

    Costs K + 2 gradients and one Hessian-vector product a CG step. On an indefinite I + H/λ CG stops where it meets
    negative curvature and says so: the estimate is then not that of the implicit gradient.

    Args:
        cg_steps: Most CG iterations.
        cg_tol: Stop CG once its relative residual is this small; 0 runs all ``cg_steps``.
    """

    cg_steps: int = 5
    cg_tol: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("cg_steps", self.cg_steps)
        require_not_negative("cg_tol", self.cg_tol)

    def linear_solver(self) -> LinearSolver:
        """Conjugate gradients from x = 0."""
        return ConjugateGradient(self.cg_steps, self.cg_tol)


@dataclass(frozen=True)
class DartsFd(ImamlCg):
    """Implicit MAML by CG, each Hessian-vector product a central difference of gradients (Liu, Simonyan & Yang 2019).

    Hv ≈ [∇L̂(φ + hv) − ∇L̂(φ − hv)] / 2h with h = ε/‖v‖, as DARTS approximates its second-order term. Costs K + 1
    gradients and two more a CG step, none of them differentiated: memory of one plain gradient, and nothing has to be
    twice differentiable. Off by O(h²) where the loss is smooth; rounding over h bounds it from below, which in
    float32 is felt.

    Args:
        epsilon: ε, length of the step the difference is taken over.
    """

    epsilon: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("epsilon", self.epsilon)

    def hessian(self, objective: Objective, phi: Tensor) -> Operator:
        """The operator v ↦ Hv by central difference."""

        def product(v: Tensor) -> Tensor:
            norm = v.norm(dim=-1, keepdim=True)
            length = self.epsilon / norm.where(norm > 0, 1.0)
            ahead, behind = phi + length * v, phi - length * v
            return (objective.support_gradient(ahead) - objective.support_gradient(behind)) / (2 * length)

        return product


@dataclass(frozen=True)
class ImamlMinres(Implicit):
    """Implicit MAML with MINRES (Paige & Saunders 1975), for an I + H/λ that need not be positive definite.

    Costs K + 2 gradients and one Hessian-vector product a step. On an indefinite system it still finds its solution,
    though that is then the gradient at a saddle of G rather than at a minimiser.

    Args:
        minres_steps: Most iterations.
        minres_tol: Stop once the relative residual is this small; 0 runs all ``minres_steps``.
    """

    minres_steps: int = 5
    minres_tol: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("minres_steps", self.minres_steps)
        require_not_negative("minres_tol", self.minres_tol)

    def linear_solver(self) -> LinearSolver:
        """MINRES from x = 0."""
        return Minres(self.minres_steps, self.minres_tol)


@dataclass(frozen=True)
class ImamlNeumann(Implicit):
    """Implicit MAML with a truncated Neumann series (Lorraine, Vicol & Duvenaud 2020).

    x = η Σ_{j<J} (I − ηB)ʲ b, B = I + H/λ. Costs K + 2 gradients and J − 1 Hessian-vector products (a few more where
    η is "auto"). Converges at rate 1 − 1/κ, slower than CG, and only for η < 2/‖B‖.

    Args:
        terms: J, terms of the series.
        eta: η, or ``"auto"`` for the inverse of the largest eigenvalue, by Lanczos.
    """

    terms: int = 10
    eta: float | Literal["auto"] = "auto"

    remedy: ClassVar[str] = "eta = 'auto', or a larger lam: the series converges for eta < 2/‖I + H/λ‖ alone"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("terms", self.terms)
        if self.eta != "auto" and not is_positive(self.eta):
            raise BadInput(f"eta: {self.eta!r} is neither a positive number nor 'auto'")

    def linear_solver(self) -> LinearSolver:
        """The truncated series."""
        return Neumann(self.terms, self.eta)


@dataclass(frozen=True)
class ImamlNystrom(Implicit):
    """Implicit MAML with a Nyström approximation of the Hessian (Hataya & Yamada 2023).

    Approximates H/λ by rank r from r random products and inverts by Woodbury's identity. Costs K + 2 gradients and r
    Hessian-vector products, none waiting for another; memory holds r vectors of the parameters' size. Exact once r
    reaches the rank of H; wrong by what the approximation leaves out before.

    Args:
        rank: r.
        sketch_seed: Draws the sketch.
    """

    rank: int = 10
    sketch_seed: int = 0

    remedy: ClassVar[str] = "a larger rank, or a larger lam"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("rank", self.rank)
        require_seed("sketch_seed", self.sketch_seed)

    def linear_solver(self) -> LinearSolver:
        """Nyström with the identity as its shift."""
        return Nystrom(self.rank, shift=1.0, seed=self.sketch_seed)


@dataclass(frozen=True)
class ImamlDense(Implicit):
    """Implicit MAML with a dense solve: the oracle for small problems.

    Costs K + 2 gradients and n Hessian-vector products; memory n² numbers.
    """

    def linear_solver(self) -> LinearSolver:
        """The dense solve."""
        return Dense()
