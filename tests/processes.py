"""Processes that live, found by a mark in their environment, whoever started them."""

import psutil


def marked(variable: str, mark: str) -> list[psutil.Process]:
    """Those whose environment has the variable with this value; whatever one starts has it too."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
