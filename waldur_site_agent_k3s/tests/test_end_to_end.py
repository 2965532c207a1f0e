"""The real agent, its processes started as in production, between a stub of Waldur and a stand-in of Kubernetes.

Order, namespace, members, usage, invoice, pause, resume, new limits, termination with its final usage.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from fake_kubernetes import FakeKubernetes
from stub_prometheus import StubPrometheus, serving_prometheus
from stub_waldur import TOKEN, Entry, StubWaldur, serving

from waldur_site_agent_k3s.ownership import SINCE_ANNOTATION, STATE_ANNOTATION

PACKAGE = Path(__file__).resolve().parents[1]
NAMESPACE = "waldur-vision"
LIMITS = {"gpu": 2, "cpu": 8, "ram": 32}
PRICES = {"gpu": 10, "gpu_hours": 0.75, "cpu": 2, "ram": 0.5}
BILLING = {"gpu": "limit", "gpu_hours": "usage", "cpu": "limit", "ram": "limit"}


class Site:
    """A site: its agent's configuration, and what stands around it."""

    def __init__(
        self, folder: Path, *, waldur: StubWaldur, prometheus: StubPrometheus, cluster: FakeKubernetes
    ) -> None:
        self.waldur, self.prometheus, self.cluster = waldur, prometheus, cluster
        self.offering = waldur.add(
            "marketplace-provider-offerings",
            name="Edge GPU",
            components=[{"type": kind, "name": kind, "billing_type": billing} for kind, billing in BILLING.items()],
            customer_uuid=uuid.uuid4().hex,
            plugin_options={},
            partitions=[],
        )
        waldur.add_plan(self.offering, {"name": "Default", "prices": PRICES})
        waldur.add("marketplace-service-providers", customer_uuid=self.offering["customer_uuid"])
        self.project = waldur.add("projects", name="Robots", slug="robots", customer_uuid=uuid.uuid4().hex)
        for name, role in (("alice", "manager"), ("bob", "member")):
            self.join(name, role=role)
        self.config = folder / "config.yaml"
        self.token = folder / "token"
        self.token.write_text(TOKEN)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(_kubeconfig(cluster.url))
        self.config.write_text(yaml.safe_dump(self._configuration(str(kubeconfig))))
        # What pip would write, from the same file.
        project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
        info = folder / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
        points = [
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
            for group, entries in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("".join(points))
        self.path = os.pathsep.join([str(folder / "site"), str(PACKAGE / "src")])
        self.log = folder / "agent.log"

    def join(self, name: str, *, role: str, expires: str | None = None) -> None:
        """A member of the project's team."""
        number = uuid.uuid5(uuid.NAMESPACE_DNS, name).hex
        self.waldur.add(
            "team",
            uuid=number,
            username=name,
            full_name=name,
            role=role,
            expiration_time=expires,
            offering_user_username=name,
            offering_user_state="OK",
            project_uuid=self.project["uuid"],
        )
        self.waldur.add(
            "marketplace-offering-users",
            user_uuid=number,
            username=name,
            user_username=name,
            state="OK",
            offering_uuid=self.offering["uuid"],
        )

    @contextlib.contextmanager
    def agent(self, mode: str) -> Iterator[None]:
        """The agent runs in a mode."""
        with self.log.open("a") as log:
            command = [sys.executable, "-m", "waldur_site_agent.main", "-m", mode, "-c", str(self.config)]
            environment = {"PYTHONPATH": self.path, "PATH": os.environ["PATH"], "HOME": str(self.log.parent)}
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                yield
                assert process.poll() is None, self.log.read_text()
            finally:
                process.kill()
                process.wait()

    def until(self, true: Callable[[], object], *, mode: str) -> None:
        """Run the agent until something is so."""
        with self.agent(mode):
            end = time.monotonic() + 120
            while not true():
                assert time.monotonic() < end, self.log.read_text()[-6000:]
                time.sleep(0.1)

    def resource(self) -> Entry:
        """The resource in Waldur."""
        (found,) = self.waldur.all("marketplace-provider-resources")
        return found

    def hard(self) -> dict[str, str]:
        """The tenant's quota."""
        quota = self.cluster.get("resourcequotas", "waldur", namespace=NAMESPACE)
        found: dict[str, str] = quota["spec"]["hard"] if quota else {}
        return found

    def usage(self) -> list[str]:
        """What is written to Waldur."""
        return [one["usage"] for one in self.waldur.all("marketplace-component-usages") if one["type"] == "gpu_hours"]

    def _configuration(self, kubeconfig: str) -> object:
        api = f"{self.waldur.url}/api/"
        components = {
            kind: {"measured_unit": kind, "unit_factor": 1, "accounting_type": billing, "label": kind}
            for kind, billing in BILLING.items()
        }
        settings = {
            "kubeconfig": kubeconfig,
            "prometheus_url": self.prometheus.url,
            "waldur_api_url": api,
            "waldur_api_token_file": str(self.token),
            "delete_timeout_seconds": 5,
        }
        offering = {
            "name": "Edge GPU",
            "waldur_api_url": api,
            "waldur_api_token": TOKEN,
            "waldur_offering_uuid": self.offering["uuid"],
            "backend_type": "k3s",
            "order_processing_backend": "k3s",
            "membership_sync_backend": "k3s",
            "reporting_backend": "k3s",
            "backend_settings": settings,
            "backend_components": components,
        }
        return {"offerings": [offering], "timezone": "UTC"}


@pytest.fixture
def site(tmp_path: Path, fake: FakeKubernetes) -> Iterator[Site]:
    """A site with an order for two GPUs."""
    with serving(StubWaldur()) as waldur, serving_prometheus(StubPrometheus()) as prometheus:
        site = Site(tmp_path, waldur=waldur, prometheus=prometheus, cluster=fake)
        waldur.order(site.offering, name="vision", limits=LIMITS, project=site.project)
        yield site
    assert waldur.unknown == [], "the agent asked the stub for what it does not have"


def done(site: Site) -> Callable[[], bool]:
    """Whether all orders are done."""
    return lambda: {one["state"] for one in site.waldur.all("marketplace-orders")} == {"done"}


def test_order_namespace_usage_invoice_terminate(site: Site) -> None:
    site.until(done(site), mode="order_process")
    assert site.resource()["state"] == "OK"
    assert site.resource()["backend_id"] == NAMESPACE
    assert site.hard()["requests.nvidia.com/gpu"] == "2"
    site.until(lambda: len(site.cluster.names("rolebindings", namespace=NAMESPACE)) == 2, mode="membership_sync")
    bindings = [site.cluster.get("rolebindings", one, namespace=NAMESPACE) for one in _bindings(site)]
    roles = {one["subjects"][0]["name"]: one["roleRef"]["name"] for one in bindings if one}
    assert roles == {"alice": "admin", "bob": "edit"}

    _since(site, datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0))
    site.prometheus.gpu_minutes = 150
    site.until(lambda: site.usage() == ["2.50"], mode="report")
    invoice = site.waldur.invoice(site.resource())
    assert invoice == {kind: Decimal(text) for kind, text in _money(gpu_hours="1.88").items()}
    assert sum(invoice.values()) == Decimal("53.88")

    site.waldur.terminate(site.resource())
    site.prometheus.gpu_minutes = 180
    site.until(done(site), mode="order_process")
    assert site.resource()["state"] == "Terminated"
    assert NAMESPACE not in site.cluster.names("namespaces")
    assert site.usage() == ["3.00"]
    writes = site.cluster.writes
    assert writes[-1] == f"DELETE /api/v1/namespaces/{NAMESPACE}"


def test_pause_resume_and_new_limits_reach_the_cluster_and_nothing_flows_back(site: Site) -> None:
    site.until(done(site), mode="order_process")
    site.resource()["paused"] = True
    site.until(lambda: site.hard().get("pods") == "0", mode="membership_sync")
    assert site.resource()["limits"] == LIMITS, "a paused quota is not what was bought"
    site.resource()["paused"] = False
    site.until(lambda: _annotation(site, STATE_ANNOTATION) == "normal", mode="membership_sync")
    assert "pods" not in site.hard()
    site.waldur.update_limits(site.resource(), {**LIMITS, "gpu": 1})
    site.until(done(site), mode="order_process")
    assert site.hard()["requests.nvidia.com/gpu"] == "1"
    assert site.resource()["state"] == "OK"


def test_a_member_whose_time_is_over_loses_access_even_while_waldur_still_lists_them(site: Site) -> None:
    site.join("eve", role="member", expires="2020-01-01T00:00:00+00:00")
    site.until(done(site), mode="order_process")
    site.until(lambda: len(_bindings(site)) == 2, mode="membership_sync")
    assert "eve" not in {
        one["metadata"]["annotations"]["waldur.edge-gpu/username"]
        for key, one in site.cluster.objects.items()
        if key[0] == "rolebindings"
    }


def test_an_agent_killed_between_namespace_and_answer_finishes_the_order_when_it_runs_again(site: Site) -> None:
    with site.agent("order_process"):
        end = time.monotonic() + 120
        while NAMESPACE not in site.cluster.names("namespaces"):
            assert time.monotonic() < end, site.log.read_text()[-6000:]
            time.sleep(0.001)
    site.until(done(site), mode="order_process")
    assert site.hard()["requests.nvidia.com/gpu"] == "2"
    assert site.cluster.names("namespaces") == [NAMESPACE]


def test_while_usage_is_unknown_the_namespace_is_stopped_and_kept_and_nothing_is_written(site: Site) -> None:
    site.until(done(site), mode="order_process")
    _since(site, datetime(2020, 1, 1, tzinfo=UTC))
    site.prometheus.coverage = 1
    site.waldur.terminate(site.resource())
    site.until(lambda: "final usage cannot be sent" in site.log.read_text(), mode="order_process")
    assert NAMESPACE in site.cluster.names("namespaces")
    assert site.hard()["pods"] == "0"
    assert site.usage() == []
    site.prometheus.coverage, site.prometheus.gpu_minutes = None, 60
    site.until(done(site), mode="order_process")
    assert site.usage() == ["1.00"]
    assert NAMESPACE not in site.cluster.names("namespaces")


def test_a_gap_in_the_data_is_withheld_and_caught_up_and_never_reported_as_zero(site: Site) -> None:
    site.until(done(site), mode="order_process")
    _since(site, datetime(2020, 1, 1, tzinfo=UTC))
    site.prometheus.coverage = 1
    site.until(lambda: "the usage is withheld" in site.log.read_text(), mode="report")
    assert site.usage() == []
    site.prometheus.coverage, site.prometheus.gpu_minutes = None, 90
    site.until(lambda: "1.50" in site.usage(), mode="report")


def test_an_order_that_names_a_foreign_namespace_is_erred_with_the_reason(site: Site) -> None:
    site.cluster.put("namespaces", NAMESPACE)
    (order,) = site.waldur.all("marketplace-orders")
    site.until(lambda: order["state"] == "erred", mode="order_process")
    assert "is not Waldur's" in order["error_message"]
    assert site.cluster.names("resourcequotas", namespace=NAMESPACE) == []


def _bindings(site: Site) -> list[str]:
    return site.cluster.names("rolebindings", namespace=NAMESPACE)


def _annotation(site: Site, name: str) -> str:
    return _annotations(site)[name]


def _since(site: Site, when: datetime) -> None:
    _annotations(site)[SINCE_ANNOTATION] = when.isoformat()


def _annotations(site: Site) -> dict[str, str]:
    namespace = site.cluster.get("namespaces", NAMESPACE)
    assert namespace is not None
    found: dict[str, str] = namespace["metadata"]["annotations"]
    return found


def _money(*, gpu_hours: str) -> dict[str, str]:
    return {"gpu": "20.00", "gpu_hours": gpu_hours, "cpu": "16.00", "ram": "16.00"}


def _kubeconfig(url: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": url}}],
            "users": [{"name": "fake", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }
    )
