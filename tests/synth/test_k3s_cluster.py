"""What a cluster synthesizes to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.destroy_step import DestroyStep
from constructs_lib.k3s_cluster import K3sCluster
from constructs_lib.k3s_release import ImageArchive
from constructs_lib.machine import Machine
from constructs_lib.offline_bundle import BundleFile
from constructs_lib.testing import assert_contains, resources, synth
from tests.synth.conftest import HOST_KEY, RELEASE, host, machine

MakeCluster = Callable[..., K3sCluster]


def steps(cluster: K3sCluster) -> dict[str, Any]:
    """The cluster's `terraform_data` by path, for example `gpu-1_node_k3s_run`."""
    found = resources(synth(cluster.node.root.node.children[0]), "terraform_data")  # type: ignore[arg-type]
    return {name.removeprefix("cluster_").rsplit("_", 1)[0]: body for name, body in found.items()}


def script_of(step: dict[str, Any]) -> str:
    """The uploaded script as it arrives on the machine."""
    content: str = next(entry["file"]["content"] for entry in step["provisioner"] if "content" in entry.get("file", {}))
    return content.replace("$${", "${").replace("%%{", "%{")


def config_of(step: dict[str, Any]) -> dict[str, Any]:
    """K3s's configuration in the uploaded script."""
    text = script_of(step).split("CONFIG='", 1)[1].split("'\n", 1)[0]
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def names(dependencies: list[str]) -> set[str]:
    return {address.removeprefix("terraform_data.cluster_").rsplit("_", 1)[0] for address in dependencies}


SERVER = machine("server-1", role="server", host=host("192.0.2.10"))
GPU_AGENT = machine("gpu-1", gpus=2, host=host("192.0.2.11"), labels={"site": "roof"}, taints=("a=b:NoSchedule",))
PLAIN_AGENT = machine("cpu-1", host=host("192.0.2.12"))


def test_gpu_steps_come_before_k3s_and_only_on_machines_with_gpus(cluster: MakeCluster) -> None:
    found = steps(cluster(SERVER, GPU_AGENT, PLAIN_AGENT))
    assert names(found["gpu-1_machine_driver_run"]["depends_on"]) == {"gpu-1_machine_preflight_run"}
    assert names(found["gpu-1_machine_toolkit_run"]["depends_on"]) == {"gpu-1_machine_driver_run"}
    assert "gpu-1_machine_toolkit_run" in names(found["gpu-1_node_k3s_run"]["depends_on"])
    assert not [
        name
        for name in found
        if name.startswith(("server-1_machine_driver", "cpu-1_machine_driver", "cpu-1_machine_toolkit"))
    ]
    assert "cpu-1_machine_preflight_run" in names(found["cpu-1_node_k3s_run"]["depends_on"])


def test_with_a_bundle_machines_read_their_files_from_it_and_nowhere_else(cluster: MakeCluster) -> None:
    archive = ImageArchive(url="https://mirror.example.com/images/app.tar", sha256="c" * 64)
    release = dataclasses.replace(RELEASE, image_archives=(archive,))
    found = steps(cluster(SERVER, GPU_AGENT, release=release, bundle=BundleFile(path=Path("/b"), sha256="d" * 64)))
    assert names(found["gpu-1_machine_bundle_run"]["depends_on"]) == {"gpu-1_machine_preflight_run"}
    assert "gpu-1_machine_bundle_run" in names(found["gpu-1_machine_driver_run"]["depends_on"])
    assert "server-1_machine_bundle_run" in names(found["server-1_node_k3s_run"]["depends_on"])
    k3s, toolkit = script_of(found["gpu-1_node_k3s_run"]), script_of(found["gpu-1_machine_toolkit_run"])
    assert "K3S_URL=file:///var/lib/edge-gpu/bundle/k3s/v1.36.2%2Bk3s1/k3s\n" in k3s
    assert f"IMAGE_ARCHIVES='{'c' * 64} file:///var/lib/edge-gpu/bundle/images/app.tar'\n" in k3s
    assert "APT_REPOSITORY=file:///var/lib/edge-gpu/bundle/apt\n" in toolkit
    for script in (k3s, toolkit):
        assert not set(re.findall(r"https?://[a-z0-9.]+", script)) - {
            "https://k3s.io",
            "https://192.0.2.10",
            "https://127.0.0.1",
        }


def test_a_bundle_is_uploaded_again_only_when_it_changed(cluster: MakeCluster) -> None:
    def triggers(path: str, digit: str) -> Any:
        found = steps(cluster(SERVER, bundle=BundleFile(path=Path(path), sha256=digit * 64)))
        return {name: body.get("triggers_replace") for name, body in found.items()}

    first, moved, other = triggers("/a", "1"), triggers("/b", "1"), triggers("/a", "2")
    assert first == moved
    assert [name for name in first if first[name] != other[name]] == ["server-1_machine_bundle_run"]


def test_a_bundle_with_a_relative_path_is_refused(cluster: MakeCluster) -> None:
    with pytest.raises(ValueError, match=r"the bundle's path must be absolute, got 'site\.bundle'"):
        cluster(SERVER, bundle=BundleFile(path=Path("site.bundle"), sha256="1" * 64))


def test_an_agent_joins_after_the_servers_and_is_removed_before_them(cluster: MakeCluster) -> None:
    found = steps(cluster(SERVER, PLAIN_AGENT))
    assert "depends_on" not in found["cpu-1_machine_preflight_run"], "machines are looked at side by side"
    assert names(found["agent-removal_on-destroy"]["depends_on"]) == {"server-removal_on-destroy"}
    assert names(found["cpu-1_node_k3s_run"]["depends_on"]) == {
        "cpu-1_machine_preflight_run",
        "agent-removal_on-destroy",
        "server-1_node_k3s_run",
    }


def test_servers_are_installed_and_upgraded_one_after_the_other_then_the_agents(cluster: MakeCluster) -> None:
    servers = [machine(f"s-{n}", role="server", host=host(f"192.0.2.{n}")) for n in (1, 2, 3)]
    found = steps(cluster(*servers, PLAIN_AGENT))
    after = {name: names(found[f"{name}_node_k3s_run"]["depends_on"]) for name in ("s-1", "s-2", "s-3", "cpu-1")}
    assert not any(name.endswith("_k3s_run") for name in after["s-1"])
    assert {name for name in after["s-2"] if name.endswith("_k3s_run")} == {"s-1_node_k3s_run"}
    assert {name for name in after["s-3"] if name.endswith("_k3s_run")} == {"s-2_node_k3s_run"}
    assert {name for name in after["cpu-1"] if name.endswith("_k3s_run")} == {"s-3_node_k3s_run"}


def test_the_configuration_names_token_files_and_joins_at_the_first_server(cluster: MakeCluster) -> None:
    found = steps(cluster(SERVER, GPU_AGENT))
    assert config_of(found["server-1_node_k3s_run"]) == {
        "node-name": "server-1",
        "token-file": "/etc/rancher/k3s/token",
        "agent-token-file": "/etc/rancher/k3s/agent-token",
        "tls-san": ["192.0.2.10"],
        "write-kubeconfig-mode": "0600",
        "node-label": [],
        "node-taint": [],
    }
    assert config_of(found["gpu-1_node_k3s_run"]) == {
        "node-name": "gpu-1",
        "token-file": "/etc/rancher/k3s/token",
        "server": "https://192.0.2.10:6443",
        "node-label": ["nvidia.com/gpu.present=true", "site=roof"],
        "node-taint": ["a=b:NoSchedule"],
    }


def test_three_servers_share_an_etcd_that_the_first_one_starts(cluster: MakeCluster) -> None:
    servers = [machine(f"s-{n}", role="server", host=host(f"192.0.2.{n}")) for n in (1, 2, 3)]
    found = steps(cluster(*servers))
    assert config_of(found["s-1_node_k3s_run"])["cluster-init"] is True
    assert_contains(config_of(found["s-2_node_k3s_run"]), {"server": "https://192.0.2.1:6443"})
    assert "cluster-init" not in config_of(found["s-2_node_k3s_run"])
    assert config_of(found["s-1_node_k3s_run"])["tls-san"] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_every_connection_pins_the_host_key_and_keeps_scripts_out_of_tmp(cluster: MakeCluster) -> None:
    for name, step in steps(cluster(SERVER, GPU_AGENT)).items():
        if name.endswith("removal_on-destroy"):
            assert all(instance["machine"]["host_key"] == HOST_KEY for instance in step["for_each"].values())
            continue
        connection = step["connection"]
        assert "/tmp" not in connection["script_path"]
        assert_contains(
            connection, {"host_key": HOST_KEY, "private_key": '${file("/keys/id")}', "agent": "false", "timeout": "60s"}
        )


def test_a_machine_is_an_instance_of_one_block_so_that_its_removal_runs_when_it_leaves_the_fleet(
    cluster: MakeCluster,
) -> None:
    step = steps(cluster(SERVER, GPU_AGENT, PLAIN_AGENT))["agent-removal_on-destroy"]
    assert set(step["for_each"]) == {"gpu-1", "cpu-1"}
    assert step["triggers_replace"] == "${each.value.machine}"
    login = step["for_each"]["cpu-1"]["login"]
    assert login["private_key_path"] == "/keys/id", "another operator's key path is no replacement"
    assert [server["name"] for server in json.loads(login["servers"])] == ["server-1"]


def test_the_last_agents_block_stays_when_there_are_no_agents(cluster: MakeCluster) -> None:
    assert steps(cluster(SERVER))["agent-removal_on-destroy"]["for_each"] == {}


def test_a_removal_reads_only_itself_and_runs_at_destroy_alone(cluster: MakeCluster) -> None:
    for step in (body for name, body in steps(cluster(SERVER, PLAIN_AGENT)).items() if name.endswith("on-destroy")):
        (entry,) = step["provisioner"]
        body = entry["local-exec"]
        assert body["when"] == "destroy"
        for value in body["environment"].values():
            assert "${" not in value or set(re.findall(r"\b(self|each|var|local|terraform_data)\.", value)) <= {
                "self",
                "each",
            }


def test_secrets_are_uploaded_as_files_and_are_in_no_script(cluster: MakeCluster) -> None:
    found = steps(cluster(SERVER, PLAIN_AGENT))
    for name, folder in (("server-1", "server"), ("cpu-1", "agent")):
        sources = [
            e["file"]["source"] for e in found[f"{name}_node_k3s_run"]["provisioner"] if "source" in e.get("file", {})
        ]
        assert sources == [f"/edge/test/{folder}/"]


def test_shell_and_curl_braces_are_escaped_for_terraform(cluster: MakeCluster) -> None:
    made = cluster(SERVER, GPU_AGENT)
    texts: dict[str, str] = synth(made.node.root.node.children[0])["locals"]  # type: ignore[arg-type]
    contents = [
        entry.get("file", {}).get("content", "") for step in steps(made).values() for entry in step["provisioner"]
    ]
    shared = [content.removesuffix(f"${{local.{name}}}") for content in contents for name in texts if name in content]
    assert len(shared) == sum("\n" in content for content in contents) == 6
    for text in [*shared, *texts.values()]:
        assert "${" not in text.replace("$${", "")
        assert "%{" not in text.replace("%%{", "")


def test_the_text_that_every_machine_gets_is_written_once(cluster: MakeCluster) -> None:
    made = cluster(SERVER, GPU_AGENT, PLAIN_AGENT)
    found = steps(made)
    texts = synth(made.node.root.node.children[0])["locals"]  # type: ignore[arg-type]
    for name in ("server-1", "gpu-1", "cpu-1"):
        step = found[f"{name}_machine_preflight_run"]
        content = script_of(step)
        assert content.endswith("${local.edge_gpu_preflight}")
        whole = content.replace("${local.edge_gpu_preflight}", texts["edge_gpu_preflight"])
        whole = whole.replace("$${", "${").replace("%%{", "%{")
        assert hashlib.sha256(whole.encode()).hexdigest() == step["triggers_replace"]["script_sha256"]


def test_no_destroy_provisioner_refers_to_more_than_its_own_resource(cluster: MakeCluster) -> None:
    stack = cluster(SERVER).node.root.node.children[0]
    DestroyStep(stack, "removal", host=host(), node="n", script="offline_bundle_remove.sh", parameters={})
    found = resources(synth(stack), "terraform_data")  # type: ignore[arg-type]
    blocks = [entry for step in found.values() for entry in step["provisioner"]]
    blocks = [body for entry in blocks for body in entry.values() if body.get("when") == "destroy"]
    assert len(blocks) > 3
    assert not [body for body in blocks if re.search(r"\$\{(local|var|terraform_data)\.", json.dumps(body))]


@pytest.mark.parametrize(
    ("machines", "message"),
    [
        ((PLAIN_AGENT,), "0 machines have the role server; allowed are 1, 3, 5"),
        ((SERVER, machine("s", role="server")), "2 machines have the role server"),
        ((SERVER, PLAIN_AGENT, PLAIN_AGENT), "the name 'cpu-1' is used by more than one machine"),
    ],
)
def test_an_impossible_cluster_is_refused(cluster: MakeCluster, machines: tuple[Machine, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cluster(*machines)


def test_gpus_without_a_toolkit_are_refused(cluster: MakeCluster) -> None:
    with pytest.raises(ValueError, match="'gpu-1' has GPUs but no toolkit is given"):
        cluster(SERVER, GPU_AGENT, toolkit=None)


def test_a_missing_checksum_is_refused_with_its_address(cluster: MakeCluster) -> None:
    odd = machine("odd", role="server", architecture="riscv64")
    with pytest.raises(ValueError, match=r"no sha256 for riscv64.*v1\.36\.2%2Bk3s1/sha256sum-riscv64\.txt"):
        cluster(odd)
