"""Commands that look at a rollout: how it stands, and whether its decisions still hold."""

from datetime import UTC, datetime

import msgspec

from flags.cli import shown
from flags.cli.invocation import REFUSED, Invocation, RefusedError
from flags.cli.output import Answer, table
from flags.cli.place import open_rollout_store
from flags.cli.rollouts.page import Look, page
from flags.codec import rollout_json
from flags.errors import FlagNotFoundError
from flags.model import AuditEntry
from flags.rollout.decided import Replayed, is_decision, replayed
from flags.rollout.decision.report import decode_report
from flags.rollout.operations import cooldown_left_s

_PAGE = 500


async def status(invocation: Invocation) -> Answer:
    """Show how a rollout stands."""
    look = await looked(invocation)
    document: dict[str, object] = {
        "key": look.flag.key,
        "percentage": shown.number(look.flag.rollout.percentage),
        "version": look.flag.version,
        "rollout": None if look.rollout is None else rollout_json(look.rollout),
        "cooldown_left_s": look.cooldown_left_s,
        "report": msgspec.to_builtins(look.report),
        "report_age_s": look.report_age_s,
    }
    return Answer(document, page(look))


async def looked(invocation: Invocation) -> Look:
    """Return how a flag and its rollout stand now.

    Raises:
        FlagNotFoundError: there is no such flag.
        FlagStoreError: it cannot be read.
    """
    key: str = invocation.arguments.key
    ruleset = await invocation.read()
    flag, rollout = ruleset.flags.get(key), ruleset.rollouts.get(key)
    if flag is None:
        raise FlagNotFoundError(key)
    now = datetime.now(UTC)
    if rollout is None:
        return Look(flag, None, now)
    # Opened at each look: a file is read once by whoever opens it.
    rollouts = open_rollout_store(invocation.place)
    try:
        sight = await rollouts.see(key, flag.epoch)
    finally:
        await rollouts.close()
    report = decode_report(sight.report)
    return Look(
        flag,
        rollout,
        now,
        cooldown_left_s(rollout, now),
        report,
        None if report is None else max(sight.now - report.at, 0.0),
    )


async def replay(invocation: Invocation) -> Answer:
    """Decide once more by the inputs of each decision, and say whether it is the same."""
    key: str = invocation.arguments.key
    entries = await _entries(invocation, f"rollout:{key}")
    if not entries:
        raise RefusedError(
            "rollout_not_found",
            f"No change of a rollout of {key!r} is known in {invocation.place.shown}.",
        )
    again = [replayed(entry) for entry in reversed(entries) if is_decision(entry)]
    other = [each for each in again if not each.is_same]
    rows = [_row(each) for each in again]
    text = table(("VERSION", "AT", "DECIDED", "NOW", ""), rows)
    people = len(entries) - len(again)
    text += f"{len(again)} decisions, {len(other)} of them other now; {people} changes by people.\n"
    document = {"key": key, "same": not other, "decisions": [_json(each) for each in again]}
    if not other:
        return Answer(document, text)
    return Answer(document, text, REFUSED, f"{len(other)} decisions of {key} are other now.")


async def _entries(invocation: Invocation, subject: str) -> list[AuditEntry]:
    """Return a subject's changes, newest first."""
    limit: int = invocation.arguments.limit
    entries: list[AuditEntry] = []
    before: int | None = None
    while len(entries) < limit:
        count = min(_PAGE, limit - len(entries))
        found = await invocation.store.history(subject, limit=count, before=before)
        entries += found
        if len(found) < count:
            break
        before = found[-1].version
    return entries


def _row(again: Replayed) -> tuple[str, ...]:
    entry = again.entry
    same = "same" if again.is_same else f"OTHER {again.fault}".rstrip()
    return str(entry.version), shown.instant(entry.at), entry.action, _now(again) or "-", same


def _now(again: Replayed) -> str | None:
    return None if again.transition is None else again.transition.action


def _json(again: Replayed) -> dict[str, object]:
    return {
        "version": again.entry.version,
        "at": again.entry.at,
        "decided": again.entry.action,
        "now": _now(again),
        "same": again.is_same,
        **({"fault": again.fault} if again.fault else {}),
    }
