"""Documents of others: what is written by us, with something in it that nobody would write, or that somebody would."""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from hypothesis import strategies as st

Path: TypeAlias = tuple[str | int, ...]

WORDS = st.sampled_from(
    [
        *("", " ", "\n", "\0", "\x1b[2J", "\x9b31m", "\u202egnp.exe", "\u2028", "é雪λ", "\N{PILE OF POO}", "x" * 5000),
        *("<script>alert(1)</script>", "' onload=alert(1) x='", "{{ 7 * 7 }}", "{lam}", "{steps}", "{0.__class__}"),
        *("=1+1", "@SUM(A1)", "\\input{x}", "$\\frac$", "| a | b |", "[x](javascript:alert(1))", "../../etc", "%s%n"),
        *("ok", "oom", "cpu", "cuda:0", "maml", "imaml-cg", "linear", "float32"),
        *("1970-01-01T00:00:00Z", "nan", "1e999"),
    ]
)
NUMBERS = st.sampled_from(
    [
        *(0, -1, 1, 2, 10**9, 2**31, 2**53 + 1, 2**63, -(2**63), 10**18, 10**400),
        *(0.0, -0.0, 0.5, -1.5, 5e-324, 2.2e-308, 1.7976931348623157e308, 1e300, math.nan, math.inf, -math.inf),
    ]
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.integers(), st.floats(), WORDS, st.text(max_size=20))
VALUES = st.recursive(
    st.one_of(SCALARS, st.tuples(SCALARS, st.sampled_from([2, 300])).map(lambda of: [of[0]] * of[1])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(WORDS, inner, max_size=3),
        st.tuples(inner, st.sampled_from([1, 50])).map(lambda of: nested(*of)),
    ),
    max_leaves=6,
)


def nested(value: Any, depth: int) -> Any:
    """The value within so many lists."""
    for _ in range(depth):
        value = [value]
    return value


def places(document: Any, at: Path = ()) -> Iterator[Path]:
    """Where in a document one value may be put in another's place; everywhere but at its root."""
    children = document.items() if isinstance(document, dict) else enumerate(document)
    for name, child in children:
        yield (*at, name)
        if isinstance(child, dict | list):
            yield from places(child, (*at, name))


@st.composite
def altered(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """The document with one to three changes: a value replaced, left out, added or moved."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            break
        *path, name = draw(st.sampled_from(found))
        inside = _inside(document, path)
        match draw(st.sampled_from(["replace", "replace", "replace", "leave out", "add", "move"])):
            case "leave out":
                del inside[name]
            case "add" if isinstance(inside, dict):
                inside[draw(WORDS)] = draw(VALUES)
            case "add":
                inside.insert(name, draw(VALUES))
            case "move" if isinstance(inside, dict):
                target = draw(st.sampled_from(list(inside)))
                inside[target] = inside.pop(name)
            case _:
                inside[name] = draw(VALUES)
    return document


def _inside(document: Any, path: Iterable[str | int]) -> Any:
    for name in path:
        document = document[name]
    return document


@st.composite
def spoilt(draw: st.DrawFn, text: bytes) -> bytes:
    """The text, or the text with a few bytes of it lost, doubled or others; seldom something else altogether."""
    how = draw(st.sampled_from(["whole", "whole", "cut", "lost", "others", "deep", "doubled", "none of it"]))
    first, last = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    match how:
        case "cut":
            return text[:first]
        case "lost":
            return text[:first] + text[min(first + 20, last) :]
        case "others":
            return text[:first] + draw(st.binary(max_size=8)) + text[first:]
        case "deep":
            return text[:first] + draw(st.sampled_from([b"[", b"{", b'{"a":', b"{a="])) * 3000 + text[first:]
        case "doubled":
            return text[:last] + text[first:]
        case "none of it":
            return draw(st.binary(max_size=200))
        case _:
            return text


def toml(document: dict[str, Any]) -> str:
    """A document as TOML, its tables written in line; what TOML cannot say is left out."""
    return "".join(f"{_string(name)} = {_inline(value)}\n" for name, value in document.items() if value is not None)


def _inline(value: Any) -> str:
    match value:
        case dict():
            members = (f"{_string(name)} = {_inline(each)}" for name, each in value.items() if each is not None)
            return f"{{ {', '.join(members)} }}"
        case list():
            return f"[{', '.join(_inline(each) for each in value if each is not None)}]"
        case str():
            return _string(value)
        case float() if not math.isfinite(value):
            return repr(value)
        case _:
            return json.dumps(value)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).encode(errors="replace").decode()
