"""Changing flags: what a change must fulfil, and how it is made."""
