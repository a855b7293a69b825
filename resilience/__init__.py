"""Leaves that anyone may use: deadlines, watchdogs and supervised loops."""
