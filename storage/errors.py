"""Everything that can go wrong below an adapter.

StorageError
├── StorageOpenError         the store cannot be used at all: path, file, address; say so and stop
├── StorageConflictError     a uniqueness or reference rule refused the write
└── StorageUnavailableError  no answer in time, or the store failed; the write may have happened
"""


class StorageError(Exception):
    """Base of the package's errors; adapters turn them into those of their own seam."""


class StorageOpenError(StorageError):
    """The store cannot be used: the message names the place and the cause, for an operator."""


class StorageConflictError(StorageError):
    """A uniqueness or reference rule refused the write; nothing of it was kept."""


class StorageUnavailableError(StorageError):
    """The store failed or did not answer in time; the write may or may not have happened."""
