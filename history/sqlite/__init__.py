"""The record in a SQLite file: the embedded form of the seam."""

from history.sqlite.history import SqliteHistory

__all__ = ["SqliteHistory"]
