"""The fleet file's `waldur` section: the cluster is handed over to a Waldur, which then owns its tenants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, Field

from stacks.fleet.problems import RuleError
from stacks.fleet.rules import ChartVersion, Image, Rule
from stacks.fleet.section import Section


def _api_url(value: str) -> str:
    if not re.fullmatch(r"https://[^/\s@?#]+(/[^\s?#]*)?/api/", value):
        raise RuleError("is no address of Waldur's API", fix="write it like https://waldur.example.com/api/")
    return value


def _uuid(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{32}", value.replace("-", "")):
        raise RuleError("is no UUID", fix="take the one that `edge-gpu waldur register` prints")
    return value


def _prices(value: Mapping[str, str]) -> Mapping[str, str]:
    for component, price in value.items():
        if not re.fullmatch(r"\d{1,10}(\.\d{1,10})?", price):
            raise RuleError(f"has {price!r} for {component}", fix="write a number of 0 or more in quotes, like '0.75'")
    return MappingProxyType(value)


_Text = Annotated[str, Field(min_length=1, max_length=150), Rule("text of 1 to 150 letters", "K3s GPU edge")]
_ApiUrl = Annotated[str, AfterValidator(_api_url), Rule("https://HOST/api/", "https://waldur.example.com/api/")]
_Uuid = Annotated[str, AfterValidator(_uuid), Rule("a UUID", "0123456789abcdef0123456789abcdef")]
_Prices = Annotated[
    Mapping[str, str],
    AfterValidator(_prices),
    Rule("a mapping of gpu, gpu_hours, cpu, ram, storage to prices in quotes", "{gpu_hours: '0.75'}"),
]


class WaldurSection(Section):
    """A Waldur that takes orders for namespaces of this cluster, in the stack `edge-waldur`. No token stands here."""

    api_url: _ApiUrl = Field(description="Address of its API.")
    category: _Text = Field("GPU", description="Category in its marketplace; registering makes it where it is missing.")
    provider: _Text = Field(description="Name of the organization that provides.")
    offering: _Text = Field(description="Name of the offering, for people.")
    backend_id: _Text = Field(description="The offering's name for programs: by it the offering is found again.")
    prices: _Prices = Field(description="Price of one unit by component; those left out cost nothing.")
    prometheus_chart_version: ChartVersion = Field(description="Of prometheus-community's chart `prometheus`.")
    dcgm_chart_version: ChartVersion | None = Field(
        None, description="Of NVIDIA's chart `dcgm-exporter`, which shows utilisation. Default: not installed."
    )
    offering_uuid: _Uuid | None = Field(
        None, description="What registering prints. Default: there is no agent yet, and no order is served."
    )
    agent_image: Image | None = Field(
        None, description="Image of waldur-site-agent with this project's backend; needed with `offering_uuid`."
    )
