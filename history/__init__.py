"""What was said: conversations, their messages, and a record of every turn.

The record is what outlives processes. It knows nothing of models, HTTP or event logs.
"""
