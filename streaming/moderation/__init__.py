"""What may not be said: who judges texts, and the gate that an answer's sentences pass."""
