"""``--margins``: how near the numbers of passing assertions come to their bounds.

Every ``assert value < bound`` and ``assert value == pytest.approx(…)`` between numbers is read, as pytest explains it,
and every ``torch.testing.assert_close``; those whose value takes much of its bound are listed, the nearest first. What
is there by rounding alone needs a bound from analysis (:mod:`tests.rounding`), or fails on the next processor.
"""

import ast
import linecache
import math
import operator
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

PROPERTY = "margin"
APPROXIMATE = re.compile(r"(\S+) ± ([^\s,\]})]+)")
ARITHMETIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--margins",
        metavar="RATIO",
        type=float,
        help="list the assertions whose numbers take more than this part of their bound, as in --margins=0.5",
    )


def pytest_configure(config: pytest.Config) -> None:
    least = config.getoption("--margins")
    if least is not None:
        config.pluginmanager.register(_Recorder(least), "margins")


class _Recorder:
    def __init__(self, least: float) -> None:
        self.least = least

    def pytest_assertion_pass(self, item: pytest.Item, lineno: int, orig: str, expl: str) -> None:
        if orig.partition("\n")[0] not in linecache.getline(str(item.path), lineno):
            return  # one of a plugin's own assertions
        for value, bound in comparisons(expl):
            self._record(item, value, bound, orig)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        import torch

        def recorded(actual: torch.Tensor, expected: torch.Tensor, **options: Any) -> None:
            close(actual, expected, **options)
            default = {torch.float32: (1.3e-6, 1e-5), torch.float64: (1e-7, 1e-7)}.get(actual.dtype, (0, 0))
            relative, absolute = options.get("rtol", default[0]), options.get("atol", default[1])
            taken = (actual - expected).abs() / (absolute + relative * expected.abs())
            self._record(item, float(taken.detach().max()), 1.0, "torch.testing.assert_close")

        close = torch.testing.assert_close
        torch.testing.assert_close = recorded
        try:
            return (yield)
        finally:
            torch.testing.assert_close = close

    def _record(self, item: pytest.Item, value: float, bound: float, text: str) -> None:
        if bound > 0 and value > self.least * bound:
            item.user_properties.append((PROPERTY, (value, bound, " ".join(text.split()))))

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        worst: dict[tuple[str, str], tuple[float, str]] = {}
        for report in terminalreporter.getreports("passed"):
            for name, margin in report.user_properties:
                if name == PROPERTY:
                    value, bound, text = margin
                    place = report.nodeid.partition("[")[0], text
                    words = f"{value / bound:6.3f}  {value:8.2e} of {bound:8.2e}  {text}\n{'':8}{report.nodeid}"
                    worst[place] = max(worst.get(place, (0.0, "")), (value / bound, words))
        terminalreporter.section(f"assertions that take more than {self.least:g} of their bound")
        for _, words in sorted(worst.values(), reverse=True):
            terminalreporter.write_line(words)


def comparisons(explanation: str) -> Iterator[tuple[float, float]]:
    """Value and bound of each comparison of numbers in pytest's explanation of an assertion; of whole ones none."""
    line = explanation.partition("\n")[0]
    if "±" in line:
        line = APPROXIMATE.sub(r"_about(\1, \2)", line).replace("approx", "")
    try:
        tree = ast.parse(line, mode="eval").body
    except SyntaxError:
        return
    if not isinstance(tree, ast.Compare):
        return
    for left, operation, right in zip([tree.left, *tree.comparators], tree.ops, tree.comparators, strict=False):
        if isinstance(operation, ast.Eq):
            yield from _about(left, right)
            continue
        a, b = _number(left), _number(right)
        if a is None or b is None or (isinstance(a, int) and isinstance(b, int)):
            continue
        if isinstance(operation, ast.Lt | ast.LtE):
            yield abs(a), b
        elif isinstance(operation, ast.Gt | ast.GtE):
            yield abs(b), a


def _about(left: ast.expr, right: ast.expr) -> Iterator[tuple[float, float]]:
    """How far a number, or each of a list, is from the one it is about, and how far it may be."""
    if isinstance(left, ast.List | ast.Tuple) and isinstance(right, ast.List | ast.Tuple):
        for one, other in zip(left.elts, right.elts, strict=False):
            yield from _about(one, other)
    elif isinstance(right, ast.Call) and len(right.args) == 2:
        value, about, tolerance = _number(left), _number(right.args[0]), _number(right.args[1])
        if value is not None and about is not None and tolerance is not None:
            yield abs(value - about), tolerance


def _number(node: ast.AST) -> float | None:
    """What arithmetic of numbers alone comes to; ``None`` for anything else."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id="inf"):
            return math.inf
        case ast.BinOp(left=left, op=operation, right=right):
            operands = _number(left), _number(right)
        case ast.UnaryOp(op=operation, operand=operand):
            operands = (_number(operand),)
        case _:
            return None
    if None in operands or type(operation) not in ARITHMETIC:
        return None
    try:
        return ARITHMETIC[type(operation)](*operands)
    except ArithmeticError:
        return None
