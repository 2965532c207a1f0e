"""The types of the fleet file's values, each with its rule in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from constructs_lib.k3s_config import ConfigValue
from stacks.fleet import addresses, k3s_settings, kubernetes_syntax, ssh_keys, versions
from stacks.fleet.problems import RuleError


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value may be, for messages and for the reference in docs/.

    Args:
        allowed: In words.
        example: As it stands in the file, after the key.
    """

    allowed: str
    example: str


def _matches(pattern: str, what: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise RuleError(what)
        return value

    return check


Word = Annotated[str, Rule("text", "sh")]
Command = Annotated[
    tuple[Word, ...],
    Field(min_length=1),
    Rule("a list: the program and its arguments, no shell takes part", "[sh, -c, nvidia-smi -L]"),
]
SharesOfGpu = Annotated[int, Field(ge=2, le=1024), Rule("a whole number from 2 to 1024", "4")]
ListStrategy = Annotated[
    Literal["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"],
    Rule("envvar, volume-mounts, cdi-annotations or cdi-cri", "cdi-cri"),
]
Flag = Annotated[bool, Rule("true or false", "true")]
Role = Annotated[Literal["server", "agent"], Rule("server or agent", "agent")]
Architecture = Annotated[Literal["amd64", "arm64"], Rule("amd64 or arm64", "arm64")]
Gpus = Annotated[int, Field(ge=0, le=1024), Rule("a whole number from 0 to 1024", "2")]
Port = Annotated[int, Field(ge=1, le=65535), Rule("a whole number from 1 to 65535", "22")]
Seconds = Annotated[int, Field(ge=10, le=3600), Rule("whole seconds from 10 to 3600, without unit", "300")]

FleetName = Annotated[
    str,
    AfterValidator(_matches(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", "is no fleet name")),
    Rule("1 to 30 lower-case letters, digits and `-`, first and last no `-`", "site-a"),
]
NodeName = Annotated[
    str,
    AfterValidator(kubernetes_syntax.dns_label),
    Rule("1 to 63 lower-case letters, digits and `-`, first and last no `-`; unique", "gpu-1"),
]
UserName = Annotated[
    str,
    AfterValidator(_matches(r"[a-z_][a-z0-9_.-]{0,31}", "is no user name")),
    Rule("a login name: lower-case letters, digits, `_`, `-`, `.`, at most 32", "edge"),
]
HostAddress = Annotated[
    str,
    AfterValidator(addresses.host_address),
    Rule("an IPv4 address, IPv6 address or host name, without port; unique", "192.0.2.11"),
]
HostKey = Annotated[
    str,
    AfterValidator(ssh_keys.host_key),
    Rule(
        f"`type base64`, with one of the types {', '.join(ssh_keys.HOST_KEY_TYPES)}",
        "ecdsa-sha2-nistp256 AAAA…",
    ),
]
KeyFile = Annotated[
    Path,
    BeforeValidator(ssh_keys.private_key_path),
    Rule("an absolute path, or one that begins with ~/", "~/.ssh/id_ed25519"),
]
LocalFile = Annotated[
    Path,
    BeforeValidator(addresses.local_file),
    Rule("an absolute path, or one that begins with ~/", "~/site.bundle"),
]
LabelKey = Annotated[
    str,
    AfterValidator(kubernetes_syntax.label_key),
    Rule("a label key, with a prefix other than kubernetes.io and k8s.io", "example.com/rack"),
]
LabelValue = Annotated[
    str,
    AfterValidator(kubernetes_syntax.label_value),
    Rule("at most 63 letters, digits, `-`, `_`, `.`, first and last a letter or digit", '"r12"'),
]
Taint = Annotated[
    str,
    AfterValidator(kubernetes_syntax.taint),
    Rule(
        f"key=value:Effect or key:Effect, Effect one of {', '.join(kubernetes_syntax.TAINT_EFFECTS)}",
        '"dedicated=gpu:NoSchedule"',
    ),
]
K3sVersion = Annotated[
    str,
    AfterValidator(versions.k3s_version),
    Rule(f"an exact release tag, v{versions.OLDEST_K3S[0]}.{versions.OLDEST_K3S[1]} or newer", "v1.36.2+k3s1"),
]
DebianVersion = Annotated[
    str,
    AfterValidator(versions.debian_version),
    Rule("an exact Debian version with revision", "1.20.0-1"),
]
ChartVersion = Annotated[str, AfterValidator(versions.chart_version), Rule("an exact chart version", "0.19.3")]
Sha256 = Annotated[str, AfterValidator(versions.sha256), Rule("64 hex digits", "9f86d081884c7d65…")]
Image = Annotated[
    str,
    AfterValidator(versions.image_reference),
    Rule("an image with a tag other than latest, or with a digest", "ubuntu:22.04"),
]
BaseUrl = Annotated[
    str,
    AfterValidator(addresses.base_url),
    Rule("an http or https URL without credentials and query", "https://mirror.example.com/files"),
]
ArchiveUrl = Annotated[
    str,
    AfterValidator(addresses.archive_url),
    Rule(
        "an http or https URL of a tar, without credentials and query",
        "https://mirror.example.com/images/app.tar",
    ),
]
StateUrl = Annotated[
    str,
    AfterValidator(addresses.state_url),
    Rule("an http or https URL without credentials", "https://state.example.com/edge"),
]
ArchitectureName = Annotated[
    str,
    AfterValidator(versions.architecture),
    Rule("amd64 or arm64", "amd64"),
]
ChecksumByArchitecture = Annotated[
    Mapping[ArchitectureName, Sha256],
    AfterValidator(MappingProxyType),
    Rule("a checksum for every architecture that a node has", "{amd64: 9f86d081884c7d65…}"),
]
Labels = Annotated[
    Mapping[LabelKey, LabelValue],
    AfterValidator(MappingProxyType),
    Rule("keys and values as Kubernetes accepts them", '{example.com/rack: "r12"}'),
]
ConfigKey = Annotated[
    str,
    AfterValidator(k3s_settings.config_key),
    Rule("a flag of K3s that the fleet does not set otherwise and that is no secret", "kubelet-arg"),
]
ConfigEntry = Annotated[
    ConfigValue,
    BeforeValidator(k3s_settings.config_value),
    Rule("a text, a number, true or false, or a list of texts", "[max-pods=200]"),
]
K3sConfig = Annotated[
    Mapping[ConfigKey, ConfigEntry],
    AfterValidator(MappingProxyType),
    Rule("keys of K3s's config.yaml with their values", "{kubelet-arg: [max-pods=200]}"),
]
RegistryName = Annotated[
    str,
    AfterValidator(k3s_settings.registry_name),
    Rule("a registry as image names have it, or `*`", "docker.io"),
]
Rewrites = Annotated[
    Mapping[Word, Word],
    AfterValidator(MappingProxyType),
    Rule("new repository names by regular expression", '{"^library/(.*)": "mirror/$1"}'),
]
PathOnNode = Annotated[
    str,
    AfterValidator(_matches(r"/[^\s{}]+", "is no absolute path")),
    Rule("an absolute path on the node", "/etc/ssl/site-ca.crt"),
]
Bucket = Annotated[
    str,
    AfterValidator(_matches(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "is no bucket name")),
    Rule("a bucket name: 3 to 63 lower-case letters, digits, `-`, `.`", "edge-state"),
]
ObjectKey = Annotated[
    str,
    AfterValidator(_matches(r"[^/\s{}](\S*[^/\s])?", "is no object key")),
    Rule("a path in the bucket that neither begins nor ends with `/`", "edge/site-a.tfstate"),
]
Region = Annotated[
    str,
    AfterValidator(_matches(r"[a-z0-9-]{2,32}", "is no region")),
    Rule("lower-case letters, digits and `-`", "eu-central-1"),
]
SchemaName = Annotated[
    str,
    AfterValidator(_matches(r"[a-z_][a-z0-9_]{0,62}", "is no schema name")),
    Rule("lower-case letters, digits and `_`, at most 63, first no digit", "edge_site_a"),
]
