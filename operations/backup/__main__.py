"""`scripts/backup`: put all that is stored into an archive, beside a running service."""

import argparse
import json
import sys
from pathlib import Path

from operations.backup.archive import Manifest, prune
from operations.backup.making import make
from operations.findings import OK, OperationError, refuse
from operations.settings import add_option, load


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, make an archive, and remove old ones; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        manifest = make(
            load(given.env_file),
            given.folder,
            engine=given.engine,
            secrets_of=given.env_file if given.with_secrets else None,
        )
        removed = prune(given.folder, given.keep) if given.keep else []
    except OperationError as error:
        return refuse("backup", error)
    except OSError as error:
        return refuse("backup", OSError(f"{error.filename or given.folder}: {error.strerror}."))
    newest = max(path.name for path in given.folder.glob("chatstream-*"))
    _tell(manifest, given.folder / newest, removed, as_json=given.json)
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backup",
        description="Put conversations, accounts, chatbots, figures and flags into a new archive"
        " of FOLDER. Settings are the service's: the environment, else .env of this folder."
        " The service may run. Secrets stay out unless asked for.",
        epilog="Exit status: 0 done, 1 no archive was made, 2 wrong usage, 78 wrong settings.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where archives are kept")
    parser.add_argument("--keep", type=_count, metavar="N", help="then remove all but the newest N")
    parser.add_argument("--with-secrets", action="store_true", help="kept secrets and FILE, too")
    add_option(parser)
    parser.add_argument(
        "--engine",
        choices=("auto", "mongodump", "built-in"),
        default="auto",
        help="for MongoDB; auto: mongodump where it is installed",
    )
    parser.add_argument("--json", action="store_true", help="say what was done as JSON")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return count


def _tell(manifest: Manifest, archive: Path, removed: list[str], *, as_json: bool) -> None:
    entries = sum(part.entries for part in manifest.parts)
    if as_json:
        told = {
            "archive": str(archive),
            "files": len(manifest.parts),
            "entries": entries,
            "bytes": manifest.size_bytes,
            "seconds": manifest.seconds,
            "removed": removed,
        }
        sys.stdout.write(f"{json.dumps(told)}\n")
        return
    sys.stdout.write(
        f"{archive}: {len(manifest.parts)} files, {entries} entries,"
        f" {manifest.size_bytes} bytes, {manifest.seconds:g} s\n"
    )
    for name in removed:
        sys.stdout.write(f"removed: {name}\n")


if __name__ == "__main__":
    sys.exit(main())
