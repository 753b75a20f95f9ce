import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cell import Part, Study
from harness.errors import BadInput
from harness.manifest import SuiteIdentity
from harness.suite import Suite, load_suite
from harness.suite_files import find_suite, suite_folder, suite_titles

ROOT = Path(__file__).parents[1]

FIG = """
title = "Error against steps"
[problem]
name = "linear"
dim = 50
[inner]
lr = "auto"
lam = 0.1
[[estimator]]
name = "maml"
[[estimator]]
name = "imaml-cg"
cg_steps = [2, 5]
[grid]
steps = [1, 2]
dtype = "float64"
[measure]
passes = ["memory", "time"]
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def suite(old: str = "", new: str = "") -> Suite:
    """The suite above with one piece of its text replaced."""
    assert old in FIG
    Path("fig.toml").write_text(FIG.replace(old, new, 1))
    return load_suite("fig.toml")


def complaint(old: str, new: str) -> str:
    with pytest.raises(BadInput) as caught:
        suite(old, new)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels(suite: Suite) -> list[str]:
    return [configuration.label for study in suite.studies for configuration in study.configurations]


# Found


def test_packaged_suites_are_listed_with_their_titles():
    assert list(suite_titles()) == ["accuracy", "capacity", "ci", "fig2a", "fig2b", "meta_batch", "table1"]
    assert all(suite_titles().values())


def test_listing_imports_little():
    code = "import sys, harness.suite_files as s; s.suite_titles(); print({'torch', 'pydantic'} & {*sys.modules})"
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == "set()"


def test_packaged_suite_is_found_by_name_and_misspelt_one_suggested():
    assert find_suite("fig2b") == suite_folder() / "fig2b.toml"
    with pytest.raises(BadInput, match="unknown suite 'fig2bb': did you mean 'fig2b'"):
        find_suite("fig2bb")


def test_installed_suites_come_before_those_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "site-packages" / "harness"
    (package / "suites").mkdir(parents=True)
    monkeypatch.setattr("harness.suite_files.__file__", str(package / "suite_files.py"))
    (package / "suites" / "mine.toml").write_text('title = "Mine"')
    assert suite_titles() == {"mine": "Mine"}
    (package / "suites" / "mine.toml").unlink()
    (package / "suites").rmdir()
    assert suite_folder() == tmp_path / "site-packages" / "suites"


@pytest.mark.parametrize("path", ["fig.toml", "./fig.toml", "folder/fig", Path("fig.toml"), Path("plain")])
def test_paths_are_taken_as_paths(path: str | Path):
    Path("folder").mkdir()
    for name in ("fig.toml", "folder/fig", "plain"):
        Path(name).write_text(FIG)
    assert find_suite(path) == Path(path)
    assert load_suite(path).name in ("fig", "plain")


def test_missing_path_is_told():
    with pytest.raises(BadInput, match=r"^no\.toml: no such suite file$"):
        load_suite("no.toml")
    with pytest.raises(BadInput, match=r"^/proc: not a file$"):
        load_suite("/proc")


def test_a_byte_order_mark_before_the_text_is_no_part_of_it():
    Path("plain.toml").write_text(FIG, "utf-8")
    Path("marked.toml").write_text(FIG.replace("\n", "\r\n"), "utf-8-sig")
    assert load_suite("marked.toml").cells("cpu", 1) == load_suite("plain.toml").cells("cpu", 1)


def test_identity_is_name_title_and_digest_of_the_text():
    digest = hashlib.sha256(FIG.encode()).hexdigest()
    assert suite().identity() == SuiteIdentity(name="fig", title="Error against steps", digest=digest)
    assert suite("50", "51").identity().digest != digest


# Cells


def test_cells_have_few_steps_first_and_carry_everything():
    cells = suite("[1, 2]", "[2, 1, 2]\ntasks = [4, 1]\nseed = 7\ndraws = 3").cells("cpu", 2)
    assert [(c.steps, c.tasks, c.label) for c in cells] == [
        (k, tasks, label)
        for k in (1, 2)
        for tasks in (1, 4)
        for label in ("maml", "imaml-cg cg_steps=2", "imaml-cg cg_steps=5")
    ]
    last = cells[-1]
    assert last.problem == Part(name="linear", parameters={"dim": 50})
    assert last.estimator == Part(name="imaml-cg", parameters={"lr": "auto", "lam": 0.1, "cg_steps": 5})
    assert (last.device, last.threads, last.dtype, last.seed, last.draws) == ("cpu", 2, "float64", 7, 3)
    assert (last.measure, last.references) == (("memory", "time"), ())
    assert len({c.key for c in cells}) == len(cells) == 12


def test_measure_reaches_the_cells():
    measure = '[measure]\nreferences = "implicit"\nmin_samples = 9\nmin_seconds = 0\ntime_limit_seconds = 5'
    [cell, *_] = suite("[measure]", measure).cells("cpu", 1)
    assert cell.references == ("implicit",)
    assert (cell.min_samples, cell.min_seconds, cell.time_limit_seconds) == (9, 0.0, 5.0)


def test_several_dtypes_are_an_axis_without_repeats():
    cells = suite('"float64"', '["float32", "bfloat16", "float32"]').cells("cpu", 1, steps=[1], estimators=["maml"])
    assert [c.dtype for c in cells] == ["float32", "bfloat16"]


def test_steps_by_device():
    both = suite("[1, 2]", "{ cpu = 1, cuda = [8, 4] }")
    assert {c.steps for c in both.cells("cpu", 1)} == {1}
    assert [c.steps for c in both.cells("cuda:1", 1, estimators=["maml"])] == [4, 8]
    only = suite("[1, 2]", "{ cuda = [8] }")
    with pytest.raises(BadInput, match=r"^fig.toml: grid.steps: no list for device 'cpu'; add 'cpu = \[...\]'$"):
        only.cells("cpu", 1)
    assert {c.steps for c in only.cells("cpu", 1, steps=[3])} == {3}


def test_tasks_by_device():
    both = suite("[grid]", "[grid]\ntasks = { cpu = [1, 4], cuda = 16 }")
    assert {c.tasks for c in both.cells("cpu", 1)} == {1, 4}
    assert {c.tasks for c in both.cells("cuda:1", 1)} == {16}
    only = suite("[grid]", "[grid]\ntasks = { cuda = 16 }")
    with pytest.raises(BadInput, match=r"^fig.toml: grid.tasks: no list for device 'cpu'; add 'cpu = \[...\]'$"):
        only.cells("cpu", 1)


def test_a_study_over_tasks():
    (study,) = suite("[problem]", 'x = "tasks"\n[problem]').studies
    assert study.x == "tasks"


def test_a_grid_has_points_on_the_devices_that_all_of_its_lists_name():
    both = "{ cpu = [1], cuda = [1] }"
    for steps, tasks, devices in [
        ("[1]", "[1]", ("cpu",)),
        (both, "{ cuda = [4] }", ("cuda:0",)),
        (both, both, ("cpu", "cuda:0")),
        ("{ cpu = [1] }", "{ cuda = [4] }", ()),
    ]:
        table = suite("[grid]\nsteps = [1, 2]", f"[grid]\nsteps = {steps}\ntasks = {tasks}").studies[0].grid
        assert table.devices() == devices


def test_steps_are_overridden_and_checked():
    assert [c.steps for c in suite().cells("cpu", 1, [9, 3, 9], ["maml"])] == [3, 9]
    for bad, why in [([], "the list is empty"), ([0], "0 is not a positive"), ([True], "true is not a positive")]:
        with pytest.raises(BadInput, match=f"^steps: {why}"):
            suite().cells("cpu", 1, steps=bad)


def test_estimators_are_chosen_by_name_or_label():
    chosen = suite().cells("cpu", 1, [1], ["imaml-cg"])
    assert [c.label for c in chosen] == ["imaml-cg cg_steps=2", "imaml-cg cg_steps=5"]
    chosen = suite().cells("cpu", 1, [1], ["imaml-cg cg_steps=5", "maml"])
    assert [c.label for c in chosen] == ["maml", "imaml-cg cg_steps=5"]
    with pytest.raises(BadInput, match="unknown estimator of suite 'fig' 'mmal': did you mean 'maml'"):
        suite().cells("cpu", 1, [1], ["maml", "mmal"])
    with pytest.raises(BadInput, match="no estimator of suite 'fig' is chosen"):
        suite().cells("cpu", 1, [1], [])


# Estimators and labels


def test_entry_goes_over_the_inner_defaults():
    two = suite('name = "maml"', 'name = "maml"\nlam = 0')
    configurations = two.studies[0].configurations
    assert configurations[0].estimator.parameters == {"lr": "auto", "lam": 0}
    assert configurations[1].estimator.parameters["lam"] == 0.1


def test_lists_of_an_estimator_are_axes():
    assert labels(suite("lam = 0.1", "lam = [1, 2]")) == [
        "maml lam=1",
        "maml lam=2",
        *(f"imaml-cg lam={lam} cg_steps={cg}" for lam in (1, 2) for cg in (2, 5)),
    ]
    assert labels(suite("[2, 5]", "[[2, 5], [1]]"))[1:] == ["imaml-cg cg_steps=[2, 5]", "imaml-cg cg_steps=[1]"]


def test_lists_of_the_problem_are_axes():
    found = suite("dim = 50", "dim = [20, 50]\nkappa = [1, 9]").cells("cpu", 1, [1], ["maml"])
    assert [c.problem.parameters for c in found] == [{"dim": d, "kappa": k} for d in (20, 50) for k in (1, 9)]


def test_a_list_within_a_list_is_one_parameter():
    (problem,) = suite("dim = 50", "dim = [[40, 40]]").studies[0].problems
    assert problem.parameters == {"dim": [40, 40]}
    assert [p.parameters for p in suite("dim = 50", "dim = [[4, 4], [8]]").studies[0].problems] == [
        {"dim": [4, 4]},
        {"dim": [8]},
    ]


def test_a_list_that_looks_like_one_parameter_is_told():
    assert complaint("dim = 50", "dim = [40, 40]") == (
        "fig.toml: problem.dim: 40 is there twice; a list is an axis of the grid, "
        "a parameter that is itself a list is written [[40, 40]]"
    )
    assert complaint("[2, 5]", "[2, 2]").startswith("fig.toml: estimator[1].cg_steps: 2 is there twice")


def test_labels_are_filled_in():
    assert labels(suite("[2, 5]", '[2, 5]\nlabel = "{{CG}} {cg_steps}, {lr}"'))[1:] == ["{CG} 2, auto", "{CG} 5, auto"]


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("{cg_stps}", "unknown parameter 'cg_stps': did you mean 'cg_steps'?"),
        ("{cg_steps.real}", "unknown parameter 'cg_steps.real': did you mean 'cg_steps'?"),
        ("{cg_steps[0]}", "unknown parameter 'cg_steps[0]': did you mean 'cg_steps'?"),
        ("{}", "unknown parameter '': known: cg_steps, lam, lr"),
        ("{cg_steps!r}", "only plain fields such as '{cg_steps}' are filled in, not those of '{cg_steps!r}'"),
        ("{cg_steps:>9}", "only plain fields such as '{cg_steps}' are filled in, not those of '{cg_steps:>9}'"),
        ("{cg", "expected '}' before end of string in '{cg'"),
        ("one", "'one' is taken; say in it what differs, as in '{lam}'"),
    ],
)
def test_bad_labels(label: str, why: str):
    assert complaint("[2, 5]", f'[2, 5]\nlabel = "{label}"') == f"fig.toml: estimator[1].label: {why}"


def test_same_label_in_two_entries_is_refused():
    again = 'name = "maml"\n[[estimator]]\nname = "maml"\nlam = 5'
    assert complaint('name = "maml"', again).startswith("fig.toml: estimator[1].label: 'maml' is taken")


def test_same_estimator_twice_is_refused():
    again = 'name = "maml"\n[[estimator]]\nname = "maml"\nlam = 0.1\nlabel = "other"'
    assert complaint('name = "maml"', again) == "fig.toml: estimator[1]: 'other' is the same estimator as 'maml'"


def test_steps_belong_in_the_grid():
    assert complaint("[2, 5]", "[2, 5]\nsteps = 3") == "fig.toml: estimator[1].steps: inner steps belong in [grid]"


# What figures are drawn over


def test_what_is_drawn_over_is_no_part_of_a_label():
    over = suite("[problem]", 'x = "cg_steps"\n[problem]')
    assert labels(over) == ["maml", "imaml-cg", "imaml-cg"]
    assert len(over.cells("cpu", 1, [1])) == 3
    assert {study.x for study in suite().studies} == {"steps"}


def test_a_label_that_splits_the_curve_is_refused():
    x_in_label = 'x = "cg_steps"\n' + FIG.replace("[2, 5]", '[2, 5]\nlabel = "{cg_steps}"')
    assert complaint(FIG, x_in_label).endswith("label: unknown parameter 'cg_steps': known: lam, lr")


def test_an_axis_has_numbers():
    with_names = FIG.replace('lr = "auto"', 'lr = ["auto", 0.1]')
    assert complaint(FIG, 'x = "lr"\n' + with_names) == (
        "fig.toml: x: 'lr' is \"auto\" somewhere; an axis needs numbers above 0"
    )
    assert complaint(FIG, 'x = "lam"\n' + FIG.replace("lam = 0.1", "lam = [0, 1]")).startswith(
        "fig.toml: x: 'lam' is 0"
    )


@pytest.mark.parametrize(
    ("x", "why"), [("cgsteps", "did you mean 'cg_steps'?"), ("dim", "known: cg_steps, evaluations, steps, tasks")]
)
def test_x_is_something_the_study_varies(x: str, why: str):
    assert complaint("[problem]", f'x = "{x}"\n[problem]') == f"fig.toml: x: unknown axis '{x}': {why}"


# Several studies

TWO = """
[[study]]
title = "Few"
[[study]]
title = "Many"
x = "kappa"
[study.problem]
kappa = [10, 100]
[study.grid]
steps = [2, 4]
[[study.estimator]]
name = "maml"
label = "unrolled"
"""


def test_studies_take_from_the_top_what_they_do_not_say():
    few, many = suite("[measure]", f"{TWO}[measure]").studies
    assert [p.parameters for p in few.problems] == [{"dim": 50}]
    assert [p.parameters for p in many.problems] == [{"dim": 50, "kappa": 10}, {"dim": 50, "kappa": 100}]
    assert [each.label for each in few.configurations] == ["maml", "imaml-cg cg_steps=2", "imaml-cg cg_steps=5"]
    assert [each.label for each in many.configurations] == ["unrolled"]
    assert many.configurations[0].estimator.parameters == {"lr": "auto", "lam": 0.1}
    assert (many.grid.steps, many.grid.dtype, many.measure.passes) == ((2, 4), ("float64",), ("memory", "time"))


def test_a_problem_of_another_name_takes_nothing_from_the_top():
    one = '[[study]]\ntitle = "A"\nproblem = { name = "conv4", ways = 5 }\n'
    (study,) = suite("[measure]", f"{one}[measure]").studies
    assert [p.parameters for p in study.problems] == [{"ways": 5}]


def test_a_cell_of_two_studies_is_measured_once_and_named_in_both():
    shared = TWO.replace("kappa = [10, 100]", "dim = [50, 60]").replace('"kappa"', '"dim"')
    cells = suite("[measure]", f"{shared}[measure]").cells("cpu", 1)
    assert len(cells) == len({c.key for c in cells}) == 6 + 4 - 1
    (both,) = [c for c in cells if len(c.studies) > 1]
    assert [(s.title, s.x, s.label) for s in both.studies] == [("Few", "steps", "maml"), ("Many", "dim", "unrolled")]
    assert (both.label, both.steps) == ("maml", 2)
    assert [c.key for c in suite().cells("cpu", 1)] == [c.key for c in cells if c.studies[0].title == "Few"]
    assert all(c.studies == () for c in suite().cells("cpu", 1))


def test_choosing_by_one_study_s_label_keeps_the_other_study_s_name():
    shared = TWO.replace("kappa = [10, 100]", "dim = [50, 60]").replace('"kappa"', '"dim"')
    chosen = suite("[measure]", f"{shared}[measure]").cells("cpu", 1, estimators=["unrolled"])
    assert len(chosen) == 4
    assert sum(len(c.studies) for c in chosen) == 5


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('title = "Many"', "", "study[1].title: missing"),
        ('title = "Many"', 'title = "Few"', "study[1].title: 'Few' is taken"),
        ('title = "Many"', 'titel = "Many"', "study[1].titel: unknown key 'titel': did you mean 'title'?"),
        ("[2, 4]", "[0]", "study[1].grid.steps: 0 is not a positive whole number"),
        ("steps = [2, 4]", "stepz = 1", "study[1].grid.stepz: unknown key 'stepz': did you mean 'steps'?"),
        ("[10, 100]", "[10, 10]", "study 'Many': problem.kappa: 10 is there twice; a list is an axis of the grid, "
         "a parameter that is itself a list is written [[10, 10]]"),
        ("[10, 100]", "nan", "study[1].problem.kappa: NaN is not a finite number"),
        ('x = "kappa"', 'x = "kapa"', "study 'Many': x: unknown axis 'kapa': did you mean 'kappa'?"),
        ('name = "maml"', 'name = "mmal"',
         "study[1].estimator[0].name: unknown estimator 'mmal': did you mean 'maml'?"),
        ('label = "unrolled"', 'label = "{lamm}"',
         "study 'Many': estimator[0].label: unknown parameter 'lamm': did you mean 'lam'?"),
        (TWO, "study = []\n", "study: the list is empty"),
        (TWO, "study = [5]\n", "study[0]: 5 is not a table"),
    ],
)  # fmt: skip
def test_errors_name_the_study(old: str, new: str, why: str):
    assert old in TWO
    whole = new + FIG if old == TWO else FIG + TWO.replace(old, new)
    assert complaint(FIG, whole) == f"fig.toml: {why}"


def test_errors_at_the_top_are_told_once_and_there():
    wrong = (FIG + TWO).replace("lam = 0.1", "lamm = 0.1")
    assert complaint(FIG, wrong) == "fig.toml: inner.lamm: unknown key 'lamm': did you mean 'lam'?"
    assert complaint(FIG, (FIG + TWO).replace('name = "maml"', 'name = "mmal"', 1)) == (
        "fig.toml: estimator[0].name: unknown estimator 'mmal': did you mean 'maml'?"
    )


def test_what_no_study_has_is_missing():
    without = FIG.replace('[[estimator]]\nname = "maml"\n[[estimator]]\nname = "imaml-cg"\ncg_steps = [2, 5]\n', "")
    assert complaint(FIG, without + TWO) == "fig.toml: study[0].estimator: missing"


def test_studies_without_steps_for_the_device_are_named():
    only = suite(FIG, FIG + TWO.replace("[2, 4]", "{ cuda = [8] }"))
    with pytest.raises(BadInput, match=r"^fig.toml: study 'Many': grid.steps: no list for device 'cpu'"):
        only.cells("cpu", 1)


# What is wrong, where, and what would be right


@pytest.mark.parametrize("value", ["0", "-1", "true", "2.0", '"3"', "[1]", "inf"])
def test_steps_are_positive_whole_numbers(value: str):
    shown = {"inf": "Infinity"}.get(value, value)
    assert complaint("[1, 2]", f"[1, {value}]") == f"fig.toml: grid.steps: {shown} is not a positive whole number"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("steps = [1, 2]", "stepz = [1]", "grid.stepz: unknown key 'stepz': did you mean 'steps'? (and 1 more)"),
        ("title =", "titel =", "titel: unknown key 'titel': did you mean 'title'? (and 1 more)"),
        ("lam = 0.1", "lamm = 0.1", "inner.lamm: unknown key 'lamm': did you mean 'lam'?"),
        ("passes", "pases", "measure.pases: unknown key 'pases': did you mean 'passes'?"),
        ("[1, 2]", "{ gpu = [1] }", "grid.steps.gpu: unknown key 'gpu': did you mean 'cpu'?"),
        ("[1, 2]", "{ cpu = [0] }", "grid.steps.cpu: 0 is not a positive whole number"),
        ("[1, 2]", "[]", "grid.steps: the list is empty"),
        ("[1, 2]", "[0, -1]", "grid.steps: 0 is not a positive whole number (and 1 more)"),
        ('"float64"', '"float65"', "grid.dtype: unknown dtype 'float65': did you mean 'float64'?"),
        ('"float64"', "64", "grid.dtype: unknown dtype '64': known: bfloat16, float32, float64"),
        ('"time"', '"tiem"', "measure.passes: unknown pass 'tiem': did you mean 'time'?"),
        ('["memory", "time"]', "[]", "measure.passes: the list is empty"),
        (
            "[measure]",
            '[measure]\nreferences = ["bakprop"]',
            "measure.references: unknown reference 'bakprop': did you mean 'backprop'?",
        ),
        ("[measure]", "[measure]\nmin_seconds = -1", "measure.min_seconds: -1 is not at least 0"),
        ("[measure]", "[measure]\nmin_seconds = nan", "measure.min_seconds: NaN is not a finite number"),
        ("[measure]", "[measure]\nmin_samples = 0", "measure.min_samples: 0 is not a positive whole number"),
        (
            "[measure]",
            "[measure]\ntime_limit_seconds = inf",
            "measure.time_limit_seconds: Infinity is not a finite number",
        ),
        ("[measure]", "[measure]\ntime_limit_seconds = 0", "measure.time_limit_seconds: 0 is not greater than 0"),
        ("[grid]", "[grid]\nseed = true", "grid.seed: true is not a whole number"),
        ("[grid]", "[grid]\nseed = -1", "grid.seed: -1 is not at least 0"),
        ('"linear"', '"linaer"', "problem.name: unknown problem 'linaer': did you mean 'linear'?"),
        ('"imaml-cg"', '"imaml-gc"', "estimator[1].name: unknown estimator 'imaml-gc': did you mean 'imaml-cg'?"),
        ('name = "maml"', "", "estimator[0].name: missing"),
        ("dim = 50", "dim = nan", "problem.dim: NaN is not a finite number"),
        ("dim = 50", "dim = { a = 1 }", 'problem.dim: {"a": 1} is not a number, a string or a boolean'),
        ("dim = 50", "dim = [[[1]]]", "problem.dim: [1] is not a number, a string or a boolean"),
        ("[2, 5]", "[]", "estimator[1].cg_steps: the list is empty"),
        ("[2, 5]", "[2, inf]", "estimator[1].cg_steps: Infinity is not a finite number"),
        ('"Error against steps"', "5", "title: 5 is not a string"),
        ('"Error against steps"', '""', 'title: "" is not a non-empty string'),
        ('[problem]\nname = "linear"\ndim = 50', 'problem = "linear"', 'problem: "linear" is not a table'),
        (FIG, f"estimator = [5]{FIG.partition('[[')[0]}[grid]\nsteps = 1", "estimator[0]: 5 is not a table"),
        ('"Error against steps"', f"[{'1, ' * 40}]", f"title: [{'1, ' * 18}1,... is not a string"),
        (FIG, "", "title: missing (and 3 more)"),
    ],
)
def test_errors_name_file_key_and_value(old: str, new: str, why: str):
    assert complaint(old, new) == f"fig.toml: {why}"


def test_syntax_errors_name_file_and_line():
    assert complaint("dim = 50", "dim 50").startswith("fig.toml: Expected '=' after a key")
    assert "(at line 5, " in complaint("dim = 50", "dim 50")


def test_file_that_is_no_text_is_told():
    Path("fig.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(BadInput, match=r"^fig.toml: not UTF-8 text \(byte 9\)$"):
        load_suite("fig.toml")


# The packaged suites

PAPER_LABELS = ["MAML", "MAML, replay", "FOMAML"]


def test_fig2a():
    fig2a = load_suite("fig2a")
    cells = fig2a.cells("cpu", 2)
    assert labels(fig2a) == [*PAPER_LABELS, *(f"iMAML, {cg} CG steps" for cg in (2, 5, 10, 20))]
    assert sorted({c.steps for c in cells}) == [1, 2, 5, 10, 25, 50, 100]
    assert len(cells) == 49
    assert {(c.dtype, c.draws, c.references) for c in cells} == {("float64", 20, ("backprop", "implicit"))}
    assert cells[0].problem == Part(name="linear", parameters={"dim": 50, "n": 100, "kappa": 100.0})
    assert cells[0].estimator == Part(name="maml", parameters={"inner": "gd", "lr": 1 / 1.1, "lam": 0.1})


def test_fig2b():
    fig2b = load_suite("fig2b")
    assert labels(fig2b) == [*PAPER_LABELS, "iMAML, 2 CG steps", "iMAML, 5 CG steps"]
    assert sorted({c.steps for c in fig2b.cells("cpu", 2)}) == [1, 2, 4, 8, 16]
    cells = fig2b.cells("cuda:0", 2)
    assert sorted({c.steps for c in cells}) == [2**power for power in range(9)]
    assert {(c.dtype, c.measure, c.time_limit_seconds) for c in cells} == {
        ("float32", ("memory", "counters", "time", "phases"), 600.0)
    }


def test_ci_is_small_and_measures_everything():
    cells = load_suite("ci").cells("cpu", 2)
    assert [(c.steps, c.label) for c in cells] == [
        (k, label) for k in (1, 2, 4) for label in ("MAML", "MAML, replay", "iMAML, 5 CG steps")
    ]
    everything = ("accuracy", "memory", "counters", "time", "phases")
    assert {(c.measure, c.references) for c in cells} == {(everything, ("backprop",))}


def test_accuracy_goes_over_everything_the_error_depends_on():
    accuracy = load_suite("accuracy")
    assert [study.x for study in accuracy.studies] == [
        *("steps", "evaluations", "cg_steps", "kappa", "lam", "steps", "steps", "steps", "steps")
    ]
    cells = accuracy.cells("cpu", 1)
    assert {c.dtype for c in cells} == {"float64", "float32", "bfloat16"}
    assert {str(c.problem.parameters.get("kappa", 0)) for c in cells} == {
        *("3.0", "10.0", "30.0", "100.0", "300.0", "1000.0", "0")
    }
    shared = [c for c in cells if {s.x for s in c.studies} >= {"steps", "evaluations", "cg_steps"}]
    assert {c.label for c in shared} == {"MAML", *(f"iMAML, {cg} CG steps" for cg in (2, 5, 10, 20))}
    networks = [c for c in cells if c.problem.name == "sinusoid"]
    assert {(str(c.problem.parameters["activation"]), str(c.estimator.parameters["lam"])) for c in networks} == {
        ("tanh", "20.0"),
        ("relu", "2.0"),
    }
    assert all(c.problem.parameters["hidden"] == [20, 20] for c in networks)


def test_table1_has_what_exponents_need():
    memory, *work = load_suite("table1").studies
    assert (memory.measure.passes, memory.x) == (("memory",), "steps")
    assert len({str(each.configurations[0].estimator.parameters["lam"]) for each in work}) == len(work) == 5
    assert {each.x for each in work} == {"evaluations"}
    assert all({"accuracy", "counters"} <= set(each.measure.passes) for each in work)
    methods = {(c.estimator.name, str(c.estimator.parameters["inner"])) for c in work[0].configurations}
    assert methods == {
        *(("maml", "gd"), ("maml", "nesterov"), ("maml-truncated", "gd")),
        *(("imaml-cg", "gd"), ("imaml-cg", "nesterov")),
    }


def test_one_computation_under_two_labels_of_a_study_is_refused_once_that_is_known():
    found = suite()
    cells = found.cells("cpu", 1)
    twin = cells[0].model_copy(update={"label": "another"})
    with pytest.raises(BadInput, match=rf"'{cells[0].label}' and 'another': one computation, once defaults are filled"):
        found.distinct([*cells, twin])
    with pytest.raises(BadInput, match=rf"'{cells[0].label}' twice: one computation"):
        found.distinct([*cells, cells[0]])


def test_one_computation_of_two_studies_is_one_cell_of_both():
    cells = suite().cells("cpu", 1)
    seen = [cells[0].model_copy(update={"studies": (Study(title=title, label="x"),)}) for title in ("one", "two")]
    [both] = suite().distinct(seen)
    assert [study.title for study in both.studies] == ["one", "two"]
