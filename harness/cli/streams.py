"""Standard streams that measuring survives: closed, full, or in an encoding without λ."""

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from errno import EPIPE
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Patient(io.FileIO):
    """A descriptor to write to. Once it takes no more, what is written is dropped and the fault kept."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.fault: OSError | None = None

    def write(self, content: "Buffer", /) -> int | None:
        """Write, or drop."""
        try:
            return memoryview(content).nbytes if self.fault else super().write(content)
        except OSError as error:
            self.fault = error
            return memoryview(content).nbytes


class _Text(io.TextIOWrapper):
    """Text on a patient descriptor; what its encoding lacks is written out."""

    def __init__(self, raw: Patient, encoding: str, *, line_buffering: bool) -> None:
        super().__init__(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=line_buffering)
        self.raw = raw


@contextmanager
def patient_streams() -> Generator[Patient | None]:
    """Within, printing never raises: what cannot be written is dropped, what cannot be encoded is written out.

    Yields:
        Standard output, to be asked for its fault at the end; ``None`` where the caller has replaced it.
    """
    _open_closed_descriptors()
    before = sys.stdout, sys.stderr
    out, err = _patient(sys.stdout, 1), _patient(sys.stderr, 2)
    sys.stdout, sys.stderr = (new or old for new, old in zip((out, err), before, strict=True))
    try:
        yield out.raw if out else None
    finally:
        for stream in (each for each in (out, err) if each):
            with suppress(ValueError):  # closed by what ran
                stream.flush()
        sys.stdout, sys.stderr = before


def fault_of(output: Patient | None) -> str | None:
    """Why not all of standard output was written, in words; nothing is wrong where its reader had enough."""
    if output is None or output.fault is None or output.fault.errno == EPIPE:
        return None
    return f"cannot write to standard output: {output.fault.strerror}"


def _open_closed_descriptors() -> None:
    """Lead closed standard descriptors nowhere, lest files opened next get their numbers and what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _patient(stream: TextIO | None, descriptor: int) -> _Text | None:
    """A stream in place of Python's own one on a descriptor."""
    if stream is not None:
        try:
            if stream.fileno() != descriptor:
                return None
        except (OSError, ValueError):
            return None
        stream.flush()
    raw = Patient(descriptor)
    encoding = stream.encoding if stream is not None else "utf-8"
    return _Text(raw, encoding, line_buffering=raw.isatty() or descriptor == 2)
