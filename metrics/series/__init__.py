"""The series for a monitoring server, on a registry of our own.

Base units (seconds, bytes), names that begin with `chat_`, label values from closed sets
(`metrics.labels`). Series whose labels are few and known start at zero, so that a first failure
shows as a rise. `docs/metrics.md` lists them all; a test holds the two together.
"""
