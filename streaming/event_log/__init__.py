"""The ordered log of one turn's events: one writer, any number of readers."""
