"""The release that runs."""

VERSION = "0.1.0"
"""Also in pyproject.toml; a test holds the two together."""
