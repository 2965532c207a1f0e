"""Exact versions, checksums and image references: nothing that could mean something else tomorrow."""

from __future__ import annotations

import re

from stacks.fleet.problems import RuleError

OLDEST_K3S = (1, 32)
"""Older ones are out of support, and their containerd 1.7 is configured in another way."""
ARCHITECTURES = ("amd64", "arm64")

_K3S = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-rc\d+)?\+k3s(\d+|(-[0-9A-Za-z]+)+)")
_K3S_WITH_DASH = re.compile(r"(v\d+\.\d+\.\d+(?:-rc\d+)?)-(k3s\d+)")
_DEBIAN = re.compile(r"(\d+:)?\d[0-9A-Za-z.+~]*(-[0-9A-Za-z.+~]+)+")
_CHART = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_DRIVER_BRANCH = re.compile(r"\d{3,4}(-server|\.\d+(\.\d+)?)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGE = re.compile(
    r"(?P<repository>([A-Za-z0-9.-]+(:\d+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def k3s_version(value: str) -> str:
    """A K3s release tag such as `v1.36.2+k3s1`, not older than v1.32.

    Raises:
        RuleError: A channel, another form, or too old.
    """
    match = _K3S.fullmatch(value)
    if match is None:
        with_dash = _K3S_WITH_DASH.fullmatch(value)
        if with_dash is not None:
            raise RuleError("has `-` before k3s, as image tags do", fix=f"write {with_dash[1]}+{with_dash[2]}")
        if _K3S.fullmatch(f"v{value}"):
            raise RuleError("lacks the `v`", fix=f"write v{value}")
        if re.fullmatch(r"v?\d+(\.\d+)*", value):
            raise RuleError("is no K3s release tag: the K3s part is missing", fix=f"write v{value.lstrip('v')}+k3s1")
        if re.fullmatch(r"[a-z]+|v\d+\.\d+", value):
            raise RuleError(
                "is a channel, which moves",
                fix="write the release tag it stands for today, like v1.36.2+k3s1",
            )
        raise RuleError("is no K3s release tag")
    if (int(match[1]), int(match[2])) < OLDEST_K3S:
        raise RuleError("is too old", fix="write a release of v1.32 or newer, like v1.36.2+k3s1")
    return value


def debian_version(value: str) -> str:
    """A Debian package version with its revision, such as `1.20.0-1`.

    Raises:
        RuleError: Another form.
    """
    if not _DEBIAN.fullmatch(value):
        bare = value.lstrip("v")
        raise RuleError(
            "is no exact package version",
            fix=f"add the revision: {bare}-1" if re.fullmatch(r"\d+\.\d+\.\d+", bare) else None,
        )
    return value


def chart_version(value: str) -> str:
    """An exact chart version such as `0.19.3`, no range.

    Raises:
        RuleError: Another form.
    """
    if not _CHART.fullmatch(value):
        bare = value.lstrip("v^~=> ")
        raise RuleError("is no exact chart version", fix=f"write {bare}" if _CHART.fullmatch(bare) else None)
    return value


def driver_branch(value: str) -> str:
    """An NVIDIA driver branch such as `580-server` or `580`, or an exact version such as `590.48.01`.

    Raises:
        RuleError: Another form.
    """
    if not _DRIVER_BRANCH.fullmatch(value):
        bare = value.removesuffix("-open")
        raise RuleError(
            "is no driver branch",
            fix=f"write {bare} and open_modules: true" if bare != value and _DRIVER_BRANCH.fullmatch(bare) else None,
        )
    return value


def sha256(value: str) -> str:
    """64 hex digits, in lower case.

    Raises:
        RuleError: Another form.
    """
    digits = value.lower()
    if not _SHA256.fullmatch(digits):
        bare = digits.removeprefix("sha256:")
        if _SHA256.fullmatch(bare):
            raise RuleError("has a prefix", fix=f"write {bare}")
        what = f"has {len(value)} digits" if len(value) != 64 else "holds characters other than 0-9 and a-f"
        raise RuleError(f"is no sha256: it {what}", fix="copy all 64 digits, as sha256sum prints them")
    return digits


def architecture(value: str) -> str:
    """An architecture by the name that K3s's releases use.

    Raises:
        RuleError: Another name.
    """
    if value not in ARCHITECTURES:
        other = {"x86_64": "amd64", "x64": "amd64", "aarch64": "arm64"}.get(value)
        raise RuleError("is no architecture", fix=f"write {other}" if other else None)
    return value


def is_placeholder(checksum: str) -> bool:
    """Whether a checksum is one digit repeated, as in the example file: no file has it."""
    return len(set(checksum)) == 1


def image_reference(value: str) -> str:
    """An image with a tag other than `latest`, or with a digest.

    Raises:
        RuleError: Neither, or no image reference at all.
    """
    match = _IMAGE.fullmatch(value)
    if match is None:
        raise RuleError("is no image reference")
    if match["tag"] == "latest" and match["digest"] is None:
        raise RuleError("has the tag latest, which moves", fix=f"name a version: {match['repository']}:<version>")
    if match["tag"] is None and match["digest"] is None:
        raise RuleError("has neither tag nor digest, which means latest", fix=f"name a version: {value}:<version>")
    return value
