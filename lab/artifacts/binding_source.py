"""Reads the generated TypeScript of CDKTF provider bindings: which attributes a type has and of what type they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_CLASS = re.compile(r"^export (?:class|interface) (\w+)(?: extends cdktf\.(\w+))? \{$(.*?)^\}$", re.M | re.S)
_HCL_FUNCTION = re.compile(r"^export function (\w+)ToHclTerraform\(.*?\{$(.*?)^\}$", re.M | re.S)
_HCL_ATTRIBUTE = re.compile(
    r'^\s+(\w+): \{\n\s+value: .*,\n\s+isBlock: \w+,\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)"', re.M
)
_MEMBER = re.compile(
    r"^  // (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n"
    r"(.*?)(?=^  // \w+ - computed|\Z)",
    re.M | re.S,
)
_NESTED = re.compile(r'private _\w+ = new (\w+?)(OutputReference|List|Map)\(this, "\w+"(?:, (true|false))?\)')
_ONE_ITEM = re.compile(r"super\(terraformResource, terraformAttribute, false, 0\)")
_INTERFACE_FIELD = re.compile(r"\#(\w+) \w+\#\w+\}\n\s+\*/\n\s+readonly \w+(\??): (.*);$", re.M)
_GETTER = re.compile(
    r"return (?:cdktf\.Token\.asNumberList\()?(cdktf\.Fn\.tolist\()?"
    r"this\.get(String|Boolean|Number|Any)?(List|Map)?Attribute\('"
)
_COMPUTED_MAP = re.compile(r"new cdktf\.(String|Boolean|Number|Any)Map\(")
_PRIVATE_STRUCT = re.compile(r"private _\w+\?: (\w+?)(?:\[\])?(?: \| cdktf\.IResolvable)?;")
_STORAGE = re.compile(r"(string|boolean|number|any)(List|Map)?")
_ROOTS = {"TerraformResource", "TerraformDataSource", "TerraformProvider"}
_SCALARS = {"string": "string", "boolean": "bool", "number": "number", "any": "dynamic"}


class BindingError(Exception):
    """Bindings are missing or hold something the reader does not know; the message says which and where."""


@dataclass(frozen=True)
class Shape:
    """What an attribute holds: a plain value, or nested objects.

    Attributes:
        type: Terraform's type as JSON, e.g. "string" or ["map", "string"]; None for nested objects.
        struct: name of the nested object's class; None for plain values.
        nesting: "list", "set", "map" or "single"; meaningful for nested objects.
        one_item: True when the list may hold one element only.
    """

    type: Any = None
    struct: str | None = None
    nesting: str = "list"
    one_item: bool = False


@dataclass(frozen=True)
class Member:
    """One attribute or nested object of a type, under Terraform's name for it."""

    name: str
    computed: bool
    optional: bool
    required: bool
    shape: Shape


@dataclass(frozen=True)
class _Hcl:
    """What the bindings' writer of HCL says about an attribute: "list", "set", ... and the class of its values."""

    kind: str
    storage: str

    def plain(self) -> Shape | None:
        found = _STORAGE.fullmatch(self.storage)
        return found and _plain(found[1], found[2], is_set=self.kind == "set")


class BindingSource:
    """The classes in the TypeScript of one resource, data source or provider.

    Args:
        typescript: the text of all its source files, in any order.
    """

    def __init__(self, typescript: str) -> None:
        self._text = typescript
        self._bodies: dict[str, str] = {}
        self._root: str | None = None
        for name, base, body in _CLASS.findall(typescript):
            self._bodies[name] = body
            if base in _ROOTS:
                self._root = name
        self._hcl = {name: _hcl_attributes(body) for name, body in _HCL_FUNCTION.findall(typescript)}

    def provider_version(self) -> str:
        """The plugin version the bindings say they bind."""
        found = re.search(r"providerVersion: '([^']+)'", self._text)
        if found is None:
            raise BindingError("the bindings name no providerVersion")
        return found[1]

    def root_class(self) -> str:
        """The class of the resource, data source or provider itself."""
        if self._root is None:
            raise BindingError(f"no resource, data source or provider among {sorted(self._bodies)[:5]}")
        return self._root

    def members(self, struct: str) -> list[Member]:
        """The attributes and nested objects of a class, in the order of the bindings.

        Args:
            struct: a class name from root_class() or from a member's shape.

        Raises:
            BindingError: when the class is not there or an attribute's type is written in an unknown way.
        """
        if struct == self._root:
            # `alias` is Terraform's own, no attribute of the plugin.
            found = self._class_members(struct, self._bodies[struct], _hcl_attributes(self._bodies[struct]))
            return [member for member in found if member.name != "alias"]
        hcl = self._hcl.get(struct[0].lower() + struct[1:], {})
        reference = self._bodies.get(f"{struct}OutputReference")
        if reference is not None:
            return self._class_members(struct, reference, hcl)
        if struct not in self._bodies:
            raise BindingError(f"{struct}: neither a class nor an interface in the bindings")
        return _interface_members(self._bodies[struct], hcl)

    def _class_members(self, struct: str, body: str, hcl: dict[str, _Hcl]) -> list[Member]:
        return [
            Member(
                name, computed == "true", optional == "true", required == "true", self._shape(name, text, hcl, struct)
            )
            for name, computed, optional, required, text in _MEMBER.findall(body)
        ]

    def _shape(self, name: str, text: str, hcl: dict[str, _Hcl], struct: str) -> Shape:
        nested = _NESTED.search(text)
        if nested is not None:
            return self._nested_shape(*nested.groups())
        if name in hcl:
            plain = hcl[name].plain()
            private = _PRIVATE_STRUCT.search(text)
            if plain is not None:
                return plain
            if private is not None:
                return Shape(struct=private[1], nesting=_nesting(hcl[name]))
        computed_map = _COMPUTED_MAP.search(text)
        if computed_map is not None:
            return _plain(computed_map[1], "Map")
        getter = _GETTER.search(text)
        if getter is None:
            raise BindingError(f"{struct}.{name}: its type is written in a way this reader does not know")
        return _plain(getter[2] or "String", getter[3], is_set=getter[1] is not None)

    def _nested_shape(self, inner: str, form: str, wraps_set: str | None) -> Shape:
        if form == "OutputReference":
            one_item = _ONE_ITEM.search(self._bodies[inner + form]) is not None
            return Shape(struct=inner, nesting="list" if one_item else "single", one_item=one_item)
        return Shape(struct=inner, nesting="map" if form == "Map" else "set" if wraps_set == "true" else "list")


def _hcl_attributes(body: str) -> dict[str, _Hcl]:
    return {name: _Hcl(kind, storage) for name, kind, storage in _HCL_ATTRIBUTE.findall(body)}


def _interface_members(body: str, hcl: dict[str, _Hcl]) -> list[Member]:
    """Members of a provider's nested object: bindings give those an interface only, no class."""
    members = []
    for name, question, declared in _INTERFACE_FIELD.findall(body):
        inner = declared.split(" ")[0].removesuffix("[]")
        shape = hcl[name].plain() or Shape(struct=inner, nesting=_nesting(hcl[name]))
        members.append(Member(name, computed=False, optional=bool(question), required=not question, shape=shape))
    return members


def _nesting(hcl: _Hcl) -> str:
    return "single" if hcl.kind == "struct" else hcl.kind


def _plain(scalar: str, container: str | None, *, is_set: bool = False) -> Shape:
    element = _SCALARS[scalar.lower()]
    if container is None or element == "dynamic":
        return Shape(type=element)
    return Shape(type=["set" if is_set else container.lower(), element])
