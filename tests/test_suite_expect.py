"""``[[expect]]`` as it is written, and how it is told when it says something else."""

from pathlib import Path

import pytest

from harness.cell import METRICS, Status
from harness.errors import BadInput
from harness.expectation import Bounds, Expectation
from harness.suite import load_suite
from harness.suite_files import suite_titles

SUITE = """
title = "Small"
[problem]
name = "linear"
dim = 50
[inner]
lr = "auto"
lam = 0.1
[[estimator]]
name = "maml"
label = "MAML"
[[estimator]]
name = "imaml-cg"
cg_steps = [2, 5]
[grid]
steps = { cpu = [1, 2], cuda = [4, 16] }
[measure]
passes = ["memory", "counters", "time"]
"""

STUDIES = """
[[study]]
title = "One"
[[study]]
title = "Two"
"""


def expectation(text: str, suite: str = SUITE) -> Expectation:
    path = Path("small.toml")
    path.write_text(f"{suite}\n[[expect]]\n{text}")
    [found] = load_suite(path).expectations
    return found


def complaint(text: str, suite: str = SUITE) -> str:
    with pytest.raises(BadInput) as caught:
        expectation(text, suite)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix("small.toml: ")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_everything_that_can_be_said() -> None:
    found = expectation("""
        claim = "Memory"
        estimator = ["maml", "imaml-cg cg_steps=5"]
        metric = "peak_bytes"
        at = { steps = [1, 16], dtype = "float32" }
        law = "linear"
        slope = { min = "20 MB", max = "35 MiB" }
        exponent = { equals = 1, within = 0.1 }
        max = 5e8
    """)
    assert found == Expectation(
        claim="Memory",
        estimators=("maml", "imaml-cg cg_steps=5"),
        metric="peak_bytes",
        at={"steps": (1, 16), "dtype": ("float32",)},
        law="linear",
        slope=Bounds(min=20e6, max=35 * 2**20),
        exponent=Bounds(min=0.9, max=1.1),
        value=Bounds(max=5e8),
    )


def test_a_time_is_gated_as_a_ratio() -> None:
    found = expectation('metric = "wall_seconds"\nratio_to = "MAML"\nestimator = "imaml-cg"\nmax = 1.5')
    assert (found.ratio_to, found.value) == ("MAML", Bounds(max=1.5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('metric = "flops"\nmax = 2e9', "every estimator: flops is at most 2 GFLOP"),
        ('metric = "peak_bytes"\nestimator = "maml"\nlaw = "flat"', "maml: peak_bytes is flat"),
        (
            'metric = "peak_bytes"\nslope = { min = "1 MB", max = "2 MB" }',
            "every estimator: peak_bytes has a slope of 1 MB to 2 MB a step",
        ),
        (
            'metric = "flops"\nestimator = "imaml-cg"\nratio_to = "maml"\nmin = 2',
            "imaml-cg: flops over that of maml is at least 2",
        ),
        ('metric = "hvp_count"\nequals = 1', "every estimator: hvp_count is exactly 1"),
        (
            'metric = "flops"\nlaw = "linear"\nexponent = { max = 1.1 }',
            "every estimator: flops is linear and has an exponent of at most 1.10",
        ),
        ('status = ["ok", "oom"]', "every estimator: ends ok or oom"),
    ],
)
def test_a_claim_without_words_gets_some(text: str, words: str) -> None:
    assert expectation(text).claim == words


def test_status_is_one_or_several() -> None:
    assert expectation('status = ["oom", "skipped"]').status == (Status.OOM, Status.SKIPPED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('metric = "peak_byte"\nmax = 1', "expect[0].metric: unknown metric 'peak_byte': did you mean 'peak_bytes'?"),
        ('metrics = "flops"\nmax = 1', "expect[0].metrics: unknown key 'metrics': did you mean 'metric'?"),
        ("max = 1", "expect[0].metric: missing"),
        (
            'metric = "flops"',
            "expect[0]: nothing is demanded; say min, max, equals, law, slope, exponent or status",
        ),
        (
            'metric = "flops"\nestimator = "mamm"\nmax = 1',
            "expect[0].estimator: unknown estimator of the suite 'mamm': did you mean 'maml'?",
        ),
        (
            'metric = "flops"\nratio_to = "MAMM"\nmax = 1',
            "expect[0].ratio_to: unknown estimator of the suite 'MAMM': did you mean 'MAML'?",
        ),
        (
            'metric = "wall_seconds"\nmax = 1',
            "expect[0].metric: 'wall_seconds' differs from run to run; gate it as a ratio (add ratio_to)",
        ),
        (
            'metric = "peak_bytes"\nlaw = "flatt"',
            "expect[0].law: unknown law 'flatt': did you mean 'flat'?",
        ),
        (
            'metric = "peak_bytes"\nratio_to = "maml"\nlaw = "flat"',
            "expect[0].law: a ratio takes min, max or equals only",
        ),
        ('metric = "flops"\nmax = "2 MB"', 'expect[0].max: "2 MB" is not a number'),
        (
            'metric = "flops"\nratio_to = "maml"\nmax = "2 MB"',
            'expect[0].max: "2 MB" is not a number',
        ),
        (
            'metric = "flops"\nmax = true',
            "expect[0].max: true is not a number, nor a size such as '24 MB'",
        ),
        ('metric = "flops"\nmax = inf', "expect[0].max: Infinity is not a finite number"),
        ('metric = "flops"\nmin = 2\nmax = 1', "expect[0].min: 2 is above max = 1"),
        ('metric = "flops"\nmin = 2\nequals = 1', "expect[0].equals: goes with within, not with min and max"),
        (
            'metric = "flops"\nmin = 2\nwithin = 1',
            "expect[0].within: goes with equals, and is a finite number, at least 0",
        ),
        (
            'metric = "flops"\nequals = 2\nwithin = nan',
            "expect[0].within: goes with equals, and is a finite number, at least 0",
        ),
        (
            'metric = "flops"\nequals = 2\nwithin = inf',
            "expect[0].within: goes with equals, and is a finite number, at least 0",
        ),
        (
            'metric = "flops"\nequals = 2\nwithin = -1.0',
            "expect[0].within: goes with equals, and is a finite number, at least 0",
        ),
        ('metric = "flops"\nslope = { mim = 1 }', "expect[0].slope.mim: unknown key 'mim': did you mean 'min'?"),
        ('metric = "flops"\nslope = {}', "expect[0].slope: say min, max or equals"),
        ('metric = "flops"\nslope = 5', "expect[0].slope: 5 is not a table"),
        (
            'metric = "flops"\nmax = 1\nat = { step = 1 }',
            "expect[0].at: unknown axis 'step': did you mean 'steps'?",
        ),
        (
            'metric = "flops"\nmax = 1\nat = { steps = [1, 8] }',
            "expect[0].at.steps: no cell has 8; there are 1, 2, 4, 16",
        ),
        (
            'metric = "flops"\nmax = 1\nestimator = "maml"\nat = { cg_steps = 2 }',
            "expect[0].at: unknown axis 'cg_steps': did you mean 'steps'?",
        ),
        (
            'metric = "backprop_relative_error"\nmax = 1\nestimator = "maml"',
            "expect[0].metric: no pass or reference of [measure] gives 'backprop_relative_error' of maml",
        ),
        ('status = "okay"', "expect[0].status: unknown status 'okay': did you mean 'ok'?"),
        (
            'status = "oom"\nmetric = "flops"\nmax = 1',
            "expect[0].status: beside a metric it says how cells may end, so 'ok' is among them",
        ),
        (
            'status = "ok"\nstudy = "One"',
            "expect[0].study: the suite has no [[study]] table",
        ),
    ],
)
def test_errors_name_file_key_and_value(text: str, why: str) -> None:
    assert complaint(text) == why


def test_the_key_is_that_of_the_table_in_question() -> None:
    with pytest.raises(BadInput, match=r"^small\.toml: expect\[1\]\.metric: missing$"):
        expectation('status = "ok"\n[[expect]]\nmax = 1')


def test_claims_name_studies_by_title() -> None:
    assert expectation('status = "ok"\nstudy = "Two"', SUITE + STUDIES).study == "Two"
    why = "expect[0].study: unknown study 'Tow': did you mean 'Two'?"
    assert complaint('status = "ok"\nstudy = "Tow"', SUITE + STUDIES) == why


def test_a_reference_shares_problem_and_steps() -> None:
    studies = """
    [[study]]
    title = "One"
    grid = { steps = [1] }
    [[study.estimator]]
    name = "maml"
    [[study]]
    title = "Two"
    [[study.estimator]]
    name = "fomaml"
    """
    why = "expect[0].ratio_to: no cell of 'maml' has the problem and inner steps of another's"
    assert complaint('metric = "flops"\nestimator = "fomaml"\nratio_to = "maml"\nmax = 1', SUITE + studies) == why


def test_every_packaged_suite_claims_something_and_nothing_of_times() -> None:
    for name in suite_titles():
        claims = load_suite(name).expectations
        assert claims, name
        assert not any((claim.metric or "").endswith("_seconds") for claim in claims)


PASSES = ("memory", "counters", "time", "phases", "accuracy")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("only", PASSES)
def test_a_claim_on_what_the_passes_do_not_measure_is_refused(metric: str, only: str) -> None:
    suite = SUITE.replace('["memory", "counters", "time"]', f'["{only}"]\nreferences = ["backprop", "implicit"]')
    bound = "min = 0" if METRICS[metric].deterministic else 'ratio_to = "MAML"\nmin = 0'
    claim = f'metric = "{metric}"\n{bound}'
    if METRICS[metric].passes in ((), (only,)):
        assert expectation(claim, suite).metric == metric
    else:
        assert complaint(claim, suite) == (
            f"expect[0].metric: no pass or reference of [measure] gives '{metric}' of any estimator"
        )


@pytest.mark.parametrize(("metric", "references"), [("implicit_cosine", '["backprop"]'), ("backprop_norm_ratio", "[]")])
def test_a_claim_against_a_reference_that_is_not_taken_is_refused(metric: str, references: str) -> None:
    suite = SUITE.replace('["memory", "counters", "time"]', f'["accuracy"]\nreferences = {references}')
    assert f"gives '{metric}' of any estimator" in complaint(f'metric = "{metric}"\nmin = 0', suite)


def test_a_claim_on_the_rounding_of_float64_is_refused() -> None:
    suite = SUITE.replace('["memory", "counters", "time"]', '["accuracy"]').replace(
        "[measure]", 'dtype = "{}"\n[measure]'
    )
    claim = 'metric = "rounding_relative_error"\nmax = 1'
    assert expectation(claim, suite.replace("{}", "float32")).metric == "rounding_relative_error"
    assert "gives 'rounding_relative_error'" in complaint(claim, suite.replace("{}", "float64"))
