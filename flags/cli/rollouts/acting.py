"""What a person does to a rollout."""

from flags.cli import shown
from flags.cli.invocation import Invocation
from flags.cli.output import Answer
from flags.cli.rollouts.plans import plan_of
from flags.codec import rollout_json
from flags.rollout.model import GuardedRollout
from flags.rollout.operations import RolloutOperator


async def start(invocation: Invocation) -> Answer:
    """Begin a rollout."""
    arguments = invocation.arguments
    plan = plan_of(arguments, invocation.settings.rollout)
    request = invocation.request(if_version=arguments.if_version)
    rollout = await _operator(invocation).start(arguments.key, plan, request)
    return await _answer(invocation, rollout, "has begun")


async def pause(invocation: Invocation) -> Answer:
    """Stop deciding."""
    arguments = invocation.arguments
    request = invocation.request(if_version=arguments.if_version)
    rollout = await _operator(invocation).pause(arguments.key, request)
    return await _answer(invocation, rollout, "is paused")


async def resume(invocation: Invocation) -> Answer:
    """Go on."""
    arguments = invocation.arguments
    request = invocation.request(if_version=arguments.if_version)
    rollout = await _operator(invocation).resume(arguments.key, request, arguments.stage)
    return await _answer(invocation, rollout, "goes on")


async def approve(invocation: Invocation) -> Answer:
    """Let it pass the end of its stage."""
    arguments = invocation.arguments
    request = invocation.request(if_version=arguments.if_version)
    rollout = await _operator(invocation).approve(arguments.key, request)
    return await _answer(invocation, rollout, "may pass its stage")


def _operator(invocation: Invocation) -> RolloutOperator:
    return RolloutOperator(invocation.editor)


async def _answer(invocation: Invocation, rollout: GuardedRollout, said: str) -> Answer:
    flag = await invocation.flag()
    percentage = flag.rollout.percentage
    text = (
        f"The rollout of {rollout.key} {said}, at {shown.per_cent(percentage)} (stage"
        f" {rollout.stage + 1} of {len(rollout.plan.stages)}, version {flag.version}).\n"
    )
    document = {
        "key": flag.key,
        "percentage": shown.number(percentage),
        "version": flag.version,
        "rollout": rollout_json(rollout),
    }
    return Answer(document, text)
