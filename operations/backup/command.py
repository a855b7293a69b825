"""`scripts/backup`: put all that is stored into an archive, beside a running service."""

import argparse
import json
import sys
from pathlib import Path

from operations.arguments import count
from operations.backup.archive import Manifest, prune
from operations.backup.making import make
from operations.findings import OK, OperationError
from operations.settings import DEFAULT, add_option, load


def main(arguments: list[str]) -> int:
    """Parse the command line, make an archive, and remove old ones; return the exit status."""
    given = _parser().parse_args(arguments)
    archive, manifest = make(
        load(given.env_file),
        given.folder,
        engine=given.engine,
        secrets_of=(given.env_file or DEFAULT) if given.with_secrets else None,
    )
    try:
        removed = prune(given.folder, given.keep, made=archive) if given.keep else []
    except OSError as error:
        raise OperationError(
            f"{archive} is made; of the older ones {error.filename} stays: {error.strerror}."
        ) from None
    _tell(manifest, archive, removed, as_json=given.json)
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backup",
        description="Put conversations, accounts, chatbots, figures and flags into a new archive"
        " of FOLDER. Settings are the service's: the environment, else .env of this folder."
        " The service may run. Secrets stay out unless asked for.",
        epilog="Exit status: 0 done; 1 no archive was made, or older ones could not be removed;"
        " 2 wrong usage; 78 wrong settings; 130 or 143 stopped.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where archives are kept")
    parser.add_argument("--keep", type=count, metavar="N", help="then remove all but N, the newest")
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
