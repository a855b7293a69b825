"""The arguments of `rollout`."""

from pathlib import Path

from flags.cli import values
from flags.cli.parsers import Commands, add, add_change

_HELP = "lead a flag's percentage upwards on evidence"
_DURATIONS = (
    ("--bake", "bake_s", "what a stage lasts at least, as in 30s, 10m or 1h"),
    ("--final-bake", "final_bake_s", "what the last stage lasts at least"),
    ("--cooldown", "cooldown_s", "after a rollback nothing is resumed so long"),
)


def add_rollout(commands: Commands) -> None:
    """Add `rollout` with what it can do."""
    rollout = add(commands, "rollout", _HELP)
    actions = rollout.add_subparsers(dest="action", metavar="ACTION", required=True).add_parser
    _add_start(actions)
    add_change(actions, "pause", "stop deciding; the percentage stays")
    resume = add_change(actions, "resume", "go on after a pause, or after a rollback's cooldown")
    resume.add_argument(
        "--stage", metavar="PERCENTAGE", type=values.percentage, help="a lower stage to go on at"
    )
    add_change(actions, "approve", "let a rollout pass the end of its stage")
    add(actions, "status", "show how a rollout stands, and what it still needs", key="KEY")
    add(actions, "watch", "show it live until Ctrl-C", key="KEY")
    replay = add(actions, "replay", "decide once more by the inputs of each decision", key="KEY")
    replay.add_argument(
        "--limit", metavar="N", type=values.count, default=10_000, help="changes looked at (10000)"
    )


def _add_start(actions: Commands) -> None:
    start = add_change(actions, "start", "begin a rollout")
    start.add_argument(
        "--plan", metavar="FILE", type=Path, help="a plan in JSON; other options go before it"
    )
    for option, names in (("--stages", "stages"), ("--approval-at", "approval_at")):
        start.add_argument(
            option, metavar="1,5,10", dest=names, type=values.steps, help=f"the plan's {names}"
        )
    for option, name, help_ in _DURATIONS:
        start.add_argument(
            option, metavar="DURATION", dest=name, type=values.duration_s, help=help_
        )
