"""What a claim calls the cells it is about."""

from harness.cell import Measurement
from harness.expectation import Expectation, axis


def label(of: Expectation, measurement: Measurement) -> str:
    """What the claim's study, or the suite, calls the cell's estimator."""
    studies = measurement.cell.studies
    return next((each.label for each in studies if of.study in (None, each.title)), measurement.cell.label)


def place(of: Expectation, measurement: Measurement) -> str:
    """The cell: its estimator, K, and what its study or the claim varies besides."""
    cell = measurement.cell
    axes = [study.x for study in cell.studies if study.title == of.study]
    axes += [name for name, values in of.at.items() if len(values) > 1]
    varied = {name: axis(cell, name) for name in axes if name != "steps"}
    facts = [f"{name} = {value}" for name, value in varied.items() if value is not None]
    return ", ".join([label(of, measurement), f"K = {cell.steps}", *facts])
