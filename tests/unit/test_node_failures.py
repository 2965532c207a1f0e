"""Which node failed in which phase, from what cdktf prints."""

from __future__ import annotations

from scripts.fleet_report import SeenCheck, SeenNode, WantedNode, compare
from scripts.node_failures import NodeFailure, node_failures
from scripts.report import as_text

PRINTED = """\
edge-gpu  terraform_data.cluster_gpu-1_node_k3s_run_1 (cluster/gpu-1/node/k3s/run) (remote-exec): ERROR node=gpu-1 step=k3s: K3s does not start
          terraform_data.cluster_gpu-1_node_k3s_run_1 (cluster/gpu-1/node/k3s/run) (remote-exec):   cause: see above
edge-gpu  Error: remote-exec provisioner error

            with terraform_data.cluster_gpu-1_node_k3s_run_1 (cluster/gpu-1/node/k3s/run),
            on cdk.tf.json line 24, in resource.terraform_data.cluster_gpu-1_node_k3s_run_1 (cluster/gpu-1/node/k3s/run).provisioner[0]:
            24:             }

          error executing "/home/edge/x.sh": Process exited with status 1
edge-gpu  Error: remote-exec provisioner error

            with terraform_data.cluster_gpu-2_machine_preflight_run_2 (cluster/gpu-2/machine/preflight/run),
            on cdk.tf.json line 99, in resource.terraform_data.cluster_gpu-2_machine_preflight_run_2 (cluster/gpu-2/machine/preflight/run).provisioner[0]:
            99:             }

          timeout - last error: dial tcp 192.0.2.13:22: connect: no route to host
edge-gpu  Error: local-exec provisioner error

            with terraform_data.cluster_agent-removal_on-destroy_3 (cluster/agent-removal/on-destroy)["gpu-3"],

          Error running command: exit status 1.
Invoking Terraform CLI failed with exit code 1
""".splitlines()  # noqa: E501 (as cdktf prints them)

NODES = ("server-1", "gpu-1", "gpu-2", "gpu-3")


def test_each_failed_node_is_named_with_its_phase_and_what_was_said() -> None:
    failures = node_failures(PRINTED, nodes=NODES)
    assert failures == {
        "gpu-1": NodeFailure(phase="k3s", text="K3s does not start"),
        "gpu-2": NodeFailure(
            phase="preflight",
            text="remote-exec provisioner error timeout - last error: "
            "dial tcp 192.0.2.13:22: connect: no route to host",
        ),
        "gpu-3": NodeFailure(
            phase="removal", text="local-exec provisioner error Error running command: exit status 1."
        ),
    }


def test_the_report_says_where_each_node_failed_and_which_are_fine() -> None:
    version = "v1.36.2+k3s1"
    wanted = [WantedNode(name=name, role="agent", gpus=0, k3s_version=version) for name in NODES[:3]]
    seen = {"server-1": SeenNode(k3s_version=version, ready=True, gpus=0)}
    checks: dict[str, SeenCheck] = {}
    report = compare(fleet="lab", wanted=wanted, seen=seen, checks=checks, failures=node_failures(PRINTED, nodes=NODES))
    text = as_text(report)
    assert "PROBLEM  gpu-1 failed in phase k3s: K3s does not start" in text
    assert "PROBLEM  gpu-2 failed in phase preflight: remote-exec provisioner error timeout" in text
    assert "fine     server-1" in text
    assert [node.failed_phase for node in report.nodes] == [None, "k3s", "preflight"]
    assert not report.complete
