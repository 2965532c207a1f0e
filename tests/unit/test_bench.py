"""The benchmark's figures: compared with their targets, and where the time went."""

from __future__ import annotations

from scripts.bench_figures import TARGETS, Figure, as_text, phases, slowest_steps

DEPLOY = """
edge-gpu  terraform_data.cluster_server_1: Creating...
edge-gpu  terraform_data.cluster_server_1: Still creating... [10s elapsed]
edge-gpu  terraform_data.cluster_server_1 (cluster/server-1): Creation complete after 12s [id=a]
edge-gpu  helm_release.plugin: Creation complete after 1m2s [id=b]
edge-gpu  data.kubernetes_resources.pods: Read complete after 0s
edge-gpu  terraform_data.old: Destruction complete after 3s
edge-gpu  Apply complete! Resources: 3 added, 0 changed, 0 destroyed.
"""


def test_the_slowest_steps_come_first_and_those_of_no_time_not_at_all() -> None:
    assert slowest_steps(DEPLOY.splitlines()) == [
        "62 s helm_release.plugin",
        "12 s cluster/server-1",
        "3 s terraform_data.old",
    ]


def test_the_phases_are_told_by_the_lines_that_end_them() -> None:
    timed = [
        ("WARNING plain http", 2.0),
        ("Initializing the backend...", 4.0),
        ("terraform_data.one (one): Refreshing state... [id=a]", 6.0),
        ("Plan: 1 to add, 0 to change, 0 to destroy.", 7.0),
        ("terraform_data.one (one): Creating...", 7.5),
        ("Apply complete! Resources: 1 added, 0 changed, 0 destroyed.", 20.0),
    ]
    lines, seconds = zip(*timed, strict=True)
    assert phases(lines, seconds, total_seconds=20.5) == [
        "4.0 s synth",
        "2.0 s init",
        "1.5 s plan",
        "12.5 s apply",
        "0.5 s end",
    ]


def test_the_phases_of_a_deploy_without_changes_have_no_apply() -> None:
    timed = [
        ("Initializing the backend...", 4.0),
        ("terraform_data.one (one): Refreshing state... [id=a]", 6.0),
        ("No changes. Your infrastructure matches the configuration.", 9.0),
        ("Apply complete! Resources: 0 added, 0 changed, 0 destroyed.", 9.0),
    ]
    lines, seconds = zip(*timed, strict=True)
    assert phases(lines, seconds, total_seconds=10.0) == [
        "4.0 s synth",
        "2.0 s init",
        "3.0 s plan",
        "0.0 s apply",
        "1.0 s end",
    ]


def test_a_figure_at_its_limit_meets_it_and_one_above_does_not() -> None:
    limit = TARGETS["deploy"].limit
    assert Figure(name="deploy", value=limit).met
    assert not Figure(name="deploy", value=limit + 0.1).met


def test_a_missed_figure_is_shown_with_its_slowest_steps_and_a_met_one_without() -> None:
    text = as_text(
        [
            Figure(name="deploy", value=80.0, slowest=["62 s helm_release.plugin"]),
            Figure(name="destroy", value=10.0, slowest=["3 s terraform_data.old"]),
        ]
    )
    assert "80.0 s  75 s     NO" in text
    assert "62 s helm_release.plugin" in text
    assert "terraform_data.old" not in text


def test_every_speed_target_of_the_project_has_its_figure() -> None:
    assert set(TARGETS) == {
        "synth_ratio",
        "synth_1000",
        "lab_up",
        "deploy",
        "offline_deploy",
        "second_deploy",
        "destroy",
    }
