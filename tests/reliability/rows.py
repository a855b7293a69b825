"""What can go wrong, row by row, and what holds then; tests say which rows they show.

A test is marked `@pytest.mark.fault(18)` where it injects the fault of that row and checks what is
told here. A row without a test says what it waits for.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. `waits_for` names what is not there yet; then `holds` is what is to hold."""

    number: int
    fault: str
    holds: str
    waits_for: str = ""


GROUPS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "Workers",
        (
            Row(
                1,
                "a worker is killed in mid-answer",
                "another takes the turn, about 2 s later, within 7 s where its lease has to run"
                " out; readers get every word once, and the answer completes",
            ),
            Row(
                2,
                "all workers are killed",
                "with Redis, those that start next go on with the turns; without, they are"
                " `interrupted` with the text of their last checkpoint; none stays `running`",
            ),
            Row(
                3,
                "a worker is stopped for longer than its lease, and goes on",
                "another has the turn by then; what the first one still writes is refused",
            ),
            Row(
                4,
                "SIGTERM under many live turns",
                "they are finished or handed over without a reset; exit status 0",
            ),
            Row(
                5,
                "all workers are restarted one by one, under load",
                "no request fails, no reader loses a word",
            ),
            Row(
                6,
                "a worker is killed while it drains",
                "as row 1, for what it had not handed over",
            ),
        ),
    ),
    (
        "Readers and callers",
        (
            Row(7, "a reader leaves", "the turn goes on and is stored"),
            Row(
                8,
                "a reader vanishes without a word to the network",
                "the send timeout ends its stream, or 10 s later what it has not acknowledged, be"
                " it a heartbeat; its place and socket are free again",
            ),
            Row(
                9,
                "a reader takes nothing, or a byte a second",
                "it is cut off at the send timeout; memory stays bounded, others notice nothing",
            ),
            Row(
                10,
                "hundreds of readers come back at once",
                "all are served from the log, the model is not asked",
            ),
            Row(
                11,
                "a reader comes back with each id there is, and those there are not",
                "exactly the rest, or one `turn.reset` and then the rest",
            ),
            Row(
                12,
                "an id of another turn, garbage, NUL, kilobytes",
                "`400`, and never another user's words",
            ),
            Row(13, "two tabs on one turn, one of them slow", "each gets every event"),
            Row(
                14,
                "fifty equal POSTs at once with one key",
                "one turn, fifty equal answers, one question to the model",
            ),
            Row(15, "a POST is cut off before its answer, and repeated", "one turn"),
            Row(
                16,
                "a cancel meets the end",
                "one terminal event, and the record says the same",
            ),
        ),
    ),
    (
        "Redis",
        (
            Row(
                17,
                "Redis is not there at the start",
                "the worker starts and streams, and `/health` says so; it shares once Redis comes",
            ),
            Row(
                18,
                "Redis dies in mid-answer",
                "readers on the turn's worker notice nothing; elsewhere they are asked to come"
                " back within some 4 s, and get the rest from the turn's worker, from Redis once it"
                " is there again, or after the end from the record; no 500",
            ),
            Row(
                19,
                "Redis answers nothing for half a minute",
                "calls give up at their deadline, the loop is never held up, turns stream on and"
                " are started; whoever held a turn still holds it afterwards",
            ),
            Row(
                20,
                "replies of Redis are lost",
                "no entry twice, none missing",
            ),
            Row(
                21,
                "Redis comes back empty",
                "logs of running turns are sent again; of others the record tells the text",
            ),
            Row(
                22,
                "Redis has no memory left",
                "turns stream and are stored; `/health` says so; shared again once there is room",
            ),
            Row(
                23,
                "the primary, or a node of a Cluster, fails over to a replica",
                "as row 18 meanwhile; a lost tail is sent again; no reader sees a wrong word",
            ),
            Row(
                24,
                "Redis is slow",
                "the first word and every other come to local readers as without Redis",
            ),
            Row(
                25,
                "Redis refuses: read-only, or the password changed",
                "as row 18, and a few attempts a second of each worker, however many readers come",
            ),
        ),
    ),
    (
        "The record",
        (
            Row(
                26,
                "the record cannot be written as a turn starts",
                "`503` within 2 s with `Retry-After`; the model is not asked",
            ),
            Row(
                27,
                "the record is lost in mid-answer",
                "the answer streams on and ends with `stored: false`; it is stored later",
            ),
            Row(
                28,
                "MongoDB is stopped in its tracks",
                "as rows 26 and 27; a breaker leaves it alone, and finds it again",
            ),
            Row(
                29,
                "a write is made and its answer lost",
                "no message twice, whoever repeats what",
            ),
            Row(
                30, "many write the same key at once", "one wins, the others get its turn or `409`"
            ),
            Row(
                31,
                "a message, or a body, beyond all bounds",
                "`413` or `422` at our own bound, before anything is stored",
            ),
        ),
    ),
    (
        "The model",
        (
            Row(
                32,
                "the answer is cut off",
                "it is gone on with, or fails with its partial text kept",
            ),
            Row(
                33,
                "the answer ends without a finish reason",
                "as row 32: it is not taken for whole",
            ),
            Row(
                34, "nothing comes at all", "the first-token deadline; another try or another model"
            ),
            Row(35, "the answer stops coming", "the deadline between tokens; heartbeats meanwhile"),
            Row(36, "a byte now and then, for ever", "the deadline of the whole answer"),
            Row(
                37,
                "what comes is no JSON, no UTF-8, no chunk",
                "one typed error, none of its words",
            ),
            Row(38, "a chunk or a line without end", "refused at a bound"),
            Row(
                39,
                "429, with any `Retry-After`",
                "waited for up to a bound, else the turn fails with `retryable` at once",
            ),
            Row(
                40,
                "5xx, HTML, an error with status 200",
                "tried again before the first token only, within the retry budget; a breaker opens",
            ),
            Row(
                41,
                "no name, no connection, no trust, a reset",
                "as row 40, and whom nobody vouches for is sent nothing; a reset in mid-answer as"
                " row 32",
            ),
            Row(42, "data after the end, several choices, tool calls", "read past"),
            Row(43, "speech fails or is slow", "the text goes on; the unit says so"),
        ),
    ),
    (
        "The machine",
        (
            Row(
                44,
                "the disk is full",
                "turns are refused with `503` or end with `stored: false`, and are stored once"
                " there is room; a log that cannot be written holds nothing up",
            ),
            Row(
                45,
                "the clock jumps an hour, either way",
                "turns that run notice nothing; deadlines hold, and nobody takes or ends a turn"
                " that lives",
            ),
            Row(46, "the kernel kills a worker for its memory", "as row 1"),
            Row(
                47,
                "no file descriptor is left",
                "what runs goes on; callers are turned away at once, without spinning, and let in"
                " again",
            ),
            Row(
                48,
                "the event loop is blocked",
                "the stack that blocks it is logged, once; streams go on afterwards",
            ),
            Row(
                49,
                "the store of the flags is gone or damaged",
                "the last good rules, or the defaults; nobody changes arms for it",
            ),
            Row(
                50,
                "settings are missing, invalid or weak",
                "one clear line for each, exit status 78",
            ),
            Row(
                51,
                "nginx is reloaded under streams",
                "old streams go on, new ones begin",
            ),
            Row(
                52,
                "nginx cannot reach any worker for 3 s",
                "`503` with `Retry-After`; an event stream is `200` and asks to come back",
            ),
            Row(53, "all of it at random", "what the history checker demands"),
        ),
    ),
)
