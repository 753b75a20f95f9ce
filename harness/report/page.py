"""The report as one page that needs no other file."""

import shlex
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.cell import METRICS, Metric, Status
from harness.frame import metrics_held
from harness.manifest import Manifest
from harness.report.findings import findings
from harness.report.settings import Setting
from harness.report.table1 import CAPTION
from harness.report.tables import Table, table, title
from harness.store import LoadedRun
from harness.units import quantity


@dataclass(frozen=True)
class DrawnFigure:
    """A figure with the files it was written to."""

    title: str
    caption: str
    setting: Setting
    name: str
    """Of its files, without ending."""
    svg: bytes

    @property
    def source(self) -> str:
        """The figure itself, as the address of an image: no script in it could run."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg).decode()}"


@dataclass(frozen=True)
class Failure:
    """Cells of an estimator in one setting that ended in the same way for the same reason."""

    setting: str
    label: str
    status: Status
    reason: str
    steps: list[int]


def render(
    runs: Sequence[LoadedRun],
    settings: Sequence[Setting],
    figures: Sequence[DrawnFigure],
    comparisons: Sequence[Table] = (),
) -> str:
    """The page's HTML; every string in it is escaped."""
    environment = Environment(
        loader=PackageLoader("harness.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    measurements = [measurement for run in runs for measurement in run.measurements]
    return environment.get_template("page.html.j2").render(
        title=" · ".join(dict.fromkeys(run.manifest.suite.title for run in runs)),
        settings=[(setting, findings(setting), table(setting)) for setting in settings],
        figures=figures,
        comparisons=comparisons,
        comparison_caption=CAPTION,
        cell_count=len(measurements),
        failures=[failure for setting in settings for failure in failures(setting)],
        notices=[(run.path.name, notice) for run in runs for notice in run.notices],
        runs=[(run, provenance(run.manifest), shlex.join(run.manifest.command)) for run in runs],
        metrics=[(title(name), name, _metric(name)) for name in metrics_held(measurements)],
    )


def failures(setting: Setting) -> list[Failure]:
    """The cells that did not end well, those alike together."""
    groups: dict[tuple[str, Status, str], list[int]] = {}
    for m in setting.failures:
        groups.setdefault((m.cell.label, m.status, m.reason or ""), []).append(m.cell.steps)
    return [Failure(setting.title, *what, sorted(set(steps))) for what, steps in groups.items()]


def provenance(manifest: Manifest) -> list[tuple[str, str]]:
    """What the numbers depend on, as names and values."""
    machine = manifest.machine
    device_memory = machine.device_memory_bytes
    revision = manifest.git_revision
    facts: list[tuple[str, str | None]] = [
        ("Suite", f"{manifest.suite.name} (SHA-256 {manifest.suite.digest})"),
        ("Begun", manifest.created_at),
        ("System", machine.system),
        ("Processor", f"{machine.processor}, {machine.logical_cores} logical cores, {machine.threads} used by torch"),
        ("Memory", quantity(machine.memory_bytes, "B")),
        ("Device", f"{machine.device}: {machine.device_name}"),
        ("Device UUID", machine.device_uuid),
        ("Device memory", None if device_memory is None else quantity(device_memory, "B")),
        ("Driver", machine.driver),
        ("Python", machine.python),
        ("torch", machine.torch),
        ("imaml-bench", machine.harness),
        ("Git revision", revision and f"{revision}{' with uncommitted changes' if manifest.git_dirty else ''}"),
    ]
    overhead = manifest.overhead_seconds_median
    facts.append(("Harness overhead", None if overhead is None else f"{quantity(overhead, 's')} a cell (median)"))
    return [(name, value) for name, value in facts if value]


def _metric(name: str) -> Metric:
    return METRICS.get(name, Metric("", "", deterministic=False))
