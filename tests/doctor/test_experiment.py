"""Trials of the confirmation, on times made up: what is stored, gone on with, refused and summed up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cell import Cell, Measurement, Status
from harness.cli import main
from harness.compare.confirm import DETECT, FALSE_ALARMS, LOOKS, confirm
from harness.doctor import experiment as module
from harness.doctor.experiment import SUMMARY, TRIALS, Experiment, experiment, load_experiment, one_trial, summary
from harness.errors import BadInput
from harness.executors import LocalExecutor
from harness.statistics import Verdict
from tests.report.synthetic import MACHINE

Measure = Callable[[Cell, int], Measurement]


def measuring(asked: list[tuple[float, int]] | None = None, factor: float = 1.0) -> Measure:
    """Measures planted cells as they are planted; the slower one ``factor`` times as slow besides."""

    def measure(cell: Cell, turn: int) -> Measurement:
        slowdown = cell.estimator.parameters["slowdown"]
        assert isinstance(slowdown, float)
        if asked is not None:
            asked.append((slowdown, turn))
        seconds = (1 + slowdown) * (factor if slowdown else 1.0)
        metrics = {"wall_seconds": [seconds] * 3, "load_average": [1.5], "foreign_share": [0.25]}
        return Measurement(key=cell.key, cell=cell, status=Status.OK, started_at="now", repeat=turn, metrics=metrics)

    return measure


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started."""
    measure = measuring()
    monkeypatch.setattr(LocalExecutor, "ask", lambda self, function, *arguments: MACHINE)
    monkeypatch.setattr(LocalExecutor, "measure", lambda self, cell, turn: measure(cell, turn))


def test_a_trial_takes_turns_until_it_is_decided() -> None:
    asked: list[tuple[float, int]] = []
    equal, slower = one_trial(0.0, 3, "cpu", measuring(asked)), one_trial(DETECT, 4, "cpu", measuring(asked))
    assert (equal.verdict, equal.number, len(equal.pairs)) == (Verdict.SAME, 3, LOOKS[0])
    assert slower.verdict is Verdict.WORSE
    assert slower.ratio == pytest.approx(1 + DETECT)
    assert (equal.load_average, equal.foreign_share) == (1.5, 0.25)
    of_slower = asked[2 * LOOKS[0] :]
    assert of_slower[:4] == [(0.0, 0), (DETECT, 0), (DETECT, 1), (0.0, 1)]
    assert len(of_slower) == 2 * len(slower.pairs)


def test_trials_are_stored_and_gone_on_with(tmp_path: Path) -> None:
    told: list[str] = []
    found = experiment("cpu", 6, tmp_path / "out", tell=told.append)
    assert [(each.planted, each.number) for each in found.trials] == [
        *((0.0, 0), (0.0, 1), (0.0, 2), (DETECT, 0)),
        *((0.0, 3), (0.0, 4), (0.0, 5), (DETECT, 1)),
    ]
    assert found.passed
    assert told[3] == "trial 4 of 8: 10% slower, worse by 10 pairs"
    assert (tmp_path / "out" / SUMMARY).read_text() == summary(found)
    stored = (tmp_path / "out" / TRIALS).read_text()
    told.clear()
    assert experiment("cpu", 6, tmp_path / "out", tell=told.append) == found
    assert told == []
    with (tmp_path / "out" / TRIALS).open("a") as file:
        file.write('{"planted": 0.0, "number"')
    assert load_experiment(tmp_path / "out") == found
    more = experiment("cpu", 7, tmp_path / "out", tell=told.append)
    assert told == ["trial 1 of 1: 0% slower, same by 6 pairs"]
    assert more.trials[:8] == found.trials
    assert (tmp_path / "out" / TRIALS).read_text().startswith(stored)


def test_other_conditions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment("cpu", 1, tmp_path)
    with pytest.raises(BadInput, match=r"trials\.jsonl: was made under other conditions; choose another --out"):
        experiment("cpu", 1, tmp_path, busy=1)
    other = MACHINE.model_copy(update={"logical_cores": 64})
    monkeypatch.setattr(LocalExecutor, "ask", lambda self, function, *arguments: other)
    with pytest.raises(BadInput, match="other conditions"):
        experiment("cpu", 1, tmp_path)


@pytest.mark.parametrize("content", ["", "\n", "no JSON\n", "{}\n"])
def test_a_file_of_something_else_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / TRIALS).write_text(content)
    with pytest.raises(BadInput, match=r"trials\.jsonl: no trials of this version \("):
        experiment("cpu", 1, tmp_path)
    assert (tmp_path / TRIALS).read_text() == content
    with pytest.raises(BadInput, match=r"cannot read .*nowhere"):
        load_experiment(tmp_path / "nowhere")


def test_others_are_kept_busy_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[bool] = []
    started: list[object] = []
    popen = module.subprocess.Popen

    def start(*arguments: object, **options: object) -> object:
        started.append(popen(*arguments, **options))  # pyright: ignore[reportCallIssue, reportArgumentType]
        return started[-1]

    monkeypatch.setattr(module.subprocess, "Popen", start)
    experiment("cpu", 1, tmp_path, busy=2, tell=lambda line: running.extend(each.poll() is None for each in started))  # pyright: ignore[reportAttributeAccessIssue]
    assert running == [True, True]
    assert all(each.poll() is not None for each in started)  # pyright: ignore[reportAttributeAccessIssue]


def with_verdicts(found: Experiment, equal: Verdict, slower: Verdict) -> Experiment:
    said = {0.0: equal, DETECT: slower}
    trials = tuple(each.model_copy(update={"verdict": said[each.planted]}) for each in found.trials)
    return found.model_copy(update={"trials": trials})


def test_what_fails(tmp_path: Path) -> None:
    found = experiment("cpu", 9, tmp_path)
    assert with_verdicts(found, Verdict.UNCLEAR, Verdict.WORSE).passed
    assert not with_verdicts(found, Verdict.WORSE, Verdict.WORSE).passed
    assert not with_verdicts(found, Verdict.BETTER, Verdict.WORSE).passed
    assert not with_verdicts(found, Verdict.SAME, Verdict.UNCLEAR).passed


def test_the_summary_counts(tmp_path: Path) -> None:
    found = experiment("cpu", 6, tmp_path)
    text = summary(found)
    assert "| equal | 6 | 0 | 0 | 6 | 0 | 6, 6 |" in text
    assert "| 10% slower | 2 | 2 | 0 | 0 | 0 | 10, 10 |" in text
    assert "- false alarms: 0 of 6, by which they are below 45.9%" in text
    assert "- load average 1.50 (1.50 … 1.50)" in text
    assert found.conditions.false_alarms == FALSE_ALARMS
    assert "beside" not in text
    busy = found.model_copy(update={"conditions": found.conditions.model_copy(update={"busy": 3})})
    assert summary(busy).startswith("# `compare --confirm` on equal codes and on a slower one beside 3 processes")


PUBLISHED = sorted(file.parent for file in (Path(__file__).parents[2] / "reports").glob("compare-*/*/trials.jsonl"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_what_is_published_is_what_the_trials_come_to(folder: Path) -> None:
    found = load_experiment(folder)
    assert (folder / SUMMARY).read_text() == summary(found)
    assert found.passed
    assert [each.verdict for each in found.of(0.0) if each.verdict is Verdict.WORSE] == []
    index = (folder.parents[1] / "README.md").read_text()
    assert f"({folder.parent.name}/{folder.name}/{SUMMARY})" in index
    for trial in found.trials:  # the verdicts are those of the rule as it is now
        again = confirm(["cell"], lambda cells, turn, pairs=trial.pairs: dict.fromkeys(cells, pairs[turn]))["cell"]
        assert (again.comparison.verdict, again.pairs) == (trial.verdict, trial.pairs)


def run() -> int:
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--compare", "3"], "--compare needs a folder for its trials: --out FOLDER"),
        (["--out", "x"], "--out is for trials of compare --confirm: add --compare 300, say"),
        (["--busy", "2"], "--busy is for trials of compare --confirm: add --compare 300, say"),
    ],
)
def test_options_that_need_each_other_are_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["imaml-bench", "doctor", *words])
    assert run() == 2
    assert capsys.readouterr().err == f"imaml-bench: {message}\n"


def test_the_command_prints_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["imaml-bench", "doctor", "--device", "cpu", "--compare", "3", "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", words)
    assert run() == 0
    assert "| equal | 3 | 0 | 0 | 3 | 0 |" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*words, "--json"])
    assert run() == 0
    assert len(Experiment.model_validate_json(capsys.readouterr().out).trials) == 4
