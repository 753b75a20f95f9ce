"""What the page holds besides words: figures as addresses of images, its style, its scripts and what they may do."""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from urllib.parse import quote

from markupsafe import Markup

SHARPER = 2
"""How much larger than its pixels a drawing may be."""
_SCRIPTS = ("plotly-basic.min.js", "dataTables.min.js", "page.js")


def address(svg: bytes, png: bytes) -> str:
    """The figure itself, as the address of an image: no script in it could run.

    Drawn, which prints sharper, unless that is more than :data:`SHARPER` times as large as its pixels.
    """
    drawn = f"data:image/svg+xml,{quote(svg.decode().replace(chr(10), ' '), safe=' /:=,;-_.~!*()@$+?')}"
    pixels = f"data:image/png;base64,{b64encode(png).decode()}"
    return drawn if len(drawn) <= SHARPER * len(pixels) else pixels


def style() -> Markup:
    """The page's style sheet."""
    return _asset("page.css")


def scripts() -> list[Markup]:
    """The chart library, the table library, and what hands the page to them."""
    return [_asset(name) for name in _SCRIPTS]


def policy(inlined: Sequence[str]) -> str:
    """A content security policy: these scripts and no others, no network.

    Plotly styles what it draws by attributes, so inline styles are allowed.
    """
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in inlined)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _asset(name: str) -> Markup:
    return Markup((files("harness.report") / "assets" / name).read_text(encoding="utf-8"))
