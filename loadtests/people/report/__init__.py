"""A run as one page: self-contained, light or dark, readable on a phone."""

from loadtests.people.report.page import page

__all__ = ["page"]
