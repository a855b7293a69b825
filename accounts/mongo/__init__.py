"""Accounts in MongoDB: the seam's form for many processes.

No transaction spans documents, so writes are ordered such that each prefix of them is valid:
`users` says how identities are unique, `admins` how the last admin stays.
"""

from accounts.mongo.accounts import MongoAccounts

__all__ = ["MongoAccounts"]
