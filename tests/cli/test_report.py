import shutil
import subprocess
from pathlib import Path

import pytest

from harness.store import load_run
from tests.cli.conftest import Command

RUN = Path(__file__).parents[2] / "reports" / "intel-xeon-processor-2-threads" / "fig2a"


def report(bench: Command, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return bench("report", str(RUN), "--out", str(out), *arguments)


def test_figures_are_drawn_in_the_style_asked_for(bench: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('width = "column"\ndpi = 100\n')
    for style in ("paper", str(tmp_path / "mine.toml")):
        assert report(bench, tmp_path / Path(style).stem, "--style", style).returncode == 0
    pictures = [(tmp_path / name / "figure2a.png").read_bytes() for name in ("paper", "mine")]
    assert [int.from_bytes(picture[16:20], "big") for picture in pictures] == [990, 330]  # 3.3 in at 300 and 100 dpi
    assert (tmp_path / "paper" / "figure2a.pdf").is_file()


def test_what_is_to_be_known_of_a_run_is_said(bench: Command, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    torn.mkdir()
    shutil.copy(RUN / "manifest.json", torn)
    lines = (RUN / "measurements.jsonl").read_text()
    (torn / "measurements.jsonl").write_text(lines.rstrip("\n")[:-10])
    done = bench("report", "torn", "--out", "out")
    notices = load_run(Path("torn")).notices
    assert (done.returncode, done.stderr) == (0, "".join(f"note: torn: {each}\n" for each in notices))
    assert any("the last line is incomplete" in each for each in notices)


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("papr", "unknown style 'papr': did you mean 'paper'?"),
        ("none.toml", "none.toml: cannot be read as a style file"),
    ],
)
def test_a_bad_style_is_one_line(bench: Command, tmp_path: Path, style: str, message: str) -> None:
    done = report(bench, tmp_path / "out", "--style", style)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
