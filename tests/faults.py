"""Estimators that fail in every way a cell can; a worker that imports this module as a plugin knows them."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.estimators import Diagnostics, Estimate, Estimator
from harness.objective import Objective
from harness.registry import ESTIMATORS


@dataclass(frozen=True)
class Faulty(Estimator):
    """Does what ``fault`` says instead of estimating."""

    fault: str = ""
    mark: str = ""

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        match self.fault:
            case "allocation":
                torch.empty(2**55, dtype=torch.uint8)
            case "memory-error":
                raise MemoryError
            case "exception":
                raise ValueError("what a surprise\nand a second line")
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "sigkill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(7)
            case "hang":
                time.sleep(3600)
            case "hang-with-children":
                with subprocess.Popen(["sleep", "3600"]) as process:
                    Path(self.mark).write_text(str(process.pid))
                    process.wait()
            case "not-finite":
                theta = objective.theta
                return Estimate(theta * float("nan"), theta.sum(), Diagnostics(objective, theta, lr, self.steps))
            case _:
                pass
        theta = objective.theta
        return Estimate(theta.clone(), theta.sum(), Diagnostics(objective, theta, lr, self.steps))


@dataclass(frozen=True)
class FailsLate(Faulty):
    """Works in float32 and raises in float64, so in the accuracy pass alone."""

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        if objective.theta.dtype == torch.float64:
            raise ValueError("only now")
        return super().estimate(objective, lr)


if "faulty" not in ESTIMATORS.names():
    ESTIMATORS.register("faulty", Faulty)
    ESTIMATORS.register("fails-late", FailsLate)
