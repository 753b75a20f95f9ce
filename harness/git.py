"""Questions to git."""

import subprocess
from pathlib import Path

TIMEOUT_SECONDS = 60.0


def git(*arguments: str, folder: Path | None = None) -> str | None:
    """Output of a git command in a folder, by default the working one; ``None`` where it fails or there is no git."""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
