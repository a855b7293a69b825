"""Flags in one file: the embedded store, shared by the processes of one machine."""

from flags.store.file.store import FileFlagStore

__all__ = ["FileFlagStore"]
