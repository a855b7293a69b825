"""An OpenAI-compatible server that plays a model: paced, deterministic, and faulty on request.

For trying the chat server without a provider, for its tests and for its benchmark. It is a black
box to the rest of the project and no model: its answers are prose drawn from a small corpus.
"""
