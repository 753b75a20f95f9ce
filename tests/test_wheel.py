"""The wheel by itself, without the checkout."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a virtual environment that holds the wheel, and sees this one's packages but not the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel]
    subprocess.run(install, check=True, capture_output=True)
    [site] = environment.glob("lib/python*/site-packages")
    # A folder named in a .pth file has its own .pth files left alone: the editable checkout stays unseen.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin" / "imaml-bench"


def run(command: Path, *arguments: str) -> str:
    done = subprocess.run([command, *arguments], cwd=command.parent, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_wheel_lists_and_plans_its_suites(installed: Path) -> None:
    listed = run(installed, "list")
    for suite in (ROOT / "suites").glob("*.toml"):
        assert f"  {suite.stem} " in listed
    assert run(installed, "plan", "fig2a", "--device", "cpu").endswith("49 cells\n")


def test_the_wheel_holds_the_package_and_nothing_of_the_checkout(installed: Path) -> None:
    python = installed.with_name("python")
    code = "import harness, harness.suite_files as s; print(harness.__file__); print(s.suite_folder())"
    package, suites = (Path(line) for line in run(python, "-c", code).splitlines())
    assert package.parent == suites.parent
    assert not package.is_relative_to(ROOT)
    assert (package.parent / "report" / "page.html.j2").is_file()
    assert (package.parent / "schemas" / "measurement-v3.schema.json").is_file()
    assert {path.name for path in (ROOT / "suites").iterdir() if path.is_file()} == {
        path.name for path in suites.iterdir() if path.is_file()
    }
