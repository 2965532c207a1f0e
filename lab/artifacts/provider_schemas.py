"""Schemas of the Terraform plugins the stand-ins answer for, read from the pinned CDKTF bindings of this interpreter.

A binding's JavaScript carries its TypeScript source in the source map; there every attribute says whether it is
computed, optional or required, and of what type. So a stand-in's schema cannot drift from what the stacks are typed
against. What bindings do not carry (sensitive, write-only, a few min_items) is listed in binding_gaps.py.
"""

from __future__ import annotations

import base64
import json
import re
import sysconfig
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.artifacts.binding_gaps import GAPS, Gap
from lab.artifacts.binding_source import BindingError, BindingSource, Member, Shape

Schema = dict[str, Any]


@dataclass(frozen=True)
class ProviderBinding:
    """One Terraform plugin and the Python package of its prebuilt bindings.

    Attributes:
        source: the plugin's address below registry.terraform.io, e.g. "hashicorp/helm".
        version: the plugin version that the bindings bind; checked against the bindings.
        package: the import name of the bindings.
        nested_attributes: True when the plugin describes nested objects as attributes (`set = [{...}]`) and not as
            blocks (`set { ... }`); bindings write both alike.
        resources, data_sources: the types to read, without the provider's prefix.
    """

    source: str
    version: str
    package: str
    nested_attributes: bool
    resources: tuple[str, ...]
    data_sources: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last part of the address, which prefixes the type names: "kubernetes"."""
        return self.source.rpartition("/")[2]


BINDINGS: tuple[ProviderBinding, ...] = (
    ProviderBinding(
        source="hashicorp/kubernetes",
        version="2.38.0",
        package="cdktf_cdktf_provider_kubernetes",
        nested_attributes=False,
        resources=(
            "annotations",
            "cluster_role_binding_v1",
            "cluster_role_v1",
            "config_map_v1",
            "cron_job_v1",
            "daemon_set_v1",
            "deployment_v1",
            "job_v1",
            "labels",
            "limit_range_v1",
            "namespace_v1",
            "network_policy_v1",
            "node_taint",
            "pod_v1",
            "resource_quota_v1",
            "role_binding_v1",
            "role_v1",
            "runtime_class_v1",
            "secret_v1",
            "service_account_v1",
            "service_v1",
        ),
        data_sources=("namespace_v1", "nodes", "pod_v1", "resource", "resources"),
    ),
    ProviderBinding(
        source="hashicorp/helm",
        version="3.1.1",
        package="cdktf_cdktf_provider_helm",
        nested_attributes=True,
        resources=("release",),
        data_sources=("template",),
    ),
    ProviderBinding(
        source="kreuzwerker/docker",
        version="3.6.2",
        package="cdktf_cdktf_provider_docker",
        nested_attributes=False,
        resources=("container", "image", "network", "registry_image", "tag", "volume"),
        data_sources=("image",),
    ),
)


def binding_archive(*, package: str, site_packages: Path | None = None) -> Path:
    """The archive with a binding's JavaScript.

    Args:
        package: import name of the bindings.
        site_packages: where packages are installed; default: the running interpreter's.

    Raises:
        BindingError: when the package is not installed there.
    """
    root = site_packages or Path(sysconfig.get_path("purelib"))
    archives = sorted((root / package / "_jsii").glob("*.tgz"))
    if len(archives) != 1:
        raise BindingError(
            f"{root / package / '_jsii'} holds {len(archives)} .tgz files, expected exactly 1; "
            "install the pinned bindings (Pipfile.lock) into this interpreter"
        )
    return archives[0]


def provider_schema(*, binding: ProviderBinding, site_packages: Path | None = None) -> Schema:
    """The schema of one plugin, in the form of one entry of `terraform providers schema -json`.

    Args:
        binding: the plugin and its bindings.
        site_packages: where packages are installed; default: the running interpreter's.

    Returns:
        keys `provider`, `resource_schemas`, `data_source_schemas`; each with `version` and `block`.

    Raises:
        BindingError: when a type is missing, the bindings bind another plugin version, or hold something unknown.
    """
    prefix = f"{binding.name}_"
    resources = {prefix + name: name.replace("_", "-") for name in binding.resources}
    data_sources = {prefix + name: f"data-{prefix}{name}".replace("_", "-") for name in binding.data_sources}
    folders = ["provider", *resources.values(), *data_sources.values()]
    with tarfile.open(binding_archive(package=binding.package, site_packages=site_packages)) as archive:
        sources = _read_folders(archive, folders)
    reader = _SchemaReader(binding)
    return {
        "provider": reader.read("provider", sources["provider"]),
        "resource_schemas": {name: reader.read(name, sources[folder]) for name, folder in resources.items()},
        "data_source_schemas": {
            name: reader.read(f"data.{name}", sources[folder]) for name, folder in data_sources.items()
        },
    }


def _read_folders(archive: tarfile.TarFile, folders: Iterable[str]) -> dict[str, str]:
    texts: dict[str, str] = dict.fromkeys(folders, "")
    for member in archive:
        parts = member.name.split("/")
        if len(parts) < 4 or parts[2] not in texts or not member.name.endswith(".js"):
            continue
        stream = archive.extractfile(member)
        if stream is not None:
            texts[parts[2]] += _typescript_of(member.name, stream.read().decode())
    missing = [folder for folder, text in texts.items() if not text]
    if missing:
        raise BindingError(f"{archive.name!r} has no lib/{missing[0]}; is the binding's version the pinned one?")
    return texts


def _typescript_of(name: str, javascript: str) -> str:
    found = re.search(r"sourceMappingURL=data:application/json;base64,(\S+)", javascript)
    if found is None:
        raise BindingError(f"{name} carries no inline source map, so its attributes cannot be read")
    contents: list[str] = json.loads(base64.b64decode(found.group(1)))["sourcesContent"]
    return "\n".join(contents)


class _SchemaReader:
    """Turns the classes of one type's bindings into its schema."""

    def __init__(self, binding: ProviderBinding) -> None:
        self._binding = binding
        self._gaps: dict[str, Gap] = GAPS[binding.name]

    def read(self, address: str, typescript: str) -> Schema:
        source = BindingSource(typescript)
        bound = source.provider_version()
        if bound != self._binding.version:
            raise BindingError(
                f"{self._binding.package} binds {self._binding.source} {bound}, expected {self._binding.version}; "
                "update BINDINGS and the stand-ins together with the pinned bindings"
            )
        block = self._block(source, source.root_class(), address)
        return {"version": self._gap(address).version, "block": block}

    def _gap(self, path: str) -> Gap:
        return self._gaps.get(path, Gap())

    def _block(self, source: BindingSource, struct: str, path: str) -> Schema:
        attributes: Schema = {}
        block_types: Schema = {}
        for member in source.members(struct):
            member_path, shape = f"{path}.{member.name}", member.shape
            flags = self._flags(member, member_path)
            if shape.struct is None:
                attributes[member.name] = {**flags, "type": shape.type}
            elif self._binding.nested_attributes:
                nested = self._block(source, shape.struct, member_path)["attributes"]
                attributes[member.name] = {
                    **flags,
                    "nested_type": {"nesting_mode": shape.nesting, "attributes": nested},
                }
            elif member.computed and not member.optional:
                # The plugin SDK makes a computed-only nested object an attribute: it can never be configured.
                attributes[member.name] = {**flags, "type": _object_type(source, shape)}
            else:
                block_types[member.name] = self._nested_block(source, member, shape.struct, member_path)
        block: Schema = {}
        if attributes or not block_types:
            block["attributes"] = attributes
        if block_types:
            block["block_types"] = block_types
        return block

    def _nested_block(self, source: BindingSource, member: Member, struct: str, path: str) -> Schema:
        nesting = self._gap(path).nesting or member.shape.nesting
        nested: Schema = {"nesting_mode": nesting, "block": self._block(source, struct, path)}
        if member.required and nesting != "single":
            nested["min_items"] = 1
        if member.shape.one_item:
            nested["max_items"] = 1
        return nested

    def _flags(self, member: Member, path: str) -> Schema:
        gap = self._gap(path)
        flags = {
            "computed": member.computed,
            "optional": member.optional,
            "required": member.required,
            "sensitive": gap.sensitive,
            "write_only": gap.write_only,
            "deprecated": gap.deprecated,
        }
        return {name: True for name, value in flags.items() if value}


def _object_type(source: BindingSource, shape: Shape) -> Any:
    if shape.struct is None:
        return shape.type
    fields = {member.name: _object_type(source, member.shape) for member in source.members(shape.struct)}
    return [shape.nesting, ["object", fields]]
