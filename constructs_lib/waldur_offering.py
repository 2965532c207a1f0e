"""An offering in Waldur as typed arguments, rendered to the file that `edge-gpu waldur register` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal

from constructs_lib.cdk import Construct


@dataclass(frozen=True, kw_only=True, slots=True)
class WaldurComponent:
    """What is limited or billed.

    Args:
        type: Its name for programs. The backend knows `gpu`, `gpu_shared`, `cpu`, `ram`, `storage` as limits, and
            `gpu_hours`, `gpu_shared_hours` as usage.
        name: Its name for people.
        billing_type: `limit`: what is bought; `usage`: what is measured.
        measured_unit: For people; RAM and storage are counted in GiB.
        max_value: The most that an order may ask for. Default None: no bound.
        default_limit: What an order form proposes. Default None: nothing.
        limit_period: What a limit's price is for. Default None: `month` for limits.
    """

    type: str
    name: str
    billing_type: Literal["limit", "usage"]
    measured_unit: str
    max_value: int | None = None
    default_limit: int | None = None
    limit_period: Literal["month", "quarterly", "annual", "total"] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WaldurPlan:
    """Prices.

    Args:
        name: For people.
        prices: Component type -> price of one unit, as text, for example `0.75`; 0 or more.
        unit: What the plan's own price is for, default `month`.
        unit_price: The plan's own price, beside those of components, default 0.
    """

    name: str
    prices: Mapping[str, str]
    unit: Literal["month", "half_month", "day", "hour", "quarter"] = "month"
    unit_price: str = "0"


GPU_COMPONENTS = (
    WaldurComponent(type="gpu", name="GPU quota", billing_type="limit", measured_unit="GPU"),
    WaldurComponent(type="gpu_hours", name="GPU hours", billing_type="usage", measured_unit="GPU-h"),
    WaldurComponent(type="cpu", name="CPU", billing_type="limit", measured_unit="cores"),
    WaldurComponent(type="ram", name="RAM", billing_type="limit", measured_unit="GB"),
    WaldurComponent(type="storage", name="Storage", billing_type="limit", measured_unit="GB"),
)
"""What a tenant of a GPU cluster buys and uses."""

PLUGIN_OPTIONS: Mapping[str, object] = {
    # Without them the portal has no buttons for it.
    "supports_pausing": True,
    "supports_downscaling": True,
    # Members get the user names that they log in with; the agent then needs no plug-in that makes some up.
    "service_provider_can_create_offering_user": True,
    "username_generation_policy": "waldur_username",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class WaldurProvider:
    """The organization that provides.

    Args:
        name: Its name.
        backend_id: By which it is found. Default: by its name.
    """

    name: str
    backend_id: str = field(default="")


class WaldurOffering(Construct):
    """An offering of Waldur's site-agent type. It makes nothing in Terraform: registering needs a token, which
    must be in no state, so a stack gives `spec` out and `edge-gpu waldur register` reads it.

    Args:
        scope: Parent construct.
        id_: Construct id.
        api_url: Waldur's, https, ending in `/api/`.
        category: Title of the marketplace's category.
        provider: The organization.
        name: The offering's, for people.
        backend_id: The offering's for programs: by it the offering is found again.
        plans: Prices, at least one plan.
        components: What is limited or billed, default GPU_COMPONENTS.
        description: For people, default none.
        shared: Everybody may order, default True.
        active: Orders are taken, default True; else it stays as it is.
        plugin_options: Merged over PLUGIN_OPTIONS, default none.

    Attributes:
        spec: JSON text.
        components: As given.

    Raises:
        ValueError: `api_url` is not https, a component or plan stands there twice, or a price is no number of 0 or
            more or that of an unknown component.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        api_url: str,
        category: str,
        provider: WaldurProvider,
        name: str,
        backend_id: str,
        plans: Sequence[WaldurPlan],
        components: Sequence[WaldurComponent] = GPU_COMPONENTS,
        description: str = "",
        shared: bool = True,
        active: bool = True,
        plugin_options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(scope, id_)
        _check(id_, api_url=api_url, components=components, plans=plans)
        self.components = tuple(components)
        self.spec = json.dumps(
            {
                "api_url": api_url,
                "category": {"title": category},
                "provider": asdict(provider),
                "offering": {
                    "name": name,
                    "backend_id": backend_id,
                    "description": description,
                    "shared": shared,
                    "active": active,
                },
                "components": [_component(component) for component in components],
                "plans": [_plan(plan) for plan in plans],
                "plugin_options": {**PLUGIN_OPTIONS, **(plugin_options or {})},
            },
            indent=2,
        )


def _plan(plan: WaldurPlan) -> Mapping[str, object]:
    return {"name": plan.name, "unit": plan.unit, "unit_price": plan.unit_price, "prices": dict(plan.prices)}


def _component(component: WaldurComponent) -> Mapping[str, object]:
    rendered = {key: value for key, value in asdict(component).items() if value is not None}
    if component.billing_type == "limit":
        rendered.setdefault("limit_period", "month")
    return rendered


def _check(id_: str, *, api_url: str, components: Sequence[WaldurComponent], plans: Sequence[WaldurPlan]) -> None:
    if not api_url.startswith("https://") or not api_url.endswith("/api/"):
        raise ValueError(f"WaldurOffering {id_}: api_url is {api_url!r}; allowed is https://HOST/api/")
    types = [component.type for component in components]
    if not types or not plans:
        raise ValueError(f"WaldurOffering {id_}: components and plans must have at least one each")
    for what, names in (("component", types), ("plan", [plan.name for plan in plans])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"WaldurOffering {id_}: {what} {', '.join(twice)} stands there twice")
    for plan in plans:
        for component, price in [("", plan.unit_price), *plan.prices.items()]:
            if component and component not in types:
                raise ValueError(
                    f"WaldurOffering {id_}: plan {plan.name} has a price of {component}, which is no component"
                )
            if not _is_price(price):
                raise ValueError(
                    f"WaldurOffering {id_}: plan {plan.name}: the price of {component or 'the plan'} is {price!r}; "
                    "allowed is a number of 0 or more"
                )


def _is_price(text: str) -> bool:
    try:
        price = Decimal(text)
    except InvalidOperation:
        return False
    return price.is_finite() and price >= 0
