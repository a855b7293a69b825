"""What the document says of the API as a whole, and of each group of routes."""

from collections.abc import Mapping

from server.openapi.describing import Tag

INTRODUCTION = """\
A **turn** is one user message and everything that answers it. It writes an ordered event log, and
every client reads that log: first connect, reconnect, second tab and another worker are one and the
same read. Starting a turn is a `POST`; reading its events is a `GET` that may be repeated from any
event on.

**Who you are.** Browsers are known by cookies, programs by `Authorization: Bearer` with an access
token, an API key or (operators) `ADMIN_TOKEN`. Where guests are let in, a caller without any
credentials is made a guest by a cookie. What belongs to somebody else answers 404, as if it were
not there. A request that changes something and comes from another site's page is refused (403).

**Problems** are `application/problem+json` (RFC 9457). `code` is stable, `detail` is one sentence
that says what to do, `request_id` finds the request in the logs. Every answer has `X-Request-ID`; a
caller's own is kept where it is short and clean.

**Bodies** are JSON, sent as `application/json`: no unknown fields, no duplicate names, at most 32
levels deep.

**Event streams** (`text/event-stream`) are described by each of their events: `id`, `event` and
`data` are its lines, and `data` is one line of JSON.
"""

TAGS: Mapping[Tag, str] = {
    Tag.TURNS: "Start a turn, read its events, ask for its state, stop it.",
    Tag.CONVERSATIONS: "Threads of messages, and what people think of answers.",
    Tag.CHATBOTS: "The assistants that can be asked.",
    Tag.SPEECH: "Audio beside the event stream.",
    Tag.ACCOUNTS: "Registering, signing in and out, and who one is.",
    Tag.API_KEYS: "Keys of server-to-server callers.",
    Tag.PAGE: "What pages tell by themselves.",
    Tag.FLAGS: "Who gets which variant, and why.",
    Tag.ROLLOUTS: "Rollouts that are led on evidence.",
    Tag.SEGMENTS: "Named users, for the rules of flags.",
    Tag.OPENFEATURE: "Flags for other services, in OpenFeature's remote evaluation protocol.",
    Tag.METRICS: "How the service does.",
    Tag.HEALTH: "Whether it is alive, ready and well.",
    Tag.OPERATORS: "The operators' page, users, sessions and the audit log.",
    Tag.DOCUMENT: "The API's own description.",
}
