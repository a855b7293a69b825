"""Collections of MongoDB as lines of extended JSON: for where `mongodump` is not installed."""

import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from bson import json_util
from bson.json_util import CANONICAL_JSON_OPTIONS
from pymongo import IndexModel, MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from operations.backup import mongo_tools
from operations.backup.archive import Part, packing, sealed
from operations.findings import OperationError
from storage.mongo import DEFAULT_DATABASE

Document = dict[str, Any]

ORDER = (
    "messages",
    "turns",
    "idempotency_keys",
    "conversations",
    "audit_log",
    "api_keys",
    "sessions",
    "user_identities",
    "user_demotions",
    "users",
)
"""What leads to others comes before them, so that a copy made while others write is one that the
service's own repair finishes: see docs/backup.md."""

OURS = frozenset({*ORDER, "chatbots"})
"""All collections of the service."""

TIMEOUT_MS = 5_000
SILENCE_MS = 300_000
"""An index over a large collection takes minutes; a server that is gone is not waited for."""

BATCH = 1_000
"""Documents in memory at once."""

_OPTIONS = (
    "unique",
    "sparse",
    "expireAfterSeconds",
    "partialFilterExpression",
    "collation",
)
_NAMESPACE_NOT_FOUND = 26
_SUFFIX = ".jsonl.gz"


@contextmanager
def opened(uri: str) -> Iterator[Database[Document]]:
    """Yield the database that the service uses; writes are there when a majority has them.

    Raises:
        OperationError: the server cannot be reached, or refuses; never with the address.
    """
    try:
        with MongoClient[Document](
            uri,
            serverSelectionTimeoutMS=TIMEOUT_MS,
            socketTimeoutMS=SILENCE_MS,
            w="majority",
            readPreference="primary",
        ) as client:
            yield client.get_default_database(DEFAULT_DATABASE)
    except (PyMongoError, ValueError) as error:
        brief = str(error).partition(" (configured timeouts")[0].splitlines()[0]
        raise OperationError(f"MONGODB_URI: {type(error).__name__}: {brief[:200]}.") from None


def names_of(database: Database[Document]) -> list[str]:
    """Return the collections in the order in which they are to be copied."""
    found = database.list_collection_names(filter={"type": "collection"})
    return ordered([name for name in found if not name.startswith("system.")])


def ordered(names: Sequence[str]) -> list[str]:
    """Return names in the order in which they are copied; unknown ones first."""
    places = {name: place for place, name in enumerate(ORDER)}
    return sorted(names, key=lambda name: (places.get(name, -1), name))


def filled(database: Database[Document], names: Sequence[str]) -> list[str]:
    """Return which of these collections hold anything."""
    return [name for name in names if database[name].find_one({}, {"_id": 1}) is not None]


def name_of(part: Part) -> str:
    """Return the collection that a part is of."""
    return part.path.removesuffix(_SUFFIX).removesuffix(mongo_tools.SUFFIX)


def load(database: Database[Document], part: Part, folder: Path) -> None:
    """Make a collection what it was when it was archived, whatever is in it now.

    Raises:
        OperationError: what is there afterwards is not what was archived.
    """
    collection = database[name_of(part)]
    collection.drop()
    with gzip.open(folder / part.path, "rb") as lines:
        while batch := list(islice(lines, BATCH)):
            collection.insert_many([json_util.loads(line) for line in batch], ordered=False)
    indexes = [_index(json_util.loads(text)) for text in part.indexes]
    if indexes:
        collection.create_indexes(indexes)
    compare(collection, part)


def compare(collection: Collection[Document], part: Part) -> None:
    """Read a collection and compare it with what was archived, document by document.

    Raises:
        OperationError: it is not equal.
    """
    if part.expires:
        return  # the server may have removed some of it since
    digest, count = hashlib.sha256(), 0
    for line in _lines(collection):
        digest.update(line)
        count += 1
    if (count, digest.hexdigest()) != (part.entries, part.digest):
        raise OperationError(
            f"{collection.name} holds {count} documents, {part.entries} were archived, or others:"
            " stop whatever writes there, and restore again."
        )


def dump(collection: Collection[Document], folder: Path) -> Part:
    """Write a collection into a file, with what it hashes to and its indexes."""
    path = folder / f"{collection.name}{_SUFFIX}"
    digest, count = hashlib.sha256(), 0
    with packing(path) as file:
        for line in _lines(collection):
            file.write(line)
            digest.update(line)
            count += 1
    indexes = [dict(index) for index in _indexes(collection)]
    return msgspec.structs.replace(
        sealed(path, "collection", entries=count),
        digest=digest.hexdigest(),
        indexes=[json_util.dumps(index, json_options=CANONICAL_JSON_OPTIONS) for index in indexes],
        expires=any("expireAfterSeconds" in index for index in indexes),
    )


def _lines(collection: Collection[Document]) -> Iterator[bytes]:
    """Yield all documents by their ids, each as it was stored: types and order of fields too.

    `_id` stands first, as MongoDB has it; another server moves it when a document is replaced.
    """
    with collection.find({}).sort("_id", 1).batch_size(BATCH) as documents:
        for document in documents:
            ordered_document = {"_id": document["_id"], **document}
            text = json_util.dumps(ordered_document, json_options=CANONICAL_JSON_OPTIONS)
            yield text.encode() + b"\n"


def _indexes(collection: Collection[Document]) -> list[Mapping[str, Any]]:
    try:
        return [index for index in collection.list_indexes() if index["name"] != "_id_"]
    except OperationFailure as error:
        if error.code == _NAMESPACE_NOT_FOUND:
            return []
        raise


def _index(told: Mapping[str, Any]) -> IndexModel:
    options = {name: told[name] for name in _OPTIONS if name in told}
    return IndexModel(list(told["key"].items()), name=told["name"], **options)
