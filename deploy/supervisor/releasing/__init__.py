"""Releases side by side, and instances that go from one to another; standard library only."""
