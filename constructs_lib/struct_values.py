"""The CDK's structs as plain values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

_known: dict[type, tuple[str, ...]] = {}
_values: dict[int, tuple[object, dict[str, object]]] = {}


def struct_values(struct: object) -> Mapping[str, object]:
    """What a struct of the bindings holds, by Terraform's names, which are those of its Python class.

    A struct never changes, so it is asked once; it is kept, lest another gets its identity.

    Args:
        struct: For example an `SSHProvisionerConnection`; what is None in it is left out.
    """
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
