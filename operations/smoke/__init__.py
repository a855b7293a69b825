"""A running service asked for all that a user asks of it."""
