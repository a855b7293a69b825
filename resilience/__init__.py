"""Leaves that anyone may use: deadlines, watchdogs, breakers and supervised loops."""
