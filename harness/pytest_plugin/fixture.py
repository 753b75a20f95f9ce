"""The ``metagrad`` fixture."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import BadInput
from harness.pytest_plugin.record import record
from harness.units import quantity

if TYPE_CHECKING:
    from harness.estimators import Estimator
    from harness.validation import ValidationReport
    from harness.validation.outputs import Function

_VALIDATED = pytest.StashKey[bool]()


class Metagrad:
    """Checks of meta-gradients within one test."""

    def __init__(self, item: pytest.Item, settings: dict[str, Any] | None) -> None:
        self._item = item
        self._settings = settings or {}
        item.stash[_VALIDATED] = False

    @staticmethod
    def has_validated(item: pytest.Item) -> bool:
        """Whether the test called :meth:`validate`."""
        return item.stash.get(_VALIDATED, False)

    def validate(self, fn: "Function | Estimator | str", **settings: Any) -> "ValidationReport":
        """Hold a meta-gradient function against the exact one, as ``harness.validate`` does, and return its report.

        Args:
            fn: ``fn(problem, task, theta)`` returning ``dict[str, Tensor]``, an estimator, or the name of one.
            **settings: Keywords of ``harness.validate``. They go before those of the test's ``gradient_error``.

        Raises:
            AssertionError: It fails; the message is the report, which names the likely cause.
            BadInput: A setting is wrong or missing, or the reference does not exist.
        """
        __tracebackhide__ = True
        import harness

        try:
            report = harness.validate(fn, **self._settings | settings)
        except BadInput as error:
            raise error.with_traceback(None) from None
        self._item.stash[_VALIDATED] = True
        errors = [draw.relative_error for draw in report.draws if draw.relative_error is not None]
        if errors:
            worst, allowed = max(errors), report.tolerance
            self._record(
                f"relative error of {report.function} {worst:.2g} against {report.reference}, {allowed:.2g} allowed",
                relative_error=worst,
                relative_error_allowed=allowed,
            )
        if not report.passed:
            raise AssertionError(str(report))
        return report

    def peak_bytes(self, call: Callable[[], object], *, device: str = "cpu") -> int:
        """Run ``call`` once: its peak memory as PyTorch's allocator counts it, less what was held before, in bytes.

        Args:
            call: What to run; what it returns is dropped. On a CPU, what threads of its own allocate does not count.
            device: Whose allocator: ``cpu``, ``cuda``, ``cuda:I``, or ``auto``: the first CUDA device, else the CPU.

        Raises:
            BadInput: There is no such device, or the memory is being measured already, as by a marker of the test.
        """
        __tracebackhide__ = True
        from harness.machine import resolve_device
        from harness.pytest_plugin.memory import peak_bytes

        device = resolve_device(device)
        peak = peak_bytes(call, device)
        self._record(f"peak of {quantity(peak, 'B')} on {device}", peak_bytes=peak)
        return peak

    def _record(self, sentence: str, **numbers: float) -> None:
        record(self._item, sentence, **numbers)
