"""Answers as sound: what is said of a text, by which engine, in which order."""
