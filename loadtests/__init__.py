"""Load tests, the LLM simulator and benchmarks: a black box that imports nothing of ours."""
