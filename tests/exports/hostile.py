"""Labels that would be commands somewhere."""

from tests.report.synthetic import HOSTILE

LABELS = [
    HOSTILE,
    "=cmd()",
    "+1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1+1",
    "-2+3",
    "\\input{/etc/passwd}",
    "\\end{tabular}\\write18{ls}",
    "^^5cinput{x}",
    "[2cm] *",
    "a & b \\\\ c # d % e",
    "a | b || `c`",
    "![x](javascript:alert(1))",
    "one\rtwo\r\nthree\nfour",
    '"; DROP TABLE',
    "\x1b[31mred\x1b[0m",
    "λ µ é 雪",
]
