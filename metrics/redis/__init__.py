"""The window and the archive in Redis, for all workers of a deployment together."""
