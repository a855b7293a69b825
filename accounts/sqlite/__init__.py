"""Accounts in a SQLite file: the embedded form of the seam."""

from accounts.sqlite.accounts import SqliteAccounts

__all__ = ["SqliteAccounts"]
