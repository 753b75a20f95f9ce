"""Meters: what is measured about one call, each in a pass of its own."""
