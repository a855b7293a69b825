"""The record in MongoDB: the seam's form for many processes.

There are no transactions. Each call writes in an order of which every prefix is valid, each write
may be repeated by anyone, and whoever comes across a half-done call finishes it (`steps.py`).
"""

from history.mongo.history import MongoHistory

__all__ = ["MongoHistory"]
