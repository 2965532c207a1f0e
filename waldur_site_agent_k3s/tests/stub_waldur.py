"""A STUB of Waldur for tests, written from what is known of Waldur's API; it is not Waldur and says so in every answer.

Requests go through the official client's models, so that a field the client does not know is refused; so do those
answers that clients build more on than identifiers. Usage replaces, and is never added; a negative amount is taken, as
old servers do; a list has pages.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from waldur_api_client import models

NAME = "stub-waldur/0.1 (a stand-in, not Waldur)"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
GOOD_STATES = ("OK", "Updating", "Terminating")

Entry = dict[str, Any]
Answer = tuple[int, Any]


class RefusedError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, told: Any) -> None:
        super().__init__(told)
        self.answer = status, told


class StubWaldur:
    """The server's state.

    Attributes:
        lists: collection -> UUID in hexadecimal digits -> entry.
        expired: the token is not known any more.
        rights: False: reading is allowed, writing is not.
        broken: every answer has this status, or None; "half" breaks answers off in the middle.
        clock: added to the server's time.
        unknown: paths that were asked for and that the stub does not have.
        requests: method and path of each request.
    """

    def __init__(self) -> None:
        self.lists: dict[str, dict[str, Entry]] = {}
        self.expired = False
        self.rights = True
        self.broken: int | str | None = None
        self.clock = timedelta()
        self.unknown: list[str] = []
        self.requests: list[str] = []
        self.url = ""
        self.lock = threading.RLock()

    # For tests

    def add(self, collection: str, **fields: Any) -> Entry:
        """Put an entry there."""
        number = fields.pop("uuid", None) or uuid.uuid4().hex
        entry = {"uuid": number, "url": f"{self.url}/api/{collection}/{number}/", **fields}
        self.lists.setdefault(collection, {})[number] = entry
        return entry

    def all(self, collection: str) -> list[Entry]:
        """Entries of a collection."""
        return list(self.lists.get(collection, {}).values())

    def add_plan(self, offering: Entry, wanted: Entry) -> Entry:
        """Put a plan there."""
        filled = {
            "is_active": True,
            "init_price": 0.0,
            "switch_price": 0.0,
            "organization_groups": [],
            "components": [],
            "prices": {},
            "future_prices": {},
            "quotas": {},
            "resources_count": 0,
            "plan_type": "usage",
            "minimal_price": "0",
        }
        return self.add(
            "marketplace-plans", **{**filled, **wanted, "offering": offering["url"]}, offering_uuid=offering["uuid"]
        )

    def order(self, offering: Entry, *, name: str, limits: dict[str, int], project: Entry) -> Entry:
        """A consumer's order, which waits for the provider."""
        plan = next(one for one in self.all("marketplace-plans") if one["offering_uuid"] == offering["uuid"])
        resource = self.add(
            "marketplace-provider-resources",
            name=name,
            slug=name,
            state="Creating",
            backend_id="",
            limits=limits,
            paused=False,
            downscaled=False,
            restrict_member_access=False,
            backend_metadata={},
            offering_uuid=offering["uuid"],
            plan_uuid=plan["uuid"],
            project_uuid=project["uuid"],
            project_slug=project["slug"],
            project_name=project["name"],
            customer_uuid=project["customer_uuid"],
            customer_slug="consumer",
            customer_name="Consumer",
            offering_plugin_options={},
        )
        return self._order("Create", resource, limits=limits)

    def update_limits(self, resource: Entry, limits: dict[str, int]) -> Entry:
        """A consumer changes limits."""
        resource["state"] = "Updating"
        return self._order("Update", resource, limits=limits)

    def terminate(self, resource: Entry) -> Entry:
        """A consumer ends a resource."""
        resource["state"] = "Terminating"
        return self._order("Terminate", resource, limits={})

    def invoice(self, resource: Entry) -> dict[str, Decimal]:
        """Component -> amount of money of this month."""
        plan = self.lists["marketplace-plans"][resource["plan_uuid"]]
        offering = self.lists["marketplace-provider-offerings"][resource["offering_uuid"]]
        month = self.now().strftime("%Y-%m-01")
        used = {
            one["type"]: Decimal(one["usage"])
            for one in self.all("marketplace-component-usages")
            if one["resource_uuid"] == resource["uuid"] and one["billing_period"] == month
        }
        lines = {}
        for component in offering["components"]:
            kind = component["type"]
            billed = (
                used.get(kind) if component["billing_type"] == "usage" else Decimal(resource["limits"].get(kind, 0))
            )
            if billed:
                lines[kind] = (billed * Decimal(str(plan["prices"].get(kind, 0)))).quantize(Decimal("0.01"))
        return lines

    def now(self) -> datetime:
        """The server's time."""
        return datetime.now(UTC) + self.clock

    # The API

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any, token: str) -> Answer:
        """Status and body."""
        self.requests.append(f"{method} {path}")
        if isinstance(self.broken, int):
            return self.broken, {"detail": "broken by the test"}
        if self.expired or token not in (f"Token {TOKEN}", f"Bearer {TOKEN}"):
            return 401, {"detail": "Invalid token."}
        if method != "GET" and not self.rights:
            return 403, {"detail": "You do not have permission to perform this action."}
        for verb, pattern, do in self._routes():
            match = re.fullmatch(pattern, path)
            if verb == method and match:
                try:
                    return do(*match.groups(), **({"body": body} if method != "GET" else {"query": query}))
                except RefusedError as refused:
                    return refused.answer
        self.unknown.append(f"{method} {path}")
        return 404, {"detail": "Not found."}

    def _routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        offering = r"/api/marketplace-provider-offerings/([0-9a-f-]+)"
        resource = r"/api/marketplace-provider-resources/([0-9a-f-]+)"
        order = r"/api/marketplace-orders/([0-9a-f-]+)"
        return [
            ("GET", r"/api/users/me/", self._me),
            ("GET", r"/api/version/", lambda query: (200, {"version": NAME})),  # noqa: ARG005
            # An offering that exposes the default attributes has none; the agent goes on without.
            ("GET", rf"{offering}/user-attribute-config/", lambda _, query: (404, {"detail": "Not found."})),  # noqa: ARG005
            ("GET", rf"{resource}/team/", self._team),
            ("GET", rf"{offering}/list_(?:project_service|course)_accounts/", lambda _, query: (200, [])),  # noqa: ARG005
            ("GET", r"/api/marketplace-service-providers/([0-9a-f-]+)/keys/", lambda _, query: (200, [])),  # noqa: ARG005
            ("GET", r"/api/([a-z-]+)/([0-9a-f-]+)/", self._retrieve),
            ("GET", r"/api/([a-z-]+)/", self._list),
            ("POST", r"/api/marketplace-component-usages/set_usage/", self._set_usage),
            ("POST", r"/api/marketplace-site-agent-identities/([0-9a-f-]+)/register_service/", self._agent_service),
            ("POST", r"/api/marketplace-site-agent-services/([0-9a-f-]+)/register_processor/", self._agent_processor),
            ("POST", r"/api/marketplace-site-agent-identities/", self._agent_identity),
            ("PUT", r"/api/marketplace-site-agent-identities/([0-9a-f-]+)/", self._agent_identity_again),
            ("POST", rf"{order}/approve_by_provider/", self._approve),
            ("POST", rf"{order}/set_state_done/", self._done),
            ("POST", rf"{order}/set_state_erred/", self._erred),
            ("POST", rf"{resource}/set_(backend_id|limits|backend_metadata)/", self._set_on_resource),
            ("POST", rf"{resource}/(refresh_last_sync|set_as_ok|set_as_erred)/", self._sync_of_resource),
            ("POST", rf"{offering}/activate/", self._activate),
            ("POST", rf"{offering}/(create|update)_offering_component/", self._component),
            ("POST", rf"{offering}/update_(integration|description|overview)/", self._update_offering),
            ("POST", r"/api/marketplace-provider-offerings/", self._create_offering),
            ("POST", r"/api/marketplace-plans/([0-9a-f-]+)/update_prices/", self._prices),
            ("PATCH", r"/api/marketplace-plans/([0-9a-f-]+)/", self._change_plan),
            ("POST", r"/api/marketplace-plans/", self._create_plan),
            ("POST", r"/api/marketplace-categories/", self._create_category),
            ("POST", r"/api/customers/", self._create_customer),
            ("POST", r"/api/marketplace-service-providers/", self._create_service_provider),
        ]

    def _me(self, query: Any) -> Answer:
        del query
        return 200, {"uuid": uuid.UUID(int=1).hex, "username": "stub", "full_name": "Stub Waldur", "is_staff": True}

    def _retrieve(self, collection: str, number: str, *, query: dict[str, list[str]]) -> Answer:
        return 200, _fields(self._get(collection, number), query)

    def _list(self, collection: str, *, query: dict[str, list[str]]) -> Answer:
        found = self.all(collection)
        for key, values in query.items():
            if key in ("page", "page_size", "field", "o"):
                continue
            field = {"name_exact": "name", "component_usage_billing_period": "billing_period"}.get(key, key)
            wanted = {re.sub("-", "", value) if field.endswith("uuid") else value for value in values}
            if any(field in one for one in found):
                found = [one for one in found if str(one.get(field, "")) in wanted]
        return 200, [_fields(one, query) for one in found]

    def _team(self, number: str, *, query: Any) -> Answer:
        del query
        resource = self._get("marketplace-provider-resources", number)
        members = [one for one in self.all("team") if one["project_uuid"] == resource["project_uuid"]]
        return 200, [models.ProjectUser.from_dict(_without(one, "project_uuid")).to_dict() for one in members]

    def _set_usage(self, *, body: Any) -> Answer:
        wanted = self._checked(models.ComponentUsageCreateRequest, body)
        resource = self._get("marketplace-provider-resources", str(wanted["resource"]))
        if resource["state"] not in GOOD_STATES:
            raise RefusedError(400, {"resource": ["Resource is not in valid state."]})
        offering = self._get("marketplace-provider-offerings", resource["offering_uuid"])
        types = {one["type"] for one in offering["components"]}
        when = datetime.fromisoformat(wanted["date"]) if wanted.get("date") else self.now()
        for item in wanted["usages"]:
            if item["type"] not in types:
                raise RefusedError(400, {"usages": [f"Component {item['type']} is not found."]})
            if not re.fullmatch(r"-?\d{1,18}(\.\d{1,2})?", item["amount"]):
                raise RefusedError(400, {"usages": ["Ensure that there are no more than 2 decimal places."]})
        for item in wanted["usages"]:
            key = {"resource_uuid": resource["uuid"], "type": item["type"], "billing_period": when.strftime("%Y-%m-01")}
            for one in self.all("marketplace-component-usages"):
                if key.items() <= one.items():
                    one["usage"] = item["amount"]
                    break
            else:
                self.add("marketplace-component-usages", **key, usage=item["amount"])
        return 201, None

    def _agent_identity(self, *, body: Any) -> Answer:
        wanted = self._checked(models.AgentIdentityRequest, body)
        return 201, self.add(
            "marketplace-site-agent-identities", **self._times(), **wanted, created_by=None, services=[]
        )

    def _agent_identity_again(self, number: str, *, body: Any) -> Answer:
        self._checked(models.AgentIdentityRequest, body)
        return 200, self._get("marketplace-site-agent-identities", number)

    def _agent_service(self, number: str, *, body: Any) -> Answer:
        wanted = self._checked(models.AgentServiceCreateRequest, body)
        identity = self._get("marketplace-site-agent-identities", number)
        more = {"identity": identity["uuid"], "identity_name": identity["name"], "state": "Active", "processors": []}
        return 201, self.add("marketplace-site-agent-services", **self._times(), **wanted, **more)

    def _agent_processor(self, number: str, *, body: Any) -> Answer:
        wanted = self._checked(models.AgentProcessorCreateRequest, body)
        service = self._get("marketplace-site-agent-services", number)
        more = {"service": service["uuid"], "service_name": service["name"]}
        return 201, self.add("marketplace-site-agent-processors", **self._times(), **wanted, **more)

    def _approve(self, number: str, *, body: Any) -> Answer:
        self._checked(models.OrderApproveByProviderRequest, body or {})
        self._turn(number, before="pending-provider", after="executing")
        return 200, models.OrderInfoResponse.from_dict({"detail": "Order has been approved."}).to_dict()

    def _done(self, number: str, *, body: Any) -> Answer:
        del body
        order = self._turn(number, before="executing", after="done")
        resource = self._get("marketplace-provider-resources", order["marketplace_resource_uuid"])
        resource["state"] = "Terminated" if order["type"] == "Terminate" else "OK"
        if order["type"] == "Update":
            resource["limits"] = order["limits"]
        return 200, {}

    def _erred(self, number: str, *, body: Any) -> Answer:
        wanted = self._checked(models.OrderErrorDetailsRequest, body or {})
        order = self._turn(number, before="executing", after="erred")
        order["error_message"] = wanted.get("error_message", "")
        self._get("marketplace-provider-resources", order["marketplace_resource_uuid"])["state"] = "Erred"
        return 200, {}

    def _set_on_resource(self, number: str, field: str, *, body: Any) -> Answer:
        model = {
            "backend_id": models.ResourceBackendIDRequest,
            "limits": models.ResourceSetLimitsRequest,
            "backend_metadata": models.ResourceBackendMetadataRequest,
        }[field]
        self._get("marketplace-provider-resources", number)[field] = self._checked(model, body)[field]
        return 200, {"status": "set"}

    def _sync_of_resource(self, number: str, what: str, *, body: Any) -> Answer:
        del body
        resource = self._get("marketplace-provider-resources", number)
        resource["state"] = {"set_as_ok": "OK", "set_as_erred": "Erred"}.get(what, resource["state"])
        return 200, {"status": what}

    def _activate(self, number: str, *, body: Any) -> Answer:
        del body
        offering = self._get("marketplace-provider-offerings", number)
        if offering["state"] != "Draft":
            raise RefusedError(409, {"detail": "Offering state is invalid."})
        offering["state"] = "Active"
        return 200, {"detail": "Offering state updated.", "state": "Active"}

    def _component(self, number: str, verb: str, *, body: Any) -> Answer:
        model = models.OfferingComponentRequest if verb == "create" else models.UpdateOfferingComponentRequest
        wanted = self._checked(model, body)
        components = self._get("marketplace-provider-offerings", number)["components"]
        known = next((one for one in components if one["type"] == wanted["type"]), None)
        if verb == "create":
            if known is not None:
                raise RefusedError(400, {"type": ["The component exists already."]})
            components.append({"uuid": uuid.uuid4().hex, **wanted})
            return 201, None
        if known is None:
            raise RefusedError(404, {"detail": "Not found."})
        known.update(wanted)
        return 200, None

    def _update_offering(self, number: str, what: str, *, body: Any) -> Answer:
        model = {
            "integration": models.OfferingIntegrationUpdateRequest,
            "description": models.OfferingDescriptionUpdateRequest,
            "overview": models.OfferingOverviewUpdateRequest,
        }[what]
        self._get("marketplace-provider-offerings", number).update(self._checked(model, body))
        return 200, None

    def _create_offering(self, *, body: Any) -> Answer:
        wanted = self._checked(models.OfferingCreateRequest, body)
        for collection, url in (("marketplace-categories", wanted["category"]), ("customers", wanted["customer"])):
            self._get(collection, url.rstrip("/").rpartition("/")[2])
        components = [{"uuid": uuid.uuid4().hex, **one} for one in wanted.pop("components", [])]
        plans = wanted.pop("plans", [])
        customer = wanted["customer"].rstrip("/").rpartition("/")[2]
        made = self.add(
            "marketplace-provider-offerings",
            **{"backend_id": "", "plugin_options": {}, "description": "", **wanted},
            components=components,
            state="Draft",
            customer_uuid=customer,
            category_uuid=wanted["category"].rstrip("/").rpartition("/")[2],
            partitions=[],
        )
        made["plans"] = [self.add_plan(made, plan) for plan in plans]
        return 201, made

    def _create_plan(self, *, body: Any) -> Answer:
        wanted = self._checked(models.ProviderPlanDetailsRequest, body)
        offering = self._get("marketplace-provider-offerings", wanted["offering"].rstrip("/").rpartition("/")[2])
        plan = self.add_plan(offering, wanted)
        offering.setdefault("plans", []).append(plan)
        return 201, models.ProviderPlanDetails.from_dict(plan).to_dict()

    def _change_plan(self, number: str, *, body: Any) -> Answer:
        plan = self._get("marketplace-plans", number)
        plan.update(self._checked(models.PatchedProviderPlanDetailsRequest, body))
        return 200, models.ProviderPlanDetails.from_dict(plan).to_dict()

    def _prices(self, number: str, *, body: Any) -> Answer:
        wanted = self._checked(models.PricesUpdateRequest, body)
        plan = self._get("marketplace-plans", number)
        types = {
            one["type"] for one in self._get("marketplace-provider-offerings", plan["offering_uuid"])["components"]
        }
        unknown = sorted(set(wanted["prices"]) - types)
        if unknown:
            raise RefusedError(400, {"prices": [f"Component {unknown[0]} is not found."]})
        plan["prices"].update({key: float(value) for key, value in wanted["prices"].items()})
        return 200, None

    def _create_category(self, *, body: Any) -> Answer:
        return 201, self.add("marketplace-categories", **self._checked(models.MarketplaceCategoryRequest, body))

    def _create_customer(self, *, body: Any) -> Answer:
        return 201, self.add("customers", **{"backend_id": "", **self._checked(models.CustomerRequest, body)})

    def _create_service_provider(self, *, body: Any) -> Answer:
        wanted = self._checked(models.ServiceProviderRequest, body)
        customer = wanted["customer"].rstrip("/").rpartition("/")[2]
        if any(one["customer_uuid"] == customer for one in self.all("marketplace-service-providers")):
            raise RefusedError(400, {"customer": ["This field must be unique."]})
        return 201, self.add("marketplace-service-providers", **wanted, customer_uuid=customer)

    def _order(self, kind: str, resource: Entry, *, limits: dict[str, int]) -> Entry:
        return self.add(
            "marketplace-orders",
            type=kind,
            state="pending-provider",
            limits=limits,
            resource_name=resource["name"],
            marketplace_resource_uuid=resource["uuid"],
            offering_uuid=resource["offering_uuid"],
            project_slug=resource["project_slug"],
            backend_id="",
        )

    def _turn(self, number: str, *, before: str, after: str) -> Entry:
        order = self._get("marketplace-orders", number)
        if order["state"] != before:
            raise RefusedError(409, {"detail": f"Order is {order['state']}."})
        order["state"] = after
        return order

    def _get(self, collection: str, number: str) -> Entry:
        entry = self.lists.get(collection, {}).get(number.replace("-", ""))
        if entry is None:
            raise RefusedError(404, {"detail": f"Not found: {collection} {number}."})
        return entry

    def _times(self) -> Entry:
        now = self.now().isoformat()
        return {"created": now, "modified": now}

    def _checked(self, model: Any, body: Any) -> Entry:
        try:
            parsed = model.from_dict(body)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise RefusedError(400, {"non_field_errors": [f"{model.__name__}: {error!r}"]}) from error
        if parsed.additional_properties:
            unknown = ", ".join(parsed.additional_properties)
            raise RefusedError(400, {"non_field_errors": [f"{model.__name__} has no field {unknown}"]})
        checked: Entry = parsed.to_dict()
        return checked


@contextmanager
def serving(stub: StubWaldur, *, port: int = 0) -> Iterator[StubWaldur]:
    """Serve it on the loopback."""

    class Handler(BaseHTTPRequestHandler):
        server_version = NAME
        sys_version = ""

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's name)
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return (
                format_datetime(stub.now(), usegmt=True) if timestamp is None else super().date_time_string(timestamp)
            )

        def answer_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            with stub.lock:
                status, found = stub.answer(self.command, url.path, query, body, self.headers.get("Authorization", ""))
                page, links = _page(found, query, stub.url + url.path)
                sent = b"" if page is None else json.dumps(page).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            if links:
                self.send_header("Link", links)
            self.end_headers()
            self.wfile.write(sent[: len(sent) // 2] if stub.broken == "half" else sent)

    for method in ("GET", "POST", "PUT", "PATCH"):
        setattr(Handler, f"do_{method}", Handler.answer_any)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


def _page(found: Any, query: dict[str, list[str]], url: str) -> tuple[Any, str]:
    if not isinstance(found, list):
        return found, ""
    size, number = int(query.get("page_size", ["10"])[0]), int(query.get("page", ["1"])[0])
    more = f'<{url}?page={number + 1}>; rel="next"' if number * size < len(found) else ""
    return found[(number - 1) * size : number * size], more


def _fields(entry: Entry, query: dict[str, list[str]]) -> Entry:
    wanted = query.get("field")
    return {key: value for key, value in entry.items() if wanted is None or key in wanted}


def _without(entry: Entry, field: str) -> Entry:
    return {key: value for key, value in entry.items() if key != field}
