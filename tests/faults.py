"""Estimators that fail in every way a cell can; a worker that imports this module as a plugin knows them."""

import ctypes
import os
import signal
import subprocess
import sys
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
            case "hoard":
                held: list[bytes] = []
                while True:
                    held.append(b"\1" * 2**26)
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
            case "hang-holding-the-interpreter":
                ctypes.PyDLL(None).pause()  # unlike CDLL, without letting other threads run
            case "hang-ignoring-signals":
                for each in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                    signal.signal(each, signal.SIG_IGN)
                time.sleep(3600)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "hidden-grandchild":
                _hide(self.mark)
            case "hang-with-hidden-grandchild":
                _hide(self.mark)
                time.sleep(3600)
            case "crash-with-hidden-grandchild":
                _hide(self.mark)
                os._exit(7)
            case "close-everything":
                os.closerange(0, 1000)
            case "kill-the-fork-server":
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(3600)
            case "system-exit":
                raise SystemExit(7)
            case "interrupt":
                raise KeyboardInterrupt
            case "message-that-raises":
                raise Unspeakable
            case "long-message":
                raise ValueError("x" * 10**6)
            case "escape-sequence":
                raise ValueError("\x1b]0;owned\x07")
            case "print":
                print("from Python \x1b[31m")
                os.write(1, b"from C\n")
                os.write(2, b"and an error\n")
            case "flood":
                for _ in range(100):
                    os.write(1, b"x" * 2**20)
                print("\nat last")
            case "endless-flood":
                while True:
                    os.write(1, b"x" * 2**20)
            case "not-finite":
                theta = objective.theta
                return Estimate(theta * float("nan"), theta.sum(), Diagnostics(objective, theta, lr, self.steps))
            case _:
                pass
        theta = objective.theta
        return Estimate(theta.clone(), theta.sum(), Diagnostics(objective, theta, lr, self.steps))


class Unspeakable(Exception):
    """Has a text that raises."""

    def __str__(self) -> str:
        raise RuntimeError("never")


def _hide(mark: str) -> None:
    """Start a daemon as daemons start: forked twice, in a session of its own, deaf to polite signals."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    Path(mark).write_text(str(os.getpid()))
    time.sleep(3600)
    os._exit(0)


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


def has_imported(name: str) -> bool:
    """Whether this process has."""
    return name in sys.modules
