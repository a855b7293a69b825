"""Commands that change nothing."""

import time
from dataclasses import asdict

from flags.cli import shown
from flags.cli.invocation import Invocation, RefusedError
from flags.cli.output import Answer, cut, pairs, table
from flags.client import Fallbacks, FlagClient
from flags.codec import audit_json, dump, flag_json, segment_json
from flags.explain import Explanation, explain
from flags.model import Reason, Ruleset

_WHY_CHARS = 60


async def list_flags(invocation: Invocation) -> Answer:
    """Show all flags."""
    ruleset = await invocation.read()
    flags = [flag_json(flag) for _, flag in sorted(ruleset.flags.items())]
    text = shown.flags_table(ruleset) if flags else _none("flags", invocation)
    return Answer({"version": ruleset.version, "flags": flags}, text)


async def get_flag(invocation: Invocation) -> Answer:
    """Show one flag."""
    flag = await invocation.flag()
    return Answer(flag_json(flag), shown.flag_page(flag))


async def list_segments(invocation: Invocation) -> Answer:
    """Show all segments."""
    ruleset = await invocation.read()
    segments = [segment_json(segment) for _, segment in sorted(ruleset.segments.items())]
    text = shown.segments_table(ruleset) if segments else _none("segments", invocation)
    return Answer({"version": ruleset.version, "segments": segments}, text)


async def get_segment(invocation: Invocation) -> Answer:
    """Show one segment."""
    name: str = invocation.arguments.key
    segment = (await invocation.read()).segments.get(name)
    if segment is None:
        raise RefusedError(
            "segment_not_found",
            f"There is no segment {name!r} in {invocation.place.shown}; `segments` shows those"
            " that are.",
        )
    return Answer(segment_json(segment), shown.segment_page(segment))


async def show_history(invocation: Invocation) -> Answer:
    """Show who changed a flag, segment or rollout; also of what has been deleted since."""
    arguments = invocation.arguments
    kind = "segment" if arguments.segment else "rollout" if arguments.rollout else "flag"
    subject = f"{kind}:{arguments.key}"
    entries = await invocation.store.history(subject, limit=arguments.limit)
    if not entries:
        raise RefusedError(
            f"{kind}_not_found",
            f"No change of the {kind} {arguments.key!r} is known in {invocation.place.shown}.",
        )
    rows = [
        (
            str(entry.version),
            shown.instant(entry.at),
            entry.author.who,
            entry.action,
            cut(entry.author.why, _WHY_CHARS),
            shown.change(entry),
        )
        for entry in entries
    ]
    text = table(("VERSION", "AT", "WHO", "ACTION", "WHY", "WHAT"), rows)
    return Answer({"subject": subject, "changes": [audit_json(entry) for entry in entries]}, text)


async def explain_decision(invocation: Invocation) -> Answer:
    """Show what a unit gets of a flag, and how that came about; asks for local kills as well."""
    arguments = invocation.arguments
    client = FlagClient(invocation.store, Fallbacks(Ruleset()), kills=invocation.settings.kills())
    await client.follow_store()
    attributes = dict(arguments.attribute)
    explanation = explain(
        client, arguments.key, arguments.unit, attributes=attributes, now=time.time
    )
    return Answer(_explanation_json(explanation), _explanation_page(explanation))


def _none(what: str, invocation: Invocation) -> str:
    return f"There are no {what} in {invocation.place.shown} yet.\n"


def _explanation_json(explanation: Explanation) -> dict[str, object]:
    plain = asdict(explanation)
    decision: dict[str, object] = plain.pop("decision")
    if decision["error"] is None:
        del decision["error"]
    return {**decision, **plain, "percentage": shown.number(explanation.percentage)}


def _explanation_page(explanation: Explanation) -> str:
    decision = explanation.decision
    reason = decision.reason.value
    if decision.reason is Reason.ERROR:
        reason = f"{reason} ({decision.error})"
    head = pairs(
        [
            ("flag", decision.key),
            ("unit", explanation.unit),
            ("gets", f"{decision.variant} = {dump(decision.value)}"),
            ("reason", reason),
            ("bucket", f"{explanation.bucket} of 0 to 99999, by the salt {explanation.salt!r}"),
            ("rollout", shown.per_cent(explanation.percentage)),
            ("is in from", shown.per_cent(explanation.enters_at)),
            ("version", f"{decision.version} (epoch {decision.epoch})"),
        ]
    )
    steps = table(
        ("", "STEP", "FOUND"),
        [(">" if step.decided else "", step.step, step.detail) for step in explanation.steps],
    )
    return f"{head}\n{steps}"
