"""The store against a model of it: whatever is done to a run, and in whatever order, a reader and the next writer find
what the model says.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harness.cell import Measurement, Status
from harness.errors import BadInput
from harness.lines import Process, line
from harness.store import NOTICED, Run, load_run, open_run
from tests.test_store import cell, measured, planning

STEPS = (1, 2, 3)
REPEATS = 2
STATUSES = (Status.OK, Status.OK, Status.CRASH, Status.OOM)
NO_LINES = b"", b"{}", b"\0" * 100, b"\xff", b"[" * 2000, b"null"
PLACES = st.integers(0, 2**16)


class Model:
    """What a run directory holds: its plan, and bytes of which it is known what was written as a line."""

    def __init__(self) -> None:
        self.planned: list[str] | None = None
        """None before the run has begun."""
        self.repeats = 1
        self.content = b""
        self.written: dict[bytes, Measurement] = {}

    @property
    def lines(self) -> list[bytes]:
        return self.content.split(b"\n")[:-1]

    @property
    def torn(self) -> bool:
        return not self.content.endswith(b"\n") and self.content != b""

    def read(self) -> tuple[dict[Process, Measurement], list[int]]:
        """The latest measurement of every process, and the numbers of the lines left out."""
        latest: dict[Process, Measurement] = {}
        left_out: list[int] = []
        for number, text in enumerate(self.lines, start=1):
            found = self.written.get(text)
            process = (found.key, found.repeat) if found else None
            known = found is not None and found.key in (self.planned or ()) and found.repeat < self.repeats
            if found is None or process is None or not known or self._ended_well(latest.get(process)):
                left_out.append(number)
            else:
                latest[process] = found
        return latest, left_out

    def done(self) -> set[Process]:
        return {process for process, found in self.read()[0].items() if self._ended_well(found)}

    def count_notices(self) -> int:
        """Of lines left out: some are told one by one, the others in one."""
        left_out = len(self.read()[1])
        return min(left_out, NOTICED) + (left_out > NOTICED)

    @staticmethod
    def _ended_well(found: Measurement | None) -> bool:
        return found is not None and found.status is Status.OK


class StoreMachine(RuleBasedStateMachine):
    """A run directory that is written, read, killed and damaged, beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.path = self.folder / "run"
        self.file = self.path / "measurements.jsonl"
        self.model = Model()
        self.run: Run | None = None

    def teardown(self) -> None:
        if self.run:
            self.run.close()
        shutil.rmtree(self.folder)

    is_open = precondition(lambda self: self.run is not None)
    is_closed = precondition(lambda self: self.run is None)
    has_bytes = precondition(lambda self: self.run is None and self.model.content != b"")

    # Writers

    @is_closed
    @rule(steps=st.lists(st.sampled_from(STEPS), min_size=1, unique=True), repeats=st.integers(1, REPEATS))
    def open(self, steps: Sequence[int], repeats: int) -> None:
        """Begin the run, or go on with it."""
        manifest = planning(*steps).model_copy(update={"repeats": repeats})
        self.run = open_run(self.path, manifest)
        model = self.model
        model.planned = list(dict.fromkeys([*(model.planned or ()), *manifest.planned]))
        model.repeats = max(model.repeats, repeats)
        assert len(self.run.notices) == model.count_notices() + model.torn
        assert self.run.manifest.planned == model.planned
        model.content = model.content[: model.content.rfind(b"\n") + 1]

    @is_open
    @rule(place=PLACES, status=st.sampled_from(STATUSES), overhead=st.floats(0, 10), torn=st.booleans(), data=st.data())
    def append(self, place: int, status: Status, overhead: float, torn: bool, data: st.DataObject) -> None:
        """Measure a process that has not ended well; now and then be killed within the write."""
        assert self.run is not None
        keys = self.model.planned or []
        todo = [(key, repeat) for repeat in range(self.model.repeats) for key in keys]
        todo = [process for process in todo if process not in self.run.done()]
        if not todo:
            return
        key, repeat = todo[place % len(todo)]
        [steps] = [each for each in STEPS if cell(each).key == key]
        measurement = measured(steps, status, flops=[float(place)], overhead_seconds=[overhead])
        measurement = measurement.model_copy(update={"repeat": repeat})
        text = line(measurement)
        if torn:
            part = text[: data.draw(st.integers(0, len(text)))]
            self.run._file.write(part)  # pyright: ignore[reportPrivateUsage]
            self.model.content += part
            self.kill()
        else:
            self.run.append(measurement)
            self.model.written[text] = measurement
            self.model.content += text + b"\n"

    @is_open
    @rule()
    def finish(self) -> None:
        """End the run in good order."""
        assert self.run is not None
        self.run.finish()
        if latest := self.model.read()[0]:
            overhead = median(each.metrics["overhead_seconds"][0] for each in latest.values())
            assert self.run.manifest.overhead_seconds_median == overhead
        self.close()

    @is_open
    @rule()
    def close(self) -> None:
        """Let others in."""
        assert self.run is not None
        self.run.close()
        self.run = None

    @is_open
    @rule()
    def kill(self) -> None:
        """End as a killed process does: what it held open is closed, and nothing else is done."""
        assert self.run is not None
        self.run._file.close()  # pyright: ignore[reportPrivateUsage]
        self.run = None

    @is_open
    @rule()
    def second_writer(self) -> None:
        """Is let in by nobody, and changes nothing."""
        before = {path.name: path.read_bytes() for path in self.path.iterdir()}
        with pytest.raises(BadInput, match="is being written to by process"):
            open_run(self.path, planning(*STEPS))
        assert {path.name: path.read_bytes() for path in self.path.iterdir()} == before

    # Damage

    @has_bytes
    @rule(count=st.integers(1, 2000))
    def truncate(self, count: int) -> None:
        """The end of the file is lost."""
        self._damage(self.model.content[: -min(count, len(self.model.content))])

    @has_bytes
    @rule(place=PLACES, mask=st.integers(1, 255))
    def change_a_byte(self, place: int, mask: int) -> None:
        """A byte is another, the end of a line perhaps."""
        changed = bytearray(self.model.content)
        changed[place % len(changed)] ^= mask
        self._damage(bytes(changed))

    @has_bytes
    @rule(
        place=PLACES,
        text=st.sampled_from([b"", b"{}", b"\0" * 100, b"\xff", b"[" * 2000, b"null"]),
        count=st.integers(1, 9),
    )
    def insert_lines(self, place: int, text: bytes, count: int) -> None:
        """Lines that are none stand between the others."""
        self._insert(place, [text] * count)

    @has_bytes
    @rule(place=PLACES, which=PLACES)
    def repeat_a_line(self, place: int, which: int) -> None:
        """A line is there twice."""
        if lines := self.model.lines:
            self._insert(place, [lines[which % len(lines)]])

    def _insert(self, place: int, texts: Sequence[bytes]) -> None:
        *lines, rest = self.model.content.split(b"\n")
        at = place % (len(lines) + 1)
        self._damage(b"\n".join([*lines[:at], *texts, *lines[at:], rest]))

    def _damage(self, content: bytes) -> None:
        self.file.write_bytes(content)
        self.model.content = content

    # What must be so

    @invariant()
    def the_file_is_as_it_was_written(self) -> None:
        assert (self.file.read_bytes() if self.file.exists() else b"") == self.model.content

    @invariant()
    def a_reader_finds_what_the_model_holds(self) -> None:
        latest, _ = self.model.read()
        if not latest:
            with pytest.raises(BadInput, match=r"no such folder|holds no measurements"):
                load_run(self.path)
            return
        found = load_run(self.path)
        assert {(each.key, each.repeat): each for each in found.processes} == latest
        missing = len(self.model.planned or ()) * self.model.repeats > len(latest)
        assert len(found.notices) == missing + self.model.count_notices() + self.model.torn

    @invariant()
    def the_writer_knows_what_is_done(self) -> None:
        if self.run is not None:
            assert self.run.done() == self.model.done()


@pytest.mark.parametrize("examples", [100, pytest.param(2000, marks=pytest.mark.thorough)])
def test_a_run_is_what_its_model_says(examples: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=checks),
    )
