"""The document itself."""

from server.openapi.describing import Answer, Doc, Media, Tag
from server.openapi.parameters import KNOWN_TAGS

DOCUMENT = Doc(
    Tag.DOCUMENT,
    description="The same for everybody; `/docs` shows it to people.",
    answers={
        200: Answer("OpenAPI 3.1.", Media("application/json", {"type": "object"}), ("ETag",)),
        304: Answer("The caller has it.", headers=("ETag",)),
    },
    parameters=(KNOWN_TAGS,),
)
