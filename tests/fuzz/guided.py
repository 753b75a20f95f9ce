"""A fuzzer guided by the branches that inputs take through the harness, on the properties that the tests hold.

``python -m tests.fuzz.guided INPUTS [PROPERTY...]``: so many inputs for each property. Inputs that break one are kept
in ``.fuzz``, with what was found on the way, from which the next time goes on.
"""

import random
import subprocess
import sys
import warnings
from pathlib import Path

FOLDER = Path(".fuzz")
LENGTH = 4096
"""Bytes of an input, from which values are drawn; most draws need far fewer, and those that lack some are in vain."""
SEEDS = 32
SLOWEST_SECONDS = 10
ROUND = 2000
"""Inputs a process takes: what guides the fuzzer keeps memory of each."""


def main(inputs: str, *names: str) -> int:
    """Fuzz each property in processes of its own, as a fuzzer ends its process; the exit code of the first to fail."""
    from tests.fuzz.properties import PROPERTIES

    for name in names or PROPERTIES:
        corpus = FOLDER / name
        corpus.mkdir(parents=True, exist_ok=True)
        for seed in range(SEEDS):
            (corpus / f"seed{seed}").write_bytes(random.Random(seed).randbytes(LENGTH))
        for done in range(0, int(inputs), ROUND):
            runs = min(ROUND, int(inputs) - done)
            print(f"{name}: inputs {done + 1} to {done + runs}", flush=True)
            options = [f"-runs={runs}", f"-seed={done + 1}", f"-max_len={LENGTH}", "-len_control=0"]
            options += [f"-timeout={SLOWEST_SECONDS}", f"-artifact_prefix={FOLDER}/{name}-", "-verbosity=0"]
            command = [sys.executable, "-m", "tests.fuzz.guided", "--property", name, *options, str(corpus)]
            if code := subprocess.run(command).returncode:
                return code
    return 0


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one property; never returns."""
    import atheris

    with atheris.instrument_imports(include=["harness"]):  # pyright: ignore[reportAttributeAccessIssue]
        from tests.fuzz.properties import PROPERTIES, warm_up

        warm_up()
    warnings.simplefilter("ignore")
    take = PROPERTIES[name].hypothesis.fuzz_one_input  # pyright: ignore[reportFunctionMemberAccess]

    def take_one(content: bytes) -> None:
        take(content)

    atheris.Setup([sys.argv[0], *options], take_one)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--property":
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(*sys.argv[1:]))
