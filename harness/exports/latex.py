r"""LaTeX tables, to be pasted into a paper that has ``\usepackage{booktabs}``."""

import re
from collections.abc import Sequence

from harness.exports.document import Document
from harness.report.settings import Setting, settings
from harness.report.tables import table
from harness.store import LoadedRun
from harness.text import one_line

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    # Right after \\ these two would be its arguments.
    **{character: f"{{{character}}}" for character in "[]*"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "µ": r"$\mu$",
    "α": r"$\alpha$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "θ": r"$\theta$",
    "φ": r"$\phi$",
    "°": r"\textdegree{}",
}

_NUMBER = r"-?(?:[\d,]+(?:\.\d+)?(?:e-?\d+)?|inf)|nan"
_QUANTITY = re.compile(rf"({_NUMBER})(?: \(({_NUMBER}) to ({_NUMBER})\))?")


def latex(runs: Sequence[LoadedRun]) -> Document:
    """The report's tables as LaTeX: medians, with quartiles in brackets; units in the headers.

    A failed cell has its status in the row, and the reason in a comment. Texts are typeset as they are: nothing in them
    is a command.
    """
    suites = dict.fromkeys(run.manifest.suite.name for run in runs)
    label = re.sub(r"[^a-z0-9]+", "-", "-".join(suites).lower()).strip("-") or "table"
    tables = [_table(setting, f"tab:{label}-{place}") for place, setting in enumerate(settings(runs), start=1)]
    return Document(("% needs \\usepackage{booktabs}\n" + "\n".join(tables)).encode())


def _table(setting: Setting, label: str) -> str:
    of = table(setting)
    status = of.headers.index("status")
    failed = any(row.failed for row in of.rows)
    shown = [column for column in range(len(of.headers) - failed) if failed or column != status]
    rows = [[_cell(row.texts[column]) for column in shown] for row in of.rows]
    alignment = "".join("r" if _numeric([row.texts[column] for row in of.rows]) else "l" for column in shown)
    lines = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_escaped(setting.title)}. Medians; quartiles in brackets where they differ.}}",
        f"\\label{{{label}}}",
        f"\\begin{{tabular}}{{{alignment}}}",
        "\\toprule",
        f"{' & '.join(_escaped(of.headers[column]) for column in shown)} \\\\",
        "\\midrule",
        *(f"{' & '.join(texts)} \\\\" for texts in rows),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {one_line(' '.join(row.texts[:status]))}: {one_line(row.texts[-1])}" for row in of.rows if row.failed),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _numeric(texts: Sequence[str]) -> bool:
    return all(_QUANTITY.fullmatch(text) for text in texts if text) and any(texts)


def _cell(text: str) -> str:
    quantity = _QUANTITY.fullmatch(text)
    if quantity is None:
        return _escaped(text)
    median, low, high = quantity.groups()
    return _number(median) + (f" ({_number(low)}--{_number(high)})" if low else "")


def _number(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    if exponent:
        return f"${mantissa.replace(',', '{,}')}\\times 10^{{{exponent}}}$"
    return "$" + text.replace("inf", r"\infty ").strip() + "$" if text.startswith(("-", "inf")) else text


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in one_line(text))
