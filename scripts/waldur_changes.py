"""What differs between an offering's spec and Waldur, each difference with the call that removes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from waldur_api_client import AuthenticatedClient, models
from waldur_api_client.api.customers import customers_create, customers_list
from waldur_api_client.api.marketplace_categories import marketplace_categories_create, marketplace_categories_list
from waldur_api_client.api.marketplace_plans import (
    marketplace_plans_create,
    marketplace_plans_list,
    marketplace_plans_partial_update,
    marketplace_plans_update_prices,
)
from waldur_api_client.api.marketplace_provider_offerings import (
    marketplace_provider_offerings_activate,
    marketplace_provider_offerings_create,
    marketplace_provider_offerings_create_offering_component,
    marketplace_provider_offerings_list,
    marketplace_provider_offerings_update_integration,
    marketplace_provider_offerings_update_offering_component,
    marketplace_provider_offerings_update_overview,
)
from waldur_api_client.api.marketplace_service_providers import (
    marketplace_service_providers_create,
    marketplace_service_providers_list,
)

from scripts.errors import CommandError
from scripts.waldur_spec import SITE_AGENT_TYPE, Component, OfferingSpec, Plan


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference.

    Attributes:
        told: a line for people.
        make: removes it.
    """

    told: str
    make: Callable[[], Any]


class Registration:
    """Finds each thing of a spec in Waldur, or yields the change that makes it.

    Args:
        client: Waldur's.
        spec: what is wanted.
    """

    def __init__(self, client: AuthenticatedClient, *, spec: OfferingSpec) -> None:
        self._client = client
        self._spec = spec

    def changes(self, *, made: bool) -> Iterator[Change]:
        """The differences, in the order in which they are to be removed.

        Args:
            made: each change is made before the next is asked for. Otherwise what hangs on something that is not
                there yet is told as new without being looked for.

        Raises:
            CommandError: what is found is ambiguous, or is somebody else's.
        """
        spec = self._spec
        category = self._category()
        if category is None:
            yield Change(told=f"+ category {spec.category.title!r}", make=self._make_category)
        customer = self._customer()
        if customer is None:
            yield Change(told=f"+ organization {spec.provider.name!r}", make=self._make_customer)
            customer = self._customer() if made else None
        if customer is None or not self._is_provider(customer):
            yield Change(told=f"+ {spec.provider.name!r} is a service provider", make=self._make_provider)
        offering = self._offering(customer) if customer is not None else None
        if offering is None:
            told = f"+ offering {spec.offering.name!r}, backend_id {spec.offering.backend_id!r}"
            yield Change(told=told, make=self._make_offering)
            if not made:
                yield from self._all_of_a_new_offering()
                return
            offering = self.offering()
        yield from self._overview(offering)
        yield from self._options(offering)
        for component in spec.components:
            yield from self._component(offering, component)
        for plan in spec.plans:
            yield from self._plan(offering, plan)
        if spec.offering.active and _text(offering.state) != "Active":
            yield Change(
                told=f"~ offering: state: {_text(offering.state)} -> Active",
                make=lambda: marketplace_provider_offerings_activate.sync(offering.uuid, client=self._client),
            )

    def offering(self) -> Any:
        """The offering as Waldur has it now.

        Raises:
            CommandError: it is not there.
        """
        customer = self._customer()
        found = self._offering(customer) if customer is not None else None
        if found is None:
            raise CommandError(f"Waldur has no offering with backend_id {self._spec.offering.backend_id!r}")
        return found

    def left_alone(self) -> list[str]:
        """Components and plans that Waldur has and the spec does not; they may be on somebody's bill."""
        offering = self.offering()
        types = {component.type for component in self._spec.components}
        names = {plan.name for plan in self._spec.plans}
        others = [f"component {one.type_}" for one in offering.components or () if one.type_ not in types]
        return others + [f"plan {one.name!r}" for one in self._plans(offering) if one.name not in names]

    # Category, organization, offering

    def _category(self) -> Any:
        title = self._spec.category.title
        found = marketplace_categories_list.sync_all(client=self._client, title=title)
        return _only([one for one in found if one.title == title], what=f"categories with the title {title!r}")

    def _make_category(self) -> Any:
        category = self._spec.category
        body = models.MarketplaceCategoryRequest(title=category.title, description=category.description)
        return marketplace_categories_create.sync(client=self._client, body=body)

    def _customer(self) -> Any:
        provider = self._spec.provider
        if provider.backend_id:
            found = customers_list.sync_all(client=self._client, backend_id=provider.backend_id)
            return _only(
                [one for one in found if one.backend_id == provider.backend_id],
                what=f"organizations with backend_id {provider.backend_id!r}",
            )
        found = customers_list.sync_all(client=self._client, name_exact=provider.name)
        return _only(
            [one for one in found if one.name == provider.name], what=f"organizations called {provider.name!r}"
        )

    def _make_customer(self) -> Any:
        provider = self._spec.provider
        body = models.CustomerRequest(name=provider.name, backend_id=provider.backend_id)
        if provider.email:
            body.email = provider.email
        return customers_create.sync(client=self._client, body=body)

    def _is_provider(self, customer: Any) -> bool:
        found = marketplace_service_providers_list.sync_all(client=self._client, customer_uuid=customer.uuid)
        return any(one.customer_uuid == customer.uuid for one in found)

    def _make_provider(self) -> Any:
        customer = self._customer()
        body = models.ServiceProviderRequest(customer=customer.url)
        return marketplace_service_providers_create.sync(client=self._client, body=body)

    def _offering(self, customer: Any) -> Any:
        wanted = self._spec.offering
        theirs = marketplace_provider_offerings_list.sync_all(client=self._client, customer_uuid=customer.uuid)
        found = _only(
            [one for one in theirs if one.backend_id == wanted.backend_id],
            what=f"offerings with backend_id {wanted.backend_id!r}",
        )
        if found is None:
            clash = [one for one in theirs if one.name == wanted.name and _text(one.state) != "Archived"]
            if clash:
                raise CommandError(
                    f"the provider has an offering {wanted.name!r} with backend_id {clash[0].backend_id!r}, UUID "
                    f"{clash[0].uuid.hex}. Fix: another name in the spec, or that backend_id if it is the same offering"
                )
        elif found.type_ != SITE_AGENT_TYPE:
            raise CommandError(
                f"the offering {found.name!r} with backend_id {wanted.backend_id!r} has the type {found.type_}, and "
                f"one for a site agent has {SITE_AGENT_TYPE}. Fix: another backend_id in the spec"
            )
        return found

    def _make_offering(self) -> Any:
        wanted = self._spec.offering
        body = models.OfferingCreateRequest(
            name=wanted.name,
            category=self._category().url,
            customer=self._customer().url,
            type_=SITE_AGENT_TYPE,
            backend_id=wanted.backend_id,
            description=wanted.description,
            shared=wanted.shared,
            billable=wanted.billable,
        )
        return marketplace_provider_offerings_create.sync(client=self._client, body=body)

    def _all_of_a_new_offering(self) -> Iterator[Change]:
        def never() -> None:
            raise AssertionError("told, and made later")

        spec = self._spec
        if spec.plugin_options:
            yield Change(told=f"+ plugin options {_listed(spec.plugin_options)}", make=never)
        for component in spec.components:
            yield Change(told=_new_component(component), make=never)
        for plan in spec.plans:
            yield Change(told=_new_plan(plan), make=never)
            yield Change(told=f"+ plan {plan.name!r}: prices {_listed(plan.prices)}", make=never)
        if spec.offering.active:
            yield Change(told="~ offering: state: Draft -> Active", make=never)

    # Parts of the offering

    def _overview(self, offering: Any) -> Iterator[Change]:
        wanted = self._spec.offering
        fields = {"name": wanted.name, "description": wanted.description}
        changed = {key: value for key, value in fields.items() if (getattr(offering, key) or "") != value}
        if changed:
            told = ", ".join(f"{key}: {getattr(offering, key) or ''!r} -> {value!r}" for key, value in changed.items())
            body = models.OfferingOverviewUpdateRequest(**fields)
            yield Change(
                told=f"~ offering: {told}",
                make=lambda: marketplace_provider_offerings_update_overview.sync_detailed(
                    offering.uuid, client=self._client, body=body
                ),
            )

    def _options(self, offering: Any) -> Iterator[Change]:
        there = offering.plugin_options.to_dict() if offering.plugin_options else {}
        wanted = self._spec.plugin_options
        changed = {key: value for key, value in wanted.items() if there.get(key) != value}
        if changed:
            told = ", ".join(f"{key}: {there.get(key)} -> {value}" for key, value in changed.items())
            body = models.OfferingIntegrationUpdateRequest(
                backend_id=self._spec.offering.backend_id,
                plugin_options=models.MergedPluginOptionsRequest.from_dict({**there, **wanted}),
            )
            yield Change(
                told=f"~ plugin options: {told}",
                make=lambda: marketplace_provider_offerings_update_integration.sync_detailed(
                    offering.uuid, client=self._client, body=body
                ),
            )

    def _component(self, offering: Any, wanted: Component) -> Iterator[Change]:
        there = next((one for one in offering.components or () if one.type_ == wanted.type), None)
        fields = wanted.model_dump(exclude_none=True)
        if there is None:
            body = models.OfferingComponentRequest.from_dict(fields)
            yield Change(
                told=_new_component(wanted),
                make=lambda: marketplace_provider_offerings_create_offering_component.sync_detailed(
                    offering.uuid, client=self._client, body=body
                ),
            )
            return
        has = there.to_dict()
        changed = {key: value for key, value in fields.items() if has.get(key) != value}
        if changed:
            told = ", ".join(f"{key}: {has.get(key)} -> {value}" for key, value in changed.items())
            # Of the rest what the request knows: it replaces the component.
            kept = models.UpdateOfferingComponentRequest.from_dict({**has, **fields, "uuid": str(there.uuid)})
            kept.additional_properties = {}
            yield Change(
                told=f"~ component {wanted.type}: {told}",
                make=lambda: marketplace_provider_offerings_update_offering_component.sync_detailed(
                    offering.uuid, client=self._client, body=kept
                ),
            )

    def _plans(self, offering: Any) -> list[Any]:
        found = marketplace_plans_list.sync_all(client=self._client, offering_uuid=offering.uuid)
        return [one for one in found if not one.archived]

    def _plan(self, offering: Any, wanted: Plan) -> Iterator[Change]:
        there = _only(
            [one for one in self._plans(offering) if one.name == wanted.name], what=f"plans called {wanted.name!r}"
        )
        prices: Mapping[str, Any] = there.prices.to_dict() if there is not None else {}
        if there is None:
            yield Change(told=_new_plan(wanted), make=lambda: self._make_plan(offering, wanted))
        elif _text(there.unit) != wanted.unit or Decimal(str(there.unit_price or 0)) != wanted.unit_price:
            body = models.PatchedProviderPlanDetailsRequest(
                unit=models.BillingUnit(wanted.unit), unit_price=str(wanted.unit_price)
            )
            told = f"{_text(there.unit)} {there.unit_price} -> {wanted.unit} {wanted.unit_price}"
            yield Change(
                told=f"~ plan {wanted.name!r}: {told}",
                make=lambda: marketplace_plans_partial_update.sync(there.uuid, client=self._client, body=body),
            )
        changed = {key: price for key, price in wanted.prices.items() if Decimal(str(prices.get(key, 0))) != price}
        if changed:
            told = ", ".join(f"{key} {prices.get(key, 0)} -> {price}" for key, price in changed.items())
            yield Change(told=f"~ plan {wanted.name!r}: prices {told}", make=lambda: self._set_prices(offering, wanted))

    def _make_plan(self, offering: Any, wanted: Plan) -> Any:
        body = models.ProviderPlanDetailsRequest(
            name=wanted.name,
            offering=offering.url,
            unit=models.BillingUnit(wanted.unit),
            unit_price=str(wanted.unit_price),
        )
        return marketplace_plans_create.sync(client=self._client, body=body)

    def _set_prices(self, offering: Any, wanted: Plan) -> None:
        (plan,) = [one for one in self._plans(offering) if one.name == wanted.name]
        prices = models.PricesUpdateRequestPrices.from_dict({key: str(price) for key, price in wanted.prices.items()})
        body = models.PricesUpdateRequest(prices=prices)
        marketplace_plans_update_prices.sync_detailed(plan.uuid, client=self._client, body=body)


def _new_component(component: Component) -> str:
    unit = f" in {component.measured_unit}" if component.measured_unit else ""
    return f"+ component {component.type} {component.name!r}, billed by {component.billing_type}{unit}"


def _new_plan(plan: Plan) -> str:
    return f"+ plan {plan.name!r}: {plan.unit_price} a {plan.unit}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _only(found: list[Any], *, what: str) -> Any:
    if len(found) > 1:
        raise CommandError(f"Waldur has {len(found)} {what}: {', '.join(one.uuid.hex for one in found)}. Fix: keep one")
    return found[0] if found else None


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))
