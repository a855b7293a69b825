"""Benchmarks that need our own modules; those of the running server are in `loadtests`."""
