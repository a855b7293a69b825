"""What command lines take."""

import argparse


def count(text: str) -> int:
    """Return a number of things, 1 or more, as the type of an argument."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("must be a number, 1 or more")
    return int(text)
