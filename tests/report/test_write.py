import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.report import write_report
from harness.report.settings import settings
from harness.report.write import suffixes
from harness.store import LoadedRun
from tests.report.synthetic import curve, measurement, memory, run


def two_kinds() -> LoadedRun:
    accuracy = curve(
        "MAML",
        "maml",
        (1, 2),
        lambda k: {"implicit_relative_error": [0.1 / k]},
        dtype="float64",
        references=("implicit",),
    )
    return run([*curve("MAML", "maml", (1, 2), memory(1e6, 1e6)), *accuracy])


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def test_a_report_is_a_page_tables_and_figures(tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    assert write_report([two_kinds()], out) == out / "index.html"
    figures = {f"figure2{part}.{ending}" for part in "ab" for ending in ("png", "svg", "pdf")}
    assert names(out) == {"index.html", "table.csv", "table.md", "laws.csv", "laws.md"} | figures


def test_only_the_figures_that_were_measured_are_drawn(tmp_path: Path) -> None:
    write_report([run([measurement()])], tmp_path)
    assert names(tmp_path) == {"index.html", "table.csv", "table.md"}


def test_a_report_again_is_the_same_to_the_byte(tmp_path: Path) -> None:
    contents: list[dict[str, bytes]] = []
    for _ in range(2):
        write_report([two_kinds()], tmp_path)
        contents.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert contents[0] == contents[1]


def test_the_table_keeps_full_precision(tmp_path: Path) -> None:
    write_report([run([measurement(metrics={"peak_bytes": [1 / 3]})])], tmp_path)
    assert repr(1 / 3) in (tmp_path / "table.csv").read_text()


def test_settings_have_figures_of_their_own(tmp_path: Path) -> None:
    cells = [
        cell
        for dtype in ("float32", "float64")
        for cell in curve("MAML", "maml", (1, 2), memory(1e6, 1e6), dtype=dtype)
    ]
    write_report([run(cells)], tmp_path)
    assert {"figure2b-float32.png", "figure2b-float64.svg"} <= names(tmp_path)
    assert "figure2b.png" not in names(tmp_path)


def test_names_of_settings_are_safe_and_distinct() -> None:
    problems = [{"name": "a/../b", "parameters": {"x": value}} for value in ("é", "è", "y" * 200, "y" * 201)]
    found = suffixes(settings([run([measurement(problem=problem) for problem in problems])]))
    assert len(set(found)) == 4
    assert all(len(suffix) < 100 and not set(suffix) & set("/\\ ") for suffix in found)


def test_a_spreadsheet_runs_no_label_as_a_formula(tmp_path: Path) -> None:
    write_report([run(curve("=cmd()", "maml", (1, 2, 4), memory(1e6, 1e6)))], tmp_path)
    for name in ("table.csv", "laws.csv"):
        assert ",'=cmd()," in (tmp_path / name).read_text()


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run to report"):
        write_report([], tmp_path)


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(BadInput, match="taken is not a folder; choose another --out"):
        write_report([two_kinds()], tmp_path / "taken")
    with pytest.raises(BadInput, match="cannot write to"):
        write_report([two_kinds()], tmp_path / "taken" / "below")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="Permission denied"):
        write_report([two_kinds()], tmp_path)


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report([two_kinds()], tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="No space left on device"):
        write_report([run([measurement("other")])], tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_part_of_a_report_needs_torch(tmp_path: Path) -> None:
    """Every module of the report is imported and run where importing torch is an error."""
    program = (
        "import sys\n"
        "class Barred:\n"
        "    def find_spec(self, name, *_):\n"
        "        assert name.partition('.')[0] != 'torch', 'torch is imported'\n"
        "sys.meta_path.insert(0, Barred())\n"
        "from pathlib import Path; from pkgutil import iter_modules; from importlib import import_module\n"
        "import harness.report, harness.frame, harness.scaling, harness.units\n"
        "assert 'matplotlib' not in sys.modules, 'importing the package alone draws nothing'\n"
        "[import_module(f'harness.report.{m.name}') for m in iter_modules(harness.report.__path__)]\n"
        "from tests.report.synthetic import curve, memory, run\n"
        "harness.report.write_report([run(curve('MAML', 'maml', (1, 2), memory(1e6, 1e6)))], Path(sys.argv[1]))\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-W", "error", "-c", program, str(tmp_path)], check=True, cwd=root)
    assert "figure2b.png" in names(tmp_path)


def test_figures_of_studies_are_named_after_them(tmp_path: Path) -> None:
    cells = [
        cell
        for title in ("Error / work", "Error (K)")
        for cell in curve(
            "MAML", "maml", (1, 2), lambda k: {"implicit_relative_error": [0.1 / k]},
            studies=({"title": title, "label": "MAML"},), tasks=len(title),
        )
    ]  # fmt: skip
    page = write_report([run(cells)], tmp_path).read_text()
    assert {"accuracy-error-work.png", "accuracy-error-k.svg"} <= names(tmp_path)
    assert "Error / work. Accuracy of the meta-gradient" in page
    assert "studies" in (tmp_path / "table.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    "titles", [("A", "a"), ("x!", "x?"), ("精度", "速度"), ("!", "?"), ("a", "a 2"), ("é", "e\u0301")]
)
def test_each_study_has_its_own_picture_under_its_caption(tmp_path: Path, titles: tuple[str, str]) -> None:
    cells = [
        cell
        for slope, title in zip((1e6, 9e6), titles, strict=True)
        for cell in curve(
            "MAML",
            "maml",
            (1, 2),
            memory(slope, slope),
            studies=[{"title": title, "x": "steps", "label": "MAML"}],
            seed=int(slope),
        )
    ]
    page = write_report([run(cells)], tmp_path).read_text()
    for number, title in enumerate(titles):
        [file] = re.findall(rf'<strong>{re.escape(title)}\. .*?href="([^"]+\.png)"', page)
        write_report([run([each for each in cells if each.cell.studies[0].title == title])], tmp_path / str(number))
        [alone] = (tmp_path / str(number)).glob("*.png")
        assert (tmp_path / file).read_bytes() == alone.read_bytes()
    assert len(list(tmp_path.glob("*.png"))) == 2
