"""What happens to a machine before K3s, as it synthesizes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from constructs_lib.driver_settings import DriverNeed, DriverSettings
from constructs_lib.k3s_cluster import K3sCluster
from constructs_lib.reboot import RebootSettings
from constructs_lib.testing import synth
from tests.synth.conftest import host, machine
from tests.synth.test_k3s_cluster import GPU_AGENT, PLAIN_AGENT, SERVER, names, script_of, steps

MakeCluster = Callable[..., K3sCluster]
ALLOWED = RebootSettings(allowed=True, timeout_seconds=900, drain_timeout_seconds=120)


def command_of(step: dict[str, Any]) -> str:
    command: str = step["provisioner"][-1]["remote-exec"]["inline"][-1]
    return command


def other_nodes(step: dict[str, Any], made: K3sCluster, folder: Path) -> str:
    """The second word for preflight, as Terraform works it out."""
    expression = re.search(r'"\$\{timestamp\(\)\}" "(\$\{.*\})" &&', command_of(step))
    assert expression
    texts = synth(made.node.root.node.children[0])["locals"]  # type: ignore[arg-type]
    (folder / "main.tf.json").write_text(json.dumps({"locals": texts}))
    argv = ["terraform", f"-chdir={folder}", "console"]
    told = subprocess.run(argv, input=f'"{expression[1]}"\n', capture_output=True, text=True, check=True, timeout=60)
    word: str = json.loads(told.stdout)
    return word


def test_the_time_and_the_other_nodes_reach_preflight_without_being_part_of_what_runs_it_again(
    cluster: MakeCluster, tmp_path: Path
) -> None:
    small, large = cluster(SERVER, GPU_AGENT), cluster(SERVER, GPU_AGENT, PLAIN_AGENT)
    before, after = (steps(made)["gpu-1_machine_preflight_run"] for made in (small, large))
    assert other_nodes(before, small, tmp_path) == "server-1"
    assert sorted(other_nodes(after, large, tmp_path).split(" ")) == ["cpu-1", "server-1"]
    assert before["triggers_replace"] == after["triggers_replace"]


def test_a_single_machine_has_no_other_nodes(cluster: MakeCluster, tmp_path: Path) -> None:
    made = cluster(SERVER)
    assert other_nodes(steps(made)["server-1_machine_preflight_run"], made, tmp_path) == ""


def test_terraform_makes_of_a_steps_text_the_very_script_whose_checksum_runs_it_again(
    cluster: MakeCluster, tmp_path: Path
) -> None:
    made = cluster(SERVER, GPU_AGENT)
    locals_ = dict(synth(made.node.root.node.children[0])["locals"])  # type: ignore[arg-type]
    wanted = {name: step for name, step in steps(made).items() if name.endswith("_run")}
    for name, step in wanted.items():
        (locals_[f"content_{name}"],) = [
            entry["file"]["content"] for entry in step["provisioner"] if "content" in entry.get("file", {})
        ]
    (tmp_path / "main.tf.json").write_text(json.dumps({"locals": locals_}))
    asked = ", ".join(f"{json.dumps(name)} = sha256(local.content_{name})" for name in wanted)
    told = subprocess.run(
        ["terraform", f"-chdir={tmp_path}", "console"],
        input=f"jsonencode({{{asked}}})\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(json.loads(told.stdout)) == {
        name: step["triggers_replace"]["script_sha256"] for name, step in wanted.items()
    }


def test_no_reboot_unless_it_is_allowed(cluster: MakeCluster) -> None:
    found = steps(cluster(SERVER, GPU_AGENT, driver=DriverSettings(mode="ubuntu")))
    assert not [name for name in found if "reboot" in name]
    assert "REBOOT_MAY_FOLLOW=0" in script_of(found["gpu-1_machine_driver_run"])


def test_a_reboot_is_two_resources_between_driver_and_toolkit(cluster: MakeCluster) -> None:
    found = steps(cluster(SERVER, GPU_AGENT, driver=DriverSettings(mode="ubuntu"), reboot=ALLOWED))
    start, done = found["gpu-1_machine_reboot_run"], found["gpu-1_machine_reboot_rebooted_run"]
    assert "REBOOT_MAY_FOLLOW=1" in script_of(found["gpu-1_machine_driver_run"])
    assert names(start["depends_on"]) == {"gpu-1_machine_driver_run"}
    assert names(done["depends_on"]) == {"gpu-1_machine_reboot_run"}
    assert names(found["gpu-1_machine_toolkit_run"]["depends_on"]) == {"gpu-1_machine_reboot_rebooted_run"}
    for step in (start, done):
        assert names(step["lifecycle"]["replace_triggered_by"]) == {"gpu-1_machine_driver_run"}
    assert done["connection"]["timeout"] == "900s", "Terraform tries to log in for so long"
    assert not [name for name in found if name.startswith("server-1_machine_reboot")]


def test_servers_reboot_one_after_the_other(cluster: MakeCluster) -> None:
    servers = [machine(f"s-{n}", role="server", gpus=1, host=host(f"192.0.2.2{n}")) for n in (1, 2, 3)]
    found = steps(cluster(*servers, reboot=ALLOWED))
    assert "s-1_machine_reboot_rebooted_run" in names(found["s-2_machine_reboot_run"]["depends_on"])
    assert "s-2_machine_reboot_rebooted_run" in names(found["s-3_machine_reboot_run"]["depends_on"])


def test_the_drivers_step_knows_what_is_needed_and_by_whom(cluster: MakeCluster) -> None:
    needs = (DriverNeed(minimum=560, needed_by="the image triton 24.08"),)
    script = script_of(
        steps(cluster(SERVER, GPU_AGENT, driver=DriverSettings(needs=needs)))["gpu-1_machine_driver_run"]
    )
    assert "MINIMUM=560\nMINIMUM_NEEDED_BY='the image triton 24.08'\n" in script
