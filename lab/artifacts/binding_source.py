"""Reads the generated TypeScript of CDKTF provider bindings: which attributes a type has and of what type they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_CLASS = re.compile(r"^export (?:class|interface) (\w+)(?: extends cdktf\.(\w+))? \{$(.*?)^\}$", re.M | re.S)
_HCL_FUNCTION = re.compile(r"^export function (\w+)ToHclTerraform\(.*?\{$(.*?)^\}$", re.M | re.S)
_HCL_ATTRIBUTE = re.compile(r'^\s+(\w+): \{\n\s+value: (.*),\n\s+isBlock: \w+,\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)"', re.M)
_MEMBER = re.compile(
    r"^  // (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n(.*?)(?=^  // \w+ - computed|\Z)",
    re.M | re.S,
)
_NESTED = re.compile(r'private _\w+ = new (\w+?)(OutputReference|List|Map)\(this, "\w+"(?:, (true|false))?\)')
_INTERFACE_FIELD = re.compile(r"\#(\w+) \w+\#\w+\}\n\s+\*/\n\s+readonly (\w+)(\??): (.*);$", re.M)
_GETTER = re.compile(r"return (?:cdktf\.Token\.asNumberList\()?(cdktf\.Fn\.tolist\()?this\.get(\w+)Attribute\('")
_COMPUTED_MAP = re.compile(r"new cdktf\.(String|Boolean|Number|Any)(Map)\(")
_PRIVATE_STRUCT = re.compile(r"private _\w+\?: (\w+?)(\[\])?(?: \| cdktf\.IResolvable)?;")
_ROOTS = {"TerraformResource", "TerraformDataSource", "TerraformProvider"}

_SCALARS = {"string": "string", "boolean": "bool", "number": "number", "any": "dynamic"}
_STORAGE = re.compile(r"(string|boolean|number|any)(List|Map)?")


class BindingError(Exception):
    """Bindings are missing or hold something the reader does not know; the message says which and where."""


@dataclass(frozen=True)
class Member:
    """One attribute or nested object of a type.

    Attributes:
        name: Terraform's name, snake case.
        type: Terraform's type as JSON, e.g. "string" or ["map", "string"]; None for nested objects.
        struct: name of the nested object's class; None for plain attributes.
        nesting: "list", "set", "map" or "single"; meaningful for nested objects.
        single_item: True when the list may hold one element only.
    """

    name: str
    computed: bool
    optional: bool
    required: bool
    type: Any = None
    struct: str | None = None
    nesting: str = "list"
    single_item: bool = False


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
        self._hcl: dict[str, dict[str, tuple[str, str, str]]] = {}
        for name, body in _HCL_FUNCTION.findall(typescript):
            self._hcl[name] = {attribute: rest for attribute, *rest in _HCL_ATTRIBUTE.findall(body)}  # type: ignore[misc]

    def provider_version(self) -> str:
        """The plugin version the bindings say they bind."""
        found = re.search(r"providerVersion: '([^']+)'", self._text)
        if found is None:
            raise BindingError("the bindings name no providerVersion")
        return found.group(1)

    def root_class(self) -> str:
        """The class of the resource, data source or provider itself."""
        if self._root is None:
            raise BindingError(f"no resource, data source or provider among {sorted(self._bodies)[:5]}")
        return self._root

    def members(self, struct: str) -> list[Member]:
        """The attributes and nested objects of a class, in the order of the bindings; meta-arguments are left out.

        Args:
            struct: a class name from root_class() or from a member's struct.
        """
        if struct == self._root:
            body, hcl = self._bodies[struct], self._hcl_of_root(struct)
        elif f"{struct}OutputReference" in self._bodies:
            body, hcl = self._bodies[f"{struct}OutputReference"], self._hcl_of(struct)
        else:
            return self._interface_members(struct)
        members = [self._member(struct, hcl, *found) for found in _MEMBER.findall(body)]
        return [member for member in members if not (struct == self._root and member.name == "alias")]

    def _hcl_of(self, struct: str) -> dict[str, tuple[str, str, str]]:
        return self._hcl.get(struct[0].lower() + struct[1:], {})

    def _hcl_of_root(self, struct: str) -> dict[str, tuple[str, str, str]]:
        body = self._bodies[struct]
        return {name: (value, kind, storage) for name, value, kind, storage in _HCL_ATTRIBUTE.findall(body)}

    def _member(
        self, struct: str, hcl: dict[str, tuple[str, str, str]], name: str, computed: str, optional: str, required: str, body: str
    ) -> Member:
        flags = {"computed": computed == "true", "optional": optional == "true", "required": required == "true"}
        nested = _NESTED.search(body)
        if nested is not None:
            inner, form, wraps_set = nested.groups()
            if form == "OutputReference":
                single = re.search(r"super\(terraformResource, terraformAttribute, false, 0\)", self._bodies[inner + form])
                return Member(name, **flags, struct=inner, nesting="list" if single else "single", single_item=bool(single))
            nesting = "map" if form == "Map" else "set" if wraps_set == "true" else "list"
            return Member(name, **flags, struct=inner, nesting=nesting)
        if name in hcl:
            _, kind, storage = hcl[name]
            plain = _STORAGE.fullmatch(storage)
            if plain is not None:
                return Member(name, **flags, type=_type_of(plain.group(1), plain.group(2), is_set=kind == "set"))
            private = _PRIVATE_STRUCT.search(body)
            if private is not None:
                nesting = "single" if kind == "struct" else kind
                return Member(name, **flags, struct=private.group(1), nesting=nesting)
        computed_map = _COMPUTED_MAP.search(body)
        if computed_map is not None:
            return Member(name, **flags, type=_type_of(computed_map.group(1).lower(), computed_map.group(2), is_set=False))
        getter = _GETTER.search(body)
        if getter is None:
            raise BindingError(f"{struct}.{name}: no type found in the bindings")
        from_set, called = getter.groups()
        scalar = re.fullmatch(r"(String|Boolean|Number|Any)?(List|Map)?", called)
        if scalar is None:
            raise BindingError(f"{struct}.{name}: unknown getter get{called}Attribute")
        return Member(name, **flags, type=_type_of((scalar.group(1) or "string").lower(), scalar.group(2), is_set=bool(from_set)))

    def _interface_members(self, struct: str) -> list[Member]:
        """Members of a provider's nested object: bindings give those an interface only, no class."""
        if struct not in self._bodies:
            raise BindingError(f"{struct}: neither a class nor an interface in the bindings")
        hcl = self._hcl_of(struct)
        members = []
        for name, _, question, declared in _INTERFACE_FIELD.findall(self._bodies[struct]):
            flags = {"computed": False, "optional": bool(question), "required": not question}
            _, kind, storage = hcl[name]
            plain = _STORAGE.fullmatch(storage)
            if plain is not None:
                members.append(Member(name, **flags, type=_type_of(plain.group(1), plain.group(2), is_set=kind == "set")))
            else:
                inner = declared.split(" ")[0].removesuffix("[]")
                members.append(Member(name, **flags, struct=inner, nesting="single" if kind == "struct" else kind))
        return members


def _type_of(scalar: str, container: str | None, *, is_set: bool) -> Any:
    element = _SCALARS[scalar]
    if container is None:
        return element
    if scalar == "any":
        return "dynamic"
    return ["set" if is_set else container.lower(), element]
