from harness.cell import MATH_ATTENTION, Measurement, Status
from harness.report.quality import between_processes, busy, leaks, missing_references, noise, quality, suspects
from harness.report.settings import Setting, settings
from tests.report.synthetic import measurement, run

STEADY = [1.0, 1.001, 0.999, 1.0005, 0.9995, 1.0, 1.001, 0.999]


def setting(*measurements: Measurement) -> Setting:
    [only] = settings([run(measurements)])
    return only


def test_nothing_is_said_of_good_measurements() -> None:
    good = {"wall_seconds": STEADY, "retained_bytes": [0.0, 0.0], "suspect": [0.0] * 8}
    assert quality(setting(measurement(metrics=good))) == []


def test_noise_is_told_with_where_and_the_remedy() -> None:
    rising = [1.0 + 0.01 * i for i in range(12)]
    cells = [
        measurement("MAML", 1, metrics={"wall_seconds": STEADY}),
        measurement("MAML", 2, metrics={"wall_seconds": rising}),
        measurement("FOMAML", 2, estimator="fomaml", metrics={"wall_seconds": rising}),
    ]
    unstable, drifting = noise(setting(*cells))
    assert unstable.startswith("Wall time is unstable for MAML and FOMAML at K = 2 (the median is known to no better")
    assert drifting.startswith("Wall time is drifting for MAML and FOMAML at K = 2 (the times moved by more than 2%")


def test_a_failed_cell_has_no_noise() -> None:
    failed = measurement(status=Status.OOM, metrics={"wall_seconds": [1.0, 2.0, 3.0]})
    assert noise(setting(failed)) == []


def test_times_that_others_disturbed_are_told_with_where_and_how_much() -> None:
    def timed(steps: int, *foreign: float, status: Status = Status.OK) -> Measurement:
        metrics = {"wall_seconds": [1.0] * len(foreign), "foreign_share": list(foreign)}
        return measurement(steps=steps, status=status, metrics=metrics)

    cells = [timed(1, 0.1), timed(2, 0.6), timed(4, 0.0, 0.75), timed(8, 0.9, status=Status.OOM)]
    said = (
        "Wall times are not to be trusted for MAML at K = 2 and 4: other processes took the processor meanwhile (up to "
        "75 % of the machine's CPU time)."
    )
    assert busy(setting(*cells)) == [said]
    assert said in quality(setting(*cells))
    assert busy(setting(timed(1, 0.1), measurement(steps=2, metrics={"foreign_share": [0.9]}))) == []


def test_a_leak_is_what_every_call_leaves_behind() -> None:
    cached = measurement("caches", 1, metrics={"retained_bytes": [800.0, 800.0]})
    leaking = measurement("leaks", 1, estimator="fomaml", metrics={"retained_bytes": [4000.0, 8000.0]})
    assert leaks(setting(cached, leaking)) == [
        "Memory leaks from call to call: leaks 4 kB a call. It is held whatever K."
    ]


def test_suspect_samples_are_told_with_the_reason() -> None:
    doubtful = measurement(metrics={"suspect": [0.0, 1.0]})
    doubtful = doubtful.model_copy(update={"notes": {"suspect": "power cap (1 of 2 samples)"}})
    assert suspects(setting(doubtful)) == [
        "Some timed calls are suspect for MAML at K = 1: power cap (1 of 2 samples)."
    ]


def test_processes_are_compared() -> None:
    cells = [
        measurement("MAML", 1, metrics={"process_seconds": [1.0, 1.01, 1.02]}),
        measurement("MAML", 2, metrics={"process_seconds": [1.0, 1.10, 1.05]}),
    ]
    assert between_processes(setting(*cells)) == [
        "Median wall times of the 3 processes of a cell differ by 6.0 % (median over cells), at most by 10 % "
        "(MAML at K = 2)."
    ]


def test_what_should_not_differ_between_processes_and_does_is_named() -> None:
    odd = measurement(metrics={"flops": [1.0, 2.0]}).model_copy(
        update={"notes": {"flops": "differs between processes"}}
    )
    assert between_processes(setting(odd)) == ["What should be the same in every process is not: flops."]


def test_a_reference_that_is_missing_is_told_with_the_reason() -> None:
    cell = measurement(metrics={}).model_copy(update={"notes": {"implicit_relative_error": "no minimiser (seed 0)"}})
    [sentence] = missing_references(setting(cell))
    assert sentence == "Not every error could be measured for MAML at K = 1: no minimiser (seed 0)."


def test_attention_by_another_kernel_than_usual_is_told_with_where() -> None:
    plain, noted = measurement(steps=1), measurement(steps=2)
    noted = noted.model_copy(update={"notes": {"peak_bytes": MATH_ATTENTION}})
    [sentence] = quality(setting(plain, noted))
    assert sentence == f"For MAML at K = 2, {MATH_ATTENTION}."
