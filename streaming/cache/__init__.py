"""Bytes that can be made again, kept for a while."""
