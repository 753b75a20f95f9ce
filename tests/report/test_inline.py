from base64 import b64decode
from urllib.parse import unquote

from harness.report.inline import address, policy, scripts

SVG = b'<svg width=\'1\'>\n<path d="M 0 0 \nL 1 1" fill="#fff"/> 100 % & \xc3\xa9</svg>'


def test_a_drawing_is_an_address_that_reads_back_as_it_was() -> None:
    kind, _, content = address(SVG, b"x" * 10_000).partition(",")
    assert kind == "data:image/svg+xml"
    assert unquote(content) == SVG.decode().replace("\n", " ")
    assert not set(content) & set("\"<>#&'")


def test_a_drawing_much_larger_than_its_pixels_is_taken_as_these() -> None:
    assert address(SVG, b"x" * len(SVG)).startswith("data:image/svg+xml")
    kind, _, content = address(SVG * 100, b"pixels").partition(",")
    assert kind == "data:image/png;base64"
    assert b64decode(content) == b"pixels"


def test_scripts_end_where_they_end() -> None:
    assert len(scripts()) == 3
    assert not any("</script" in script or "<!--" in script for script in scripts())


def test_the_policy_names_every_script_and_no_address() -> None:
    assert policy(["a"]).count("sha256-") == 1
    assert "http" not in policy(scripts())
    assert "unsafe-eval" not in policy(scripts())
