"""One assistant turn: from messages to a durable, resumable log of events."""
