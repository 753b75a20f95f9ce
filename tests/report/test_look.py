import atexit
from multiprocessing import get_context
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.report import write_report
from harness.report.fonts import light
from harness.report.look import DEFAULT, LOOKS, Look, find_look, parameters
from tests.report.synthetic import curve, memory, run


def written(folder: Path, text: str) -> str:
    path = folder / "style.toml"
    path.write_text(text)
    return str(path)


def test_a_file_says_what_differs_from_the_default(tmp_path: Path) -> None:
    look = find_look(written(tmp_path, 'width = "column"\nfont_size = 6\nfont = "serif"\ndpi = 300\n'))
    assert look == Look(width=3.3, font_size=6.0, font="serif", dpi=300)
    assert find_look(written(tmp_path, "width = 5.5")).width == 5.5
    assert find_look(written(tmp_path, "")) == DEFAULT == find_look("default")


def test_a_paper_has_a_column_and_serifs() -> None:
    paper = find_look("paper")
    assert (paper.width, paper.families[0]) == (3.3, "STIXGeneral")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('width = "page"', "style.toml: width: 'page' is not a width; write 'column', 'text' or a number of inches"),
        ("width = 0.5", "style.toml: width: 0.5: input should be greater than or equal to 2.5"),
        ("width = nan", "style.toml: width: nan: input should be"),
        ("dpi = 1e9", "style.toml: dpi: 1000000000.0: input should be less than or equal to 1200"),
        ("font_sise = 9", "style.toml: unknown key 'font_sise': did you mean 'font_size'?"),
        ("font_size = 'x'\ndpi = 1", "style.toml: font_size: 'x': input should be a valid number.* \\(and 1 more\\)"),
        ("font = 'Nonesuch'", "style.toml: font: 'Nonesuch' is not installed; 'sans' and 'serif' are always there"),
        ("width = ", "style.toml: Invalid value"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        find_look(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_style_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="unknown style 'papr': did you mean 'paper'"):
        find_look("papr")
    with pytest.raises(BadInput, match=r"none\.toml: cannot be read as a style file: No such file"):
        find_look(str(tmp_path / "none.toml"))


def test_lengths_grow_with_the_font() -> None:
    small, large = parameters(), parameters(Look(font_size=16))
    for name in ("lines.linewidth", "xtick.major.size", "axes.titlesize", "legend.fontsize"):
        assert large[name] == pytest.approx(2 * small[name])


@pytest.mark.parametrize("family", ["DejaVu Sans", "STIXGeneral"])
def test_a_light_font_is_as_wide_as_the_whole_one(family: str) -> None:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.textpath import text_to_path

    text = "iMAML 10² λ → 5.3 GB"
    whole, cut = (
        text_to_path.get_text_width_height_descent(text, FontProperties(family=each), ismath=False)[0]
        for each in ([family, "DejaVu Sans"], [light(family), "DejaVu Sans"])
    )
    assert cut == pytest.approx(whole, rel=0.02)  # there are no kerned pairs in the light one
    files = [Path(findfont(FontProperties(family=[each]))) for each in (family, light(family))]
    assert files[1].stat().st_size < files[0].stat().st_size / 3


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_leaves_the_light_fonts_to_its_parent() -> None:
    from matplotlib.font_manager import FontProperties, findfont

    font = Path(findfont(FontProperties(family=[light("DejaVu Sans")])))
    # What every fork of multiprocessing does at its start since Python 3.13.
    fork = get_context("fork").Process(target=atexit._clear)  # pyright: ignore[reportPrivateUsage]
    fork.start()
    fork.join()
    assert fork.exitcode == 0
    assert font.exists()


def test_a_report_is_drawn_in_the_style_asked_for(tmp_path: Path) -> None:
    a_run = run(curve("MAML", "maml", (1, 2), memory(1e6, 1e6)))
    for name in LOOKS:
        write_report([a_run], tmp_path / name, name)
    contents = {(tmp_path / name / "figure2b.svg").read_bytes() for name in LOOKS}
    assert len(contents) == len(LOOKS)
    with pytest.raises(BadInput, match="unknown style"):
        write_report([a_run], tmp_path / "none", "none")
    assert not (tmp_path / "none").exists()


def test_a_style_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "style.toml").write_text("dpi = 100", "utf-8-sig")
    assert find_look(str(tmp_path / "style.toml")).dpi == 100
