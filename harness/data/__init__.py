"""Image sources, one a file, and the few-shot episodes drawn from them."""

from harness.data.source import Episode, ImageSet, ImageSource, Split, episode

__all__ = ["Episode", "ImageSet", "ImageSource", "Split", "episode"]
