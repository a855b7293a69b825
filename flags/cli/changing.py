"""Commands that change one flag."""

from flags.cli import shown
from flags.cli.invocation import Invocation
from flags.cli.output import Answer
from flags.codec import flag_json
from flags.model import Flag, InFlight


async def set_percentage(invocation: Invocation) -> Answer:
    """Give a flag's rollout another percentage."""
    arguments = invocation.arguments
    before = await invocation.flag()
    flag = await invocation.editor.set_percentage(
        before.key, arguments.percentage, invocation.request(if_version=arguments.if_version)
    )
    now = shown.per_cent(flag.rollout.percentage)
    if flag.version == before.version:
        return _answer(flag, f"is at {now} already")
    return _answer(flag, f"is at {now} now, was at {shown.per_cent(before.rollout.percentage)}")


async def kill(invocation: Invocation) -> Answer:
    """Give everybody the off variant."""
    arguments = invocation.arguments
    before = await invocation.flag()
    flag = await invocation.editor.kill(
        before.key,
        invocation.request(if_version=arguments.if_version),
        in_flight=InFlight.ABORT if arguments.abort else InFlight.DRAIN,
    )
    if flag.version == before.version:
        return _answer(flag, "is killed already")
    turns = "are stopped" if arguments.abort else "end as they began"
    return _answer(
        flag,
        f"is killed: everybody gets {flag.off_variant!r}; turns in flight {turns}; its rollout"
        f" is 0 %, was {shown.per_cent(before.rollout.percentage)}",
    )


async def end_kill(invocation: Invocation) -> Answer:
    """Evaluate a killed flag again."""
    before = await invocation.flag()
    flag = await invocation.editor.end_kill(
        before.key, invocation.request(if_version=invocation.arguments.if_version)
    )
    if not before.kill:
        return _answer(flag, "is not killed")
    now = shown.per_cent(flag.rollout.percentage)
    return _answer(flag, f"is evaluated again, at {now}; set or ramp raises it")


async def delete(invocation: Invocation) -> Answer:
    """Delete a flag."""
    before = await invocation.flag()
    await invocation.editor.delete_flag(
        before.key, invocation.request(if_version=invocation.arguments.if_version)
    )
    return Answer({"deleted": before.key}, f"{before.key} is deleted; its history stays.\n")


def _answer(flag: Flag, said: str) -> Answer:
    text = f"{flag.key} {said} (version {flag.version}).\n"
    if flag.kill and "killed" not in said:
        text += "It is killed: nobody gets it until end-kill.\n"
    elif not flag.enabled:
        text += "It is disabled: nobody gets it until its definition says enabled.\n"
    return Answer(flag_json(flag), text)
