"""An estimator that is slower by a known share, for worker processes to import."""

from dataclasses import dataclass
from time import perf_counter, thread_time

import torch

from harness.estimators.base import Estimate
from harness.estimators.unrolled import Maml
from harness.objective import Objective
from harness.registry import ESTIMATORS


@dataclass(frozen=True)
class MamlSlowed(Maml):
    """Exact MAML that then holds the processor for a share of the time it had it.

    Time during which others had the processor counts neither way, lest a busy machine make more of the share.
    """

    slowdown: float = 0.0
    """The share."""

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """Backprop through the inner loop, then wait."""
        now = perf_counter if objective.theta.is_cuda else thread_time
        start = now()
        found = super().estimate(objective, lr)
        if objective.theta.is_cuda:
            torch.cuda.synchronize(objective.theta.device)
        end = now()
        until = end + self.slowdown * (end - start)
        while now() < until:
            pass
        return found


ESTIMATORS.register("maml-slowed", MamlSlowed)
