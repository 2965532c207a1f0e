"""K3s's own settings as a fleet file may name them."""

from __future__ import annotations

import re

from constructs_lib.k3s_config import ConfigValue, refuse_own_keys
from stacks.fleet.problems import RuleError

_FLAG = re.compile(r"[a-z][a-z0-9-]*\+?")
_REGISTRY = re.compile(r"\*|[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


def config_key(value: str) -> str:
    """A key of K3s's `config.yaml` that the fleet file may set.

    Raises:
        RuleError: It is no flag, set elsewhere, or a secret.
    """
    if not _FLAG.fullmatch(value):
        raise RuleError("is no flag of K3s", fix="write it as K3s's documentation does, without the dashes before it")
    try:
        refuse_own_keys([value], where="the fleet file")
    except ValueError as error:
        raise RuleError(str(error).removeprefix("the fleet file "), fix="remove it") from error
    return value


def config_value(value: object) -> ConfigValue:
    """A text, a number, a switch or a list of texts.

    Raises:
        RuleError: It is something else.
    """
    if isinstance(value, str | int | bool):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise RuleError("is neither a text, a number, a switch nor a list of texts")


def registry_name(value: str) -> str:
    """A registry as image names begin with it.

    Raises:
        RuleError: It is none.
    """
    if not _REGISTRY.fullmatch(value):
        raise RuleError("is no registry", fix="write the host as image names have it, without https://")
    return value
