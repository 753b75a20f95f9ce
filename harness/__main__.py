"""``python -m harness`` is ``imaml-bench``."""

from harness.cli import main

main()
