"""What a valid fleet file is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.fleet import load_fleet, parse_fleet

ROOT = Path(__file__).resolve().parents[2]
GOOD = ROOT / "tests" / "fleets" / "good"
SAFE = (GOOD / "merge-keys.yaml").read_text(encoding="utf-8")


def warnings(text: str) -> list[str]:
    return parse_fleet(text, source="-").warnings()


def test_a_fleet_with_nothing_to_warn_of_gets_no_warning() -> None:
    assert warnings(SAFE) == []


def test_a_node_whose_host_key_is_not_checked_is_named_first() -> None:
    found = load_fleet(GOOD / "every-key.yaml").warnings()
    assert found[0].startswith("nodes[3] gpu-1: HOST KEY NOT CHECKED")


@pytest.mark.parametrize(
    ("addition", "key"),
    [
        ("device_plugin: {chart_repository: http://mirror.example.com/charts}", "device_plugin.chart_repository"),
        ("container_toolkit: {apt_key_url: http://mirror.example.com/gpgkey}", "container_toolkit.apt_key_url"),
        ("backend: {type: http, address: http://state.example.com/edge}", "backend.address"),
        (
            "backend: {type: s3, bucket: edge, key: a, region: eu, endpoint: http://minio.example.com}",
            "backend.endpoint",
        ),
    ],
)
def test_plain_http_without_a_checksum_is_warned_of(addition: str, key: str) -> None:
    (found,) = warnings(f"{SAFE}{addition}\n")
    assert found.startswith(f"{key}: http://")
    assert warnings(f"{SAFE}{addition}\n".replace("http://", "https://")) == []


def test_plain_http_with_a_pinned_checksum_is_fine() -> None:
    pinned = f"container_toolkit: {{apt_key_url: http://mirror.example.com/gpgkey, apt_key_sha256: {'0a' * 32}}}\n"
    assert warnings(SAFE + pinned) == []


def test_the_example_is_warned_of_its_placeholder_only() -> None:
    (found,) = load_fleet(ROOT / "fleets" / "example.yaml").warnings()
    assert found.startswith("k3s.sha256.amd64: one digit repeated is a placeholder")


def test_a_host_key_that_terraform_may_not_ask_for_is_warned_of() -> None:
    ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhWPC8d249kpCAijDKFVTENOGg3rOR+Wuo91M/hnsjn"
    first = parse_fleet(SAFE, source="-").nodes[0].host_key
    assert first is not None
    (found,) = warnings(SAFE.replace(first, ed25519))
    assert found.startswith("nodes[0] server-1: host_key is ssh-ed25519")


def test_a_host_key_of_two_nodes_is_warned_of() -> None:
    fleet = parse_fleet(SAFE, source="-")
    one, other = fleet.nodes[0].host_key, fleet.nodes[1].host_key
    assert one is not None
    assert other is not None
    (found,) = warnings(SAFE.replace(other, one))
    assert found.startswith("nodes[1] gpu-1: has the same host_key as server-1")


def test_a_fleet_without_gpus_is_warned_of() -> None:
    (found,) = load_fleet(GOOD / "smallest.yaml").warnings()
    assert found.startswith("nodes: no node has `gpus`")
