"""The API's own description: how routes are described, and the document made of it."""
