"""The rule of ``compare --confirm`` in trials of its own, each in new processes: of equal codes, and of a slower one.

A folder holds one experiment: ``trials.jsonl``, whose first line says on which machine, and whose others hold a trial
each with every pair of times it took; and ``README.md``, what they come to. It may be broken off at any moment.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from pydantic import ValidationError

from harness.cell import Cell, Measurement, Model
from harness.compare.confirm import DETECT, FALSE_ALARMS, LOOKS, POWER, Pair, confirm
from harness.compare.suspects import pairs, share
from harness.doctor.trials import PLUGINS, Measure, at_least, at_most, planted_cell, too_many
from harness.errors import BadInput, first_line, os_errors
from harness.executors import LocalExecutor
from harness.manifest import Machine
from harness.statistics import Verdict

TRIALS, SUMMARY = "trials.jsonl", "README.md"
EQUAL_PER_PLANTED = 3
"""Trials of equal codes for each of the slower one: their bar is the higher."""
_SPINNER = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10**6))"


class Conditions(Model):
    """Under which all trials of a folder are made."""

    machine: Machine
    busy: int
    """Processes that keep the processors busy beside the trials, besides whatever else the machine does."""
    cell: Cell
    """What is timed; head is the same with the slowdown of the trial."""
    looks: tuple[int, ...]
    false_alarms: float
    detect: float


class Trial(Model):
    """One pair of codes compared."""

    planted: float
    """Head's slowdown, as a share; 0 of equal codes."""
    number: int
    started_at: str
    """UTC, ISO 8601."""
    verdict: Verdict
    ratio: float
    low: float
    high: float
    pairs: tuple[Pair, ...]
    """Seconds of the fastest call of base's process and of head's."""
    load_average: float | None
    foreign_share: float | None
    """Medians over the processes, as in a run."""


class Experiment(Model):
    """All trials so far."""

    conditions: Conditions
    trials: tuple[Trial, ...]

    def of(self, planted: float) -> list[Trial]:
        """Those with this slowdown."""
        return [each for each in self.trials if each.planted == planted]

    @property
    def passed(self) -> bool:
        """Whether false alarms are as rare, and the slowdown found as often, as the rule promises."""
        equal, slower = (Counter(each.verdict for each in self.of(planted)) for planted in (0.0, DETECT))
        alarms = equal[Verdict.WORSE] + equal[Verdict.BETTER]
        return not too_many(alarms, equal.total(), FALSE_ALARMS) and slower[Verdict.WORSE] >= POWER * slower.total()


def experiment(
    device: str, trials: int, out: Path, busy: int = 0, tell: Callable[[str], None] = lambda line: None
) -> Experiment:
    """Make the trials that ``out`` does not hold yet: so many of equal codes, a third as many of a slower one.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:I``.
        trials: Of equal codes.
        out: The folder.
        busy: Processes to keep the processors busy with meanwhile.
        tell: Is given a line after each trial.

    Raises:
        BadInput: No such device; ``out`` holds something else, or trials made under other conditions.
    """
    executor = LocalExecutor(PLUGINS)
    machine: Machine = executor.ask("harness.machine:describe", device, 1)
    conditions = Conditions(
        machine=machine,
        busy=busy,
        cell=planted_cell(0.0, machine.device),
        looks=LOOKS,
        false_alarms=FALSE_ALARMS,
        detect=DETECT,
    )
    with os_errors(f"cannot write to {out}"):
        out.mkdir(parents=True, exist_ok=True)
        if not (out / TRIALS).exists():
            (out / TRIALS).write_text(conditions.model_dump_json() + "\n")
        held, whole_bytes = _read(out)
        os.truncate(out / TRIALS, whole_bytes)
    if held.conditions != conditions:
        raise BadInput(f"{out / TRIALS}: was made under other conditions; choose another --out")
    done = {(each.planted, each.number) for each in held.trials}
    todo = [each for each in _schedule(trials) if each not in done]
    with _kept_busy(busy), os_errors(f"cannot write to {out}"):
        for count, (planted, number) in enumerate(todo, start=1):
            trial = one_trial(planted, number, machine.device, executor.measure)
            with (out / TRIALS).open("a") as file:
                file.write(trial.model_dump_json() + "\n")
            tell(f"trial {count} of {len(todo)}: {share(planted)} slower, {trial.verdict} by {len(trial.pairs)} pairs")
        found = load_experiment(out)
        (out / SUMMARY).write_text(summary(found))
    return found


def load_experiment(folder: Path) -> Experiment:
    """The trials in a folder; a line that was broken off is left out.

    Raises:
        BadInput: There are none, or they are damaged.
    """
    with os_errors(f"cannot read {folder / TRIALS}"):
        return _read(folder)[0]


def _read(folder: Path) -> tuple[Experiment, int]:
    """The experiment, and how many bytes of the file are whole lines."""
    content = (folder / TRIALS).read_bytes()
    whole_bytes = content.rfind(b"\n") + 1
    try:
        conditions, *trials = content[:whole_bytes].splitlines() or [b""]
        found = Experiment(
            conditions=Conditions.model_validate_json(conditions),
            trials=tuple(Trial.model_validate_json(each) for each in trials),
        )
    except ValidationError as error:
        raise BadInput(f"{folder / TRIALS}: no trials of this version ({first_line(error)})") from error
    return found, whole_bytes


def _schedule(trials: int) -> Iterator[tuple[float, int]]:
    """Slowdown and number of each trial, both kinds spread over the whole time."""
    for number in range(trials):
        yield 0.0, number
        if number % EQUAL_PER_PLANTED == EQUAL_PER_PLANTED - 1:
            yield DETECT, number // EQUAL_PER_PLANTED


def one_trial(planted: float, number: int, device: str, measure: Measure) -> Trial:
    """Confirm a suspected change between a code and itself, or one that is slower by ``planted``."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    base, head = planted_cell(0.0, device), planted_cell(planted, device)
    taken: list[Measurement] = []

    def take(cells: Sequence[str], turn: int) -> dict[str, Pair]:
        if turn % 2 == 0:
            ours, theirs = measure(base, turn), measure(head, turn)
        else:
            theirs, ours = measure(head, turn), measure(base, turn)
        taken.extend([ours, theirs])
        return pairs([ours], [theirs], turn)

    decision = confirm([base.label], take)[base.label]
    return Trial(
        planted=planted,
        number=number,
        started_at=started_at,
        verdict=decision.comparison.verdict,
        ratio=decision.comparison.ratio,
        low=decision.comparison.low,
        high=decision.comparison.high,
        pairs=decision.pairs,
        load_average=_typical(taken, "load_average"),
        foreign_share=_typical(taken, "foreign_share"),
    )


def _typical(measurements: Sequence[Measurement], metric: str) -> float | None:
    values = [value for each in measurements for value in each.metrics.get(metric, [])]
    return median(values) if values else None


@contextmanager
def _kept_busy(processes: int) -> Generator[None]:
    """Others that compute all the time; they end with this process, however it ends."""
    with ExitStack() as others:
        for _ in range(processes):
            spinner = others.enter_context(subprocess.Popen([sys.executable, "-I", "-S", "-c", _SPINNER]))
            others.callback(spinner.kill)
        yield


def summary(found: Experiment) -> str:
    """What the trials come to, in Markdown."""
    where, trials = found.conditions, found.trials
    beside = f" beside {where.busy} processes that computed all the time" if where.busy else ""
    days = sorted({each.started_at[:10] for each in trials})
    rows = [
        "| head | trials | WORSE | BETTER | SAME | UNCLEAR | processes a side, median and most |",
        "|---|---|---|---|---|---|---|",
        *(_row(name, found.of(planted)) for name, planted in (("equal", 0.0), (f"{share(DETECT)} slower", DETECT))),
    ]
    equal, slower = found.of(0.0), found.of(where.detect)
    alarms = sum(each.verdict in (Verdict.WORSE, Verdict.BETTER) for each in equal)
    caught = sum(each.verdict is Verdict.WORSE for each in slower)
    conditions = [
        f"- false alarms: {alarms} of {len(equal)}, by which they are below {share(at_most(alarms, len(equal)))}",
        f"- slowdown found: {caught} of {len(slower)}, by which it is found in {share(at_least(caught, len(slower)))} "
        "or more (both: 95 % interval of Clopper and Pearson)",
        f"- load average {_range([each.load_average for each in trials])}",
        f"- share of all CPU time that other processes took {_range([each.foreign_share for each in trials])}",
        f"- {where.machine.device_name}, {where.machine.logical_cores} logical cores, torch {where.machine.torch}, "
        f"Python {where.machine.python}, {' to '.join(dict.fromkeys([days[0], days[-1]]) if days else ['never'])}",
    ]
    parts = [
        f"# `compare --confirm` on equal codes and on a slower one{beside}",
        f"Every trial measures {where.cell.problem.words}, K = {where.cell.steps}, in new processes, base and head in "
        f"turn, until the rule decides or {where.looks[-1]} a side do not. The slower head holds the processor for "
        f"{share(where.detect)} longer. Raw times: [{TRIALS}]({TRIALS}).",
        "\n".join(rows),
        "\n".join(conditions),
    ]
    return "\n\n".join(parts) + "\n"


def _row(name: str, trials: Sequence[Trial]) -> str:
    counts = Counter(each.verdict for each in trials)
    taken = sorted(len(each.pairs) for each in trials) or [0]
    verdicts = [counts[verdict] for verdict in (Verdict.WORSE, Verdict.BETTER, Verdict.SAME, Verdict.UNCLEAR)]
    cells = [name, len(trials), *verdicts, f"{median(taken):g}, {taken[-1]}"]
    return f"| {' | '.join(map(str, cells))} |"


def _range(values: Sequence[float | None]) -> str:
    known = sorted(each for each in values if each is not None)
    return f"{median(known):.2f} ({known[0]:.2f} … {known[-1]:.2f})" if known else "unknown"
