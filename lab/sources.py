"""Which parts of the lab come from their public places and which are built here: LAB_SOURCES=auto|public|local."""

from __future__ import annotations

import hashlib
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import quote

from lab.artifacts.device_plugin import CHART_VERSION

SOURCES_VARIABLE = "LAB_SOURCES"
PUBLIC_K3S_VERSION = "v1.36.2+k3s1"

Mode = Literal["auto", "public", "local"]

_ANSWER_TIMEOUT_SECONDS = 3.0
# Resolving a name has no time limit of its own.
_PROBE_TIMEOUT_SECONDS = 5.0
_LONGEST_ANSWER_BYTES = 8 << 20


class SourcesError(Exception):
    """The wanted sources cannot be used; the message says which, why and what to do."""


@dataclass(frozen=True)
class PublicPlaces:
    """Where the public parts are. All are base URLs without a slash at the end; tests put a local server's here.

    Attributes:
        k3s_releases: one folder a version, with the binary and `sha256sum-amd64.txt`.
        apt_repository: NVIDIA's flat apt repository, one folder an architecture.
        apt_key_url: its key.
        chart_repository: the device plugin's Helm repository.
        image_registry: the registry of `device_plugin_image`.
        device_plugin_image: the image that the nodes pull.
        terraform_registry: where Terraform finds its plugins.
    """

    k3s_releases: str = "https://github.com/k3s-io/k3s/releases/download"
    apt_repository: str = "https://nvidia.github.io/libnvidia-container/stable/deb"
    apt_key_url: str = "https://nvidia.github.io/libnvidia-container/gpgkey"
    chart_repository: str = "https://nvidia.github.io/k8s-device-plugin"
    image_registry: str = "https://nvcr.io"
    device_plugin_image: str = f"nvcr.io/nvidia/k8s-device-plugin:v{CHART_VERSION}"
    terraform_registry: str = "https://registry.terraform.io"


@dataclass(frozen=True)
class PublicParts:
    """The parts to take from their public places; what is None or False is built here.

    Attributes:
        k3s_sha256: of PUBLIC_K3S_VERSION's amd64 binary, as its release says.
        apt_key_sha256: of NVIDIA's apt key, as served now; with it come the toolkit packages.
        chart: the device plugin's chart.
        device_plugin_image: the device plugin's image.
        terraform_plugins: the Terraform plugins; then no stand-ins and no CLI configuration file are needed.
        places: where they are.
    """

    k3s_sha256: str | None = None
    apt_key_sha256: str | None = None
    chart: bool = False
    device_plugin_image: bool = False
    terraform_plugins: bool = False
    places: PublicPlaces = field(default_factory=PublicPlaces)


def sources_mode(environment: Mapping[str, str]) -> Mode:
    """The value of LAB_SOURCES (default: "auto").

    Raises:
        SourcesError: when it is none of the three.
    """
    value = environment.get(SOURCES_VARIABLE) or "auto"
    if value in ("auto", "public", "local"):
        return cast(Mode, value)
    raise SourcesError(
        f"{SOURCES_VARIABLE}={value!r} is not known; use auto (public where reachable), public (or fail) or local"
        " (build all here)"
    )


def find_public_parts(*, mode: Mode, built_here: Callable[[], bool], places: PublicPlaces | None = None) -> PublicParts:
    """Decide part by part where it comes from; asks each public place once, all at the same time, for at most 5 s.

    Args:
        mode: "local" asks nobody; "public" takes all from outside; "auto" takes what can be reached, unless all
            is already built here: a lab whose parts changed with the network would upgrade its cluster by that.
        built_here: says whether every part is in the cache, e.g. lab.site_parts.site_is_cached.
        places: where to look (default: the real places).

    Raises:
        SourcesError: with "public", when any place does not answer as expected; it names them all.
    """
    places = places or PublicPlaces()
    if mode == "local" or (mode == "auto" and built_here()):
        return PublicParts(places=places)
    answers = _ask_all(
        {
            "k3s": lambda: _k3s_sha256(places),
            "toolkit": lambda: _apt_key_sha256(places),
            "chart": lambda: _chart(places),
            "image": lambda: _reach(f"{places.image_registry}/v2/"),
            "terraform": lambda: _reach(f"{places.terraform_registry}/.well-known/terraform.json"),
        }
    )
    problems = [answer for answer in answers.values() if isinstance(answer, Exception)]
    if mode == "public" and problems:
        told = "\n  ".join(str(problem) for problem in problems)
        raise SourcesError(
            f"{SOURCES_VARIABLE}=public, but not all public places can be used; use auto to build those parts here:"
            f"\n  {told}"
        )
    found = {name: None if isinstance(answer, Exception) else answer for name, answer in answers.items()}
    return PublicParts(
        k3s_sha256=found["k3s"],
        apt_key_sha256=found["toolkit"],
        chart=found["chart"] is not None,
        device_plugin_image=found["image"] is not None,
        terraform_plugins=found["terraform"] is not None,
        places=places,
    )


def _ask_all(questions: Mapping[str, Callable[[], str]]) -> dict[str, str | Exception]:
    """Run all questions at once; an answer that does not come in time counts as a failure."""
    answers: dict[str, str | Exception] = {}

    def ask(name: str, question: Callable[[], str]) -> None:
        try:
            answer: str | Exception = question()
        except (OSError, SourcesError) as error:
            answer = error
        answers[name] = answer

    # Daemon threads: one that hangs in the resolver must not hold up the end of the program.
    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in questions.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PROBE_TIMEOUT_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    given = dict(answers)
    late = f"no answer within {_PROBE_TIMEOUT_SECONDS:.0f} s"
    return {name: given.get(name, SourcesError(f"{name}: {late}")) for name in questions}


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read(_LONGEST_ANSWER_BYTES)
            return content
    except OSError as error:
        raise SourcesError(f"{url}: {error}") from error


def _reach(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_TIMEOUT_SECONDS):
            return url
    except urllib.error.HTTPError as error:
        # A registry's way of saying that it is there.
        if error.code == 401:
            return url
        raise SourcesError(f"{url}: {error}") from error
    except OSError as error:
        raise SourcesError(f"{url}: {error}") from error


def _k3s_sha256(places: PublicPlaces) -> str:
    url = f"{places.k3s_releases}/{quote(PUBLIC_K3S_VERSION, safe='')}/sha256sum-amd64.txt"
    line = re.search(r"^([0-9a-f]{64})\s+\*?k3s$", _fetch(url).decode(errors="replace"), re.MULTILINE)
    if line is None:
        raise SourcesError(f"{url}: names no sha256 of k3s")
    return line[1]


def _apt_key_sha256(places: PublicPlaces) -> str:
    _fetch(f"{places.apt_repository}/amd64/InRelease")
    key = _fetch(places.apt_key_url)
    if b"PGP PUBLIC KEY" not in key:
        raise SourcesError(f"{places.apt_key_url}: is no armored key")
    return hashlib.sha256(key).hexdigest()


def _chart(places: PublicPlaces) -> str:
    url = f"{places.chart_repository}/index.yaml"
    index = _fetch(url).decode(errors="replace")
    if re.search(rf"""^\s+version: ["']?{re.escape(CHART_VERSION)}["']?$""", index, re.MULTILINE) is None:
        raise SourcesError(f"{url}: does not list the chart's version {CHART_VERSION}")
    return CHART_VERSION
