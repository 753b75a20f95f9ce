"""The report as one page that needs no other file."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from harness.cell import METRICS, Metric, Status
from harness.expectations import verdicts as verdicts_on_claims
from harness.expectations import verdicts_table
from harness.frame import metrics_held
from harness.manifest import Manifest
from harness.report import inline
from harness.report.calibration import calibration_chart, calibration_table
from harness.report.charts import metric_charts
from harness.report.checks import checks
from harness.report.findings import findings
from harness.report.laws import laws_table
from harness.report.pareto import pareto_chart, pareto_table
from harness.report.settings import Setting
from harness.report.style import Styles
from harness.report.table1 import CAPTION
from harness.report.tables import Table, table, title
from harness.report.verdict import verdicts
from harness.store import LoadedRun
from harness.units import quantity

SIZE = 2_900_000
"""Bytes of a page. Figures that would make it larger are left to their files."""
FRONTS = 6
"""Most settings with a chart of time, memory and error."""


@dataclass(frozen=True)
class DrawnFigure:
    """A figure with the files it was written to."""

    title: str
    caption: str
    setting: Setting
    name: str
    """Of its files, without ending."""
    svg: bytes
    png: bytes

    @cached_property
    def source(self) -> str:
        """The figure itself, as the address of an image."""
        return inline.address(self.svg, self.png)


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
    styles: Styles,
    comparisons: Sequence[Table] = (),
    timelines: Sequence[DrawnFigure] = (),
    timelines_note: str = "",
) -> str:
    """The page's HTML; every string in it is escaped."""
    measurements = [measurement for run in runs for measurement in run.measurements]
    explore, explore_note = metric_charts(settings, styles)
    fronts = [(setting, pareto_chart(setting, styles), of) for setting in settings if (of := pareto_table(setting))]
    fronts = [(setting, chart if place < FRONTS else None, of) for place, (setting, chart, of) in enumerate(fronts)]
    calibration = calibration_chart(settings, styles)
    charts = [*explore, *(chart for _, chart, _ in fronts if chart), *([calibration] if calibration else [])]
    told = [findings(setting) for setting in settings]
    claims = [verdict for run in runs for verdict in verdicts_on_claims(run)]
    sentences = [sentence for of_setting in told for sentence in of_setting]
    scripts = inline.scripts()
    content = {
        "title": " · ".join(dict.fromkeys(run.manifest.suite.title for run in runs)),
        "verdicts": verdicts(settings),
        "checks": checks(runs, settings, claims, sentences),
        "claims": verdicts_table(claims) if claims else None,
        "settings": [(setting, of, table(setting)) for setting, of in zip(settings, told, strict=True)],
        "figures": figures,
        "explore": [(heading, list(of)) for heading, of in groupby(explore, lambda chart: chart.heading)],
        "explore_note": explore_note,
        "fronts": fronts,
        "calibration": calibration,
        "calibration_table": calibration_table(settings),
        "charts": charts,
        "data": [[chart.traces, chart.layout] for chart in charts],
        "timelines": timelines,
        "timelines_note": timelines_note,
        "comparisons": comparisons,
        "comparison_caption": CAPTION,
        "laws": [(setting.title, of) for setting in settings if (of := laws_table(setting))],
        "cell_count": len(measurements),
        "failures": [failure for setting in settings for failure in failures(setting)],
        "notices": [(run.name, notice) for run in runs for notice in run.notices],
        "runs": [(run, provenance(run.manifest), shlex.join(run.manifest.command)) for run in runs],
        "metrics": [(title(name), name, _metric(name)) for name in metrics_held(measurements)],
        "style": inline.style(),
        "scripts": scripts,
        "policy": inline.policy(scripts),
    }
    page = _template()
    room = SIZE - len(page.render(content, sources={}).encode())
    return page.render(content, sources=_fitting([*figures, *timelines], room))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("harness.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template("page.html.j2")


def _fitting(figures: Sequence[DrawnFigure], room: int) -> dict[str, str]:
    """The images that fit into so many bytes, the first ones first, by name."""
    sources: dict[str, str] = {}
    for figure in figures:
        room -= len(figure.source) + len(figure.caption) + 200
        if room < 0:
            break
        sources[figure.name] = figure.source
    return sources


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
    facts += [
        ("Harness overhead", None if overhead is None else f"{quantity(overhead, 's')} a cell (median)"),
        ("Processes a cell", str(manifest.repeats) if manifest.repeats > 1 else None),
        ("Software", _pairs(manifest.software)),
        ("Settings", _pairs(manifest.settings)),
        ("Environment", "; ".join(f"{name} {value}" for name, value in manifest.environment.items())),
    ]
    return [(name, value) for name, value in facts if value]


def _pairs(named: Mapping[str, str]) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in named.items())


def _metric(name: str) -> Metric:
    return METRICS.get(name, Metric("", "", deterministic=False))
