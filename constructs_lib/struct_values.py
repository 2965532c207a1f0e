"""The CDK's structs as plain values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_known: dict[type, tuple[str, ...]] = {}
_values: dict[int, tuple[object, dict[str, object]]] = {}


class _Later:
    """A struct that is made when somebody needs it as one."""

    __slots__ = ("class_", "given")

    def __init__(self, class_: Callable[..., object], given: Mapping[str, object]) -> None:
        self.class_ = class_
        self.given = given


def later(class_: Callable[P, T], *_: P.args, **given: P.kwargs) -> T:
    """A struct of the bindings for a `HeldElement`, which needs its values alone.

    The struct's constructor would check them against type hints that it reads anew each time, which for a thousand
    nodes takes seconds. `made` gives the struct itself; a test makes each one, so that no name goes unchecked.

    Args:
        class_: The struct's class.
        given: Its arguments.
    """
    return cast(T, _Later(class_, given))


def made(value: Any) -> Any:
    """`value` with the structs that `later` put off."""
    if isinstance(value, _Later):
        return value.class_(**{name: made(item) for name, item in value.given.items()})
    return [made(item) for item in value] if isinstance(value, list | tuple) else value


def struct_values(struct: object) -> Mapping[str, object]:
    """What a struct of the bindings holds, by Terraform's names, which are those of its Python class.

    A struct never changes, so it is asked once; it is kept, lest another gets its identity.

    Args:
        struct: For example an `SSHProvisionerConnection`; what is None in it is left out.
    """
    if isinstance(struct, _Later):
        return {name: plain_value(value) for name, value in struct.given.items() if value is not None}
    known = _values.get(id(struct))
    if known is None:
        given = {name: getattr(struct, name) for name in _names(type(struct))}
        known = struct, {name: plain_value(value) for name, value in given.items() if value is not None}
        _values[id(struct)] = known
    return known[1]


def plain_value(value: object) -> object:
    """`value` with the structs in it as mappings."""
    if value is None or isinstance(value, str | int | float | Mapping):
        return value
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return struct_values(value)


def _names(class_: type) -> tuple[str, ...]:
    if class_ not in _known:
        _known[class_] = tuple(inspect.signature(class_).parameters)
    return _known[class_]
