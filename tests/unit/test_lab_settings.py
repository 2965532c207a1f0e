"""What the environment makes of the lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.settings import load_settings


def test_the_default_lab_has_one_server_and_two_gpu_agents_at_fixed_addresses() -> None:
    settings = load_settings({})
    assert [(node.name, node.role, node.gpus, node.address) for node in settings.nodes] == [
        ("server-1", "server", 0, "172.29.0.11"),
        ("gpu-1", "agent", 2, "172.29.0.12"),
        ("gpu-2", "agent", 1, "172.29.0.13"),
    ]
    assert (settings.gateway, settings.site_address) == ("172.29.0.1", "172.29.0.2")
    assert settings.fleet_file.relative_to(settings.project) == Path("fleets/lab.yaml")


def test_further_nodes_come_after_the_others() -> None:
    settings = load_settings({"LAB_NODES": "a=server b=agent:16 c=server", "LAB_SUBNET": "10.9.8.0/24"})
    assert [(node.name, node.address, node.gpus) for node in settings.nodes] == [
        ("a", "10.9.8.11", 0),
        ("b", "10.9.8.12", 16),
        ("c", "10.9.8.13", 0),
    ]


def test_a_lab_of_another_name_leaves_the_first_ones_fleet_file_alone() -> None:
    settings = load_settings({"LAB_NAME": "other"})
    assert settings.fleet_file.relative_to(settings.project) == Path("build/other.yaml")
    assert settings.container(settings.nodes[0]) == "other-server-1"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LAB_SUBNET", "172.29.0.0/16", "not a private /24"),
        ("LAB_SUBNET", "8.8.8.0/24", "not a private /24"),
        ("LAB_SUBNET", "172.29.0.7/24", "has host bits set"),
        ("LAB_SUBNET", "here", "no IPv4 network"),
        ("LAB_SUBNET", "10.42.3.0/24", "K3s's own"),
        ("LAB_NAME", "My Lab", "lower-case"),
        ("LAB_NODES", "a=master", "role server or agent"),
        ("LAB_NODES", "a=agent:17", "at most 16 GPUs"),
        ("LAB_NODES", "a=agent a=server", "the name 'a' is taken"),
        ("LAB_NODES", "site=agent", "the name 'site' is taken"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_what_is_allowed(variable: str, value: str, said: str) -> None:
    with pytest.raises(LabError, match=variable) as refusal:
        load_settings({variable: value})
    assert said in str(refusal.value)


def test_more_nodes_than_the_subnet_holds_are_refused() -> None:
    with pytest.raises(LabError, match="201 nodes; at most 200"):
        load_settings({"LAB_NODES": " ".join(f"n{number}=agent" for number in range(201))})
