"""Print of each collection how much is in it, and a hash of that: run inside the machine."""

import hashlib
import sys
from typing import Any

from bson import json_util
from pymongo import MongoClient

with MongoClient[dict[str, Any]]("mongodb://127.0.0.1:27017") as client:
    stored = client["chatstream"]
    # What has expired of these the server itself removes.
    for name in sorted(set(stored.list_collection_names()) - {"idempotency_keys"}):
        lines = sorted(json_util.dumps(each, sort_keys=True) for each in stored[name].find())
        told = hashlib.sha256("".join(lines).encode()).hexdigest()
        sys.stdout.write(f"{name} {len(lines)} {told}\n")
