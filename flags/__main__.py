"""The operators' command: `python -m flags`."""

from flags.cli.run import main

if __name__ == "__main__":
    raise SystemExit(main())
