"""Texts as they may be shown: on one line, short enough, and without commands to a terminal."""

from harness.text.plain import harmless, is_harmless, one_line, shortened

__all__ = ["harmless", "is_harmless", "one_line", "shortened"]
