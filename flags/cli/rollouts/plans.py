"""The plan that a rollout is started with: options first, then a file, then the settings."""

import json
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from flags.cli.invocation import RefusedError
from flags.cli.place import ConfigurationError
from flags.errors import FlagInvalidError
from flags.rollout.model import Plan
from flags.rollout.validation import read_plan

_OPTIONS = ("stages", "approval_at", "bake_s", "final_bake_s", "cooldown_s")
_LISTS = frozenset({"stages", "approval_at"})
_NUMBERS = frozenset({"bake_s", "final_bake_s", "cooldown_s", "beta"})
_CRITERIA = ("promote", "roll_back")
_THRESHOLDS = {
    f"{whose}_{threshold}": (whose, threshold)
    for whose in _CRITERIA
    for threshold in ("error_rate", "success_rate", "ttft_s")
}
_PREFIX = "rollout_"
_PLACE_IN_LIST = re.compile(r"\.[0-9]+$")


def plan_of(arguments: Namespace, settings: Mapping[str, str]) -> Plan:
    """Return the plan that the command line asks for.

    Args:
        arguments: The options, and perhaps a file.
        settings: `ROLLOUT_…` of the service, by lower-case names; they mean what they mean to it.

    Raises:
        ConfigurationError: a setting cannot be used.
        FlagInvalidError: the file or an option cannot; with the place of the fault.
        RefusedError: the file cannot be read.
    """
    plan = _of_settings(settings)
    if arguments.plan is not None:
        plan = read_plan(_document(arguments.plan), plan)
    given = {name: getattr(arguments, name) for name in _OPTIONS}
    return read_plan({name: value for name, value in given.items() if value is not None}, plan)


def _of_settings(settings: Mapping[str, str]) -> Plan:
    document: dict[str, object] = {}
    criteria: dict[str, dict[str, float]] = {name: {} for name in _CRITERIA}
    for setting, value in settings.items():
        name = setting.removeprefix(_PREFIX)
        try:
            if name in _LISTS:
                document[name] = [float(each) for each in value.split(",") if each.strip()]
            elif name in _NUMBERS:
                document[name] = float(value)
            elif name in _THRESHOLDS:
                whose, threshold = _THRESHOLDS[name]
                criteria[whose][threshold] = float(value)
        except ValueError:
            said = f"{setting.upper()} is not a number, or not a list of them"
            raise ConfigurationError(said) from None
    try:
        return read_plan({**document, **criteria}, Plan())
    except FlagInvalidError as error:
        name = _PLACE_IN_LIST.sub("", f"{_PREFIX}{error.path}").replace(".", "_").upper()
        raise ConfigurationError(f"{name} {error.reason}") from None


def _document(path: Path) -> Mapping[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RefusedError("file_unusable", f"{path}: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise RefusedError("flag_invalid", f"{path} is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise RefusedError("flag_invalid", f"{path} is not a JSON object.")
    return document
