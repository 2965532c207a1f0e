"""What an offering in Waldur is to be: the file that `edge-gpu waldur register` reads and `WaldurOffering` renders."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scripts.errors import CommandError

SITE_AGENT_TYPE = "Marketplace.Slurm"
"""Waldur's name for every offering that a site agent serves."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Category(_Strict):
    """Found by its title."""

    title: str = Field(min_length=1)
    description: str = ""


class Provider(_Strict):
    """The organization that provides, found by `backend_id`, or by its name when that is empty."""

    name: str = Field(min_length=1)
    backend_id: str = ""
    email: str | None = None


class Component(_Strict):
    """Found by its type. What is left out is left as Waldur has it."""

    type: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str = Field(min_length=1)
    billing_type: Literal["usage", "limit", "fixed", "one", "few"]
    measured_unit: str = ""
    description: str | None = None
    limit_period: Literal["month", "quarterly", "annual", "total"] | None = None
    min_value: int | None = None
    max_value: int | None = None
    max_available_limit: int | None = None
    default_limit: int | None = None
    article_code: str | None = None


class Plan(_Strict):
    """Found by its name."""

    name: str = Field(min_length=1)
    unit: Literal["month", "half_month", "day", "hour", "quarter", "quantity"] = "month"
    unit_price: Decimal = Field(default=Decimal(0), ge=0)
    prices: dict[str, Decimal]

    @field_validator("prices")
    @classmethod
    def _not_negative(cls, prices: dict[str, Decimal]) -> dict[str, Decimal]:
        for component, price in prices.items():
            if not price.is_finite() or price < 0:
                raise ValueError(f"the price of {component} is {price}; allowed is 0 or more")
        return prices


class Offering(_Strict):
    """Found by its `backend_id` among the provider's."""

    name: str = Field(min_length=1)
    backend_id: str = Field(min_length=1)
    description: str = ""
    shared: bool = True
    billable: bool = True
    active: bool = True


class OfferingSpec(_Strict):
    """The whole file."""

    api_url: str
    category: Category
    provider: Provider
    offering: Offering
    components: list[Component] = Field(min_length=1)
    plans: list[Plan] = Field(min_length=1)
    plugin_options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("api_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or (parts.scheme != "https" and parts.hostname not in _LOOPBACK):
            raise ValueError(f"{url!r}: the token would be sent in clear. Allowed is https://HOST/api/")
        return url

    @model_validator(mode="after")
    def _consistent(self) -> OfferingSpec:
        types = [component.type for component in self.components]
        for what, names in (("components", types), ("plans", [plan.name for plan in self.plans])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} stands there twice")
        for plan in self.plans:
            unknown = sorted(set(plan.prices) - set(types))
            if unknown:
                raise ValueError(f"plan {plan.name}: prices of {', '.join(unknown)}, which are no components")
        return self


def read_spec(path: Path) -> OfferingSpec:
    """Read a JSON or YAML file.

    Raises:
        CommandError: it is not there or not valid; with every mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return OfferingSpec.model_validate(data)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        if not isinstance(error, ValidationError):
            raise CommandError(f"{path} is no valid JSON or YAML: {error}") from error
        told = "".join(f"\n  {'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors())
        raise CommandError(f"{path}:{told}") from error
