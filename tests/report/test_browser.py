"""The page in a real browser: Chromium without a window."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cell import Status
from harness.report import write_report
from tests.report.synthetic import HOSTILE, MACHINE, curve, measurement, run

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium: apt install chromium", allow_module_level=True)

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright  # noqa: E402

EVIL = '<a href="javascript:document.title=1">MAML</a> <img src=x onerror="document.title=2"> %{x} $\\frac{1}{2}$'
CONTRAST = """() => {
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("script, style, .chart, [aria-hidden]")) continue;
    const [a, b] = [parts(getComputedStyle(element).color), behind(element)].map(luminance);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), texts.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MAML against iMAML to K = 4, and a failure at K = 8."""

    def costs(growth: float, pace: float, error: float, k: int) -> dict[str, list[float]]:
        peak = 8e6 + growth * k
        return {
            **{
                "peak_bytes": [peak],
                "forecast_peak_bytes": [peak],
                "wall_seconds": [x * pace * k for x in (10, 11, 12)],
            },
            "backprop_relative_error": [error],
        }

    cells = [
        *curve("MAML", "maml", (1, 2, 4), lambda k: costs(2e6, 1e-3, 0.0, k), references=("backprop",)),
        measurement("MAML", 8, status=Status.OOM, reason="wanted 24 MB", references=("backprop",)),
        *curve("iMAML, 5 CG", "imaml-cg", (1, 2, 4, 8), lambda k: costs(0, 2e-3, 0.1 / k, k), references=("backprop",)),
    ]
    return write_report([run(cells)], tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    options = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    with browser.new_page(viewport={"width": 1100, "height": 900}) as opened:
        opened.goto(report.as_uri())
        yield opened


def drawn(page: Page, title: str = "Peak memory (MB)") -> Locator:
    """The chart of that heading with its controls, once Plotly has drawn it."""
    chart = page.locator("[data-controls]").filter(has=page.get_by_role("heading", name=title, exact=True))
    chart.scroll_into_view_if_needed()
    chart.locator(".main-svg").first.wait_for()
    return chart


def rows(page: Page, column: int) -> list[str]:
    """Texts of a column of the measurements."""
    return page.locator(f"#measurements tbody td:nth-child({column})").all_inner_texts()


def test_the_page_opens_in_silence_and_asks_nobody_for_anything(browser: Browser, report: Path) -> None:
    said: list[str] = []
    with browser.new_page() as page:
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith("data:") else said.append(request.url))
        page.goto(report.as_uri())
        charts = page.locator("[data-chart]")
        for place in range(charts.count()):
            charts.nth(place).scroll_into_view_if_needed()
            charts.nth(place).locator(".main-svg").first.wait_for()
        assert charts.count() == 5  # memory, time, error; the trade; the forecast
    assert said == [report.as_uri()]


def test_unticking_a_series_hides_it(page: Page) -> None:
    chart = drawn(page)
    lines = chart.locator(".scatterlayer .trace")
    before = lines.count()
    box = chart.get_by_role("checkbox", name="MAML", exact=True)
    box.uncheck()
    assert lines.count() == before - 3  # measured, forecast, failed
    box.check()
    assert lines.count() == before


def test_the_axes_turn_logarithmic_and_back(page: Page) -> None:
    chart = drawn(page)
    kind = "element => element.querySelector('[data-chart]')._fullLayout.{}.type"
    for axis, name in (("xaxis", "logarithmic across"), ("yaxis", "logarithmic upwards")):
        box = chart.get_by_role("checkbox", name=name)
        for logarithmic in (True, False):
            box.set_checked(logarithmic)
            assert chart.evaluate(kind.format(axis)) == ("log" if logarithmic else "linear")


def test_pointing_at_a_mark_tells_value_spread_status_and_forecast(page: Page) -> None:
    for title, place, told in (
        ("Peak memory (MB)", 0, ["MAML, K = 1: 10 MB", "1 sample", "forecast 10 MB", "status ok"]),
        ("Wall time (ms)", 0, ["MAML, K = 1: 11 ms", "quartiles 10.5 ms to 11.5 ms, 3 samples", "status ok"]),
        ("Peak memory (MB)", 3, ["MAML, K = 8", "status oom", "wanted 24 MB"]),
    ):
        drawn(page, title).locator(".scatterlayer .point").nth(place).hover(force=True)
        lines = page.locator(".hoverlayer .hovertext tspan.line")
        lines.first.wait_for()
        assert lines.all_text_contents() == told
        page.mouse.move(0, 0)
        lines.first.wait_for(state="detached")


def test_tables_sort_by_value(page: Page) -> None:
    header = page.locator("#measurements th", has_text="wall time")
    for order, sign in (("ascending", 1), ("descending", -1)):
        header.locator(".dt-column-order").click()
        expect(header).to_have_attribute("aria-sort", order)
        values = [float(text.split(" ")[0]) if text else -1.0 for text in rows(page, 4)]
        assert values == sorted(values, key=lambda value: sign * value)
        assert values[0 if sign > 0 else -1] == -1.0  # the cell that failed


def test_tables_filter(page: Page) -> None:
    search = page.locator("#measurements").get_by_label("Filter rows")
    search.fill("imaml")
    assert rows(page, 1) == ["iMAML, 5 CG"] * 4
    search.fill("oom")
    assert rows(page, 2) == ["8"]
    search.fill("nothing of the kind")
    assert page.locator("#measurements tbody").inner_text() == "No row holds this."


def test_the_keyboard_reaches_and_works_every_kind_of_control(page: Page) -> None:
    reached: set[str] = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(() => { const at = document.activeElement; return at.dataset.axis || (at.dataset.traces && 'series')"
                " || at.type || (at.className.includes('dt-column-order') && 'sort') || at.tagName; })()"
            )
        )
    assert {"A", "series", "xaxis", "yaxis", "search", "sort"} <= reached
    box = drawn(page).get_by_role("checkbox", name="MAML", exact=True)
    box.focus()
    page.keyboard.press("Space")
    assert not box.is_checked()
    sort = page.locator("#measurements th", has_text="peak memory").first
    sort.locator(".dt-column-order").focus()
    page.keyboard.press("Enter")
    expect(sort).to_have_attribute("aria-sort", "ascending")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    found = page.evaluate(CONTRAST)
    assert len(found) > 100
    assert [each for each in found if each[0] < 4.5] == []


def test_dark_turns_page_and_drawings(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    for drawing in (".chart", ".paper img"):
        assert "invert" in page.locator(drawing).first.evaluate("element => getComputedStyle(element).filter")


@pytest.mark.parametrize("width", [360, 1100])
def test_the_page_is_no_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".chart").first.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_print_is_white_whole_and_without_controls(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in ("#explore", "nav", ".chart", "#measurements .dt-search"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator(".paper img").first.is_visible()
    assert page.locator("#trade table").is_visible()
    cut = "() => [...document.querySelectorAll('.scroll')].filter((e) => getComputedStyle(e).overflowY !== 'visible')"
    assert page.evaluate(f"({cut})().length") == 0


def test_without_scripts_the_page_says_it_all(browser: Browser, report: Path) -> None:
    with browser.new_page(java_script_enabled=False) as page:
        page.goto(report.as_uri())
        assert page.locator("#verdict").is_visible()
        assert page.locator(".paper img").first.is_visible()
        assert page.locator("#measurements tbody tr").count() == 8
        assert not page.locator(".interactive").first.is_visible()


def test_what_is_drawn_is_named(page: Page) -> None:
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.locator("[role=img]:not([aria-label])").count() == 0
    bare = "svg:not([aria-label]):not([role=img] svg)"
    assert page.locator(bare).count() == 0
    assert page.locator("[role=img]").count() == 5
    assert page.locator("input:not(label input):not([aria-label]):not([id])").count() == 0


def test_a_hostile_run_does_nothing(browser: Browser, tmp_path: Path) -> None:
    cells = [
        *curve(EVIL, "maml", (1, 2), lambda k: {"peak_bytes": [1e6 * k], "wall_seconds": [0.1]}),
        *curve(HOSTILE, "imaml-cg", (1, 2), lambda k: {"peak_bytes": [5e6 * k], "wall_seconds": [0.2]}),
        measurement(EVIL, 4, status=Status.CRASH, reason=EVIL),
    ]
    suite = {"name": EVIL, "title": f"</script>{EVIL}", "digest": EVIL}
    machine = MACHINE.model_copy(update={"device_name": EVIL, "processor": HOSTILE})
    path = write_report([run(cells, suite=suite, machine=machine, notices=[EVIL])], tmp_path)
    said: list[str] = []
    with browser.new_page(viewport={"width": 1100, "height": 900}) as page:
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        for title in ("Peak memory (MB)", "Peak memory against wall time"):
            for place in range(3):
                drawn(page, title).locator(".scatterlayer .point").nth(place).hover(force=True)
                shown = page.locator(".hoverlayer .hovertext")
                shown.first.wait_for(timeout=5000)
                if place == 0:
                    assert EVIL in (shown.text_content() or "")
                page.mouse.move(0, 0)
                shown.first.wait_for(state="detached")
        page.locator("#measurements").get_by_label("Filter rows").fill("a")
        page.locator("#measurements .dt-column-order").first.click()
        assert page.locator("#measurements tbody td").first.inner_text() in {" ".join(EVIL.split()), HOSTILE, EVIL}
        assert page.title() == f"</script>{EVIL}"
        assert page.locator("script").count() == 4
        assert page.locator("img[onerror], a[href^='javascript'], svg a").count() == 0
    assert said == []


def test_the_page_lets_nothing_else_run_or_load(page: Page) -> None:
    refused = page.evaluate(
        """async () => {
          const refused = [];
          document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
          const added = document.createElement("script");
          added.textContent = "window.ran = 1";
          document.body.append(added);
          document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='window.ran = 1'>");
          new Image().src = "https://example.org/";
          fetch("https://example.org/").catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, 200));
          return refused;
        }"""
    )
    assert set(refused) == {"script-src-elem", "script-src-attr", "img-src", "connect-src"}
    assert page.evaluate("window.ran") is None
