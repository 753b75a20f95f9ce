"""The verbs that read: they answer where torch is not installed."""

import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parents[2] / "reports" / "intel-xeon-processor-2-threads" / "fig2a"

COMMANDS = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)

sys.meta_path.insert(0, NoTorch())
from harness.cli import main
run, out = sys.argv[1:]
codes = []
for words in (
    ["--help"], ["--version"], ["list"], ["check", run], ["compare", run, run], ["history", run],
    ["export", run, "--format", "csv", "--out", f"{out}/run.csv"], ["report", run, "--out", f"{out}/report"],
):
    sys.argv = ["imaml-bench", *words]
    try:
        main()
    except SystemExit as end:
        codes.append((words[0], end.code))
print(codes)
"""


def test_verbs_that_read_need_no_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMANDS, str(RUN), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    verbs = ["--help", "--version", "list", "check", "compare", "history", "export", "report"]
    assert done.stdout.splitlines()[-1] == str([(verb, 0) for verb in verbs]), done.stderr
    assert (tmp_path / "run.csv").stat().st_size > 1000
    assert (tmp_path / "report" / "index.html").is_file()
