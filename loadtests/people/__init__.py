"""Users who behave like people: they ask, read, think, stop, lose the network and come back.

`python -m loadtests.people PROFILE` runs one profile of `profiles.toml` and judges it. The load is
locust's, which replaces the standard library's sockets as it is imported and thus lives in an
environment of its own; only `locustfile` imports it. See `docs/loadtests.md`.
"""
