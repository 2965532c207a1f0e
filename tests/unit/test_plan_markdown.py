"""A diff as a pull request's comment: what comes first, how long it gets, and that nobody can forge its form."""

from __future__ import annotations

import json

import pytest

from scripts.plan_changes import Changes, Loss, NodeChange, ObjectChange
from scripts.plan_markdown import COMMENT_LIMIT, as_markdown, marker
from scripts.plan_steps import Restart, Step
from scripts.plan_verdict import Verdict


def step(node: str, *, why: str = "K3S_VERSION a → b", restart: Restart = "yes", role: str = "server") -> NodeChange:
    return NodeChange(
        address=f"terraform_data.cluster_{node}_node_k3s_run_0",
        step=Step(node=node, step="k3s", at_destroy=False, role=role),
        action="replace",
        runs=True,
        why=(why,),
        restart=restart,
    )


def verdict(changes: Changes, **others: object) -> Verdict:
    return Verdict(fleet="site", stack="edge-gpu", changes=changes, compared_with="the state", **others)  # type: ignore[arg-type]


def test_counts_come_first_then_refusals_losses_restarts_nodes_and_the_folded_plan() -> None:
    changes = Changes(
        steps=[step("server-1")],
        objects=[ObjectChange(address="helm_release.plugin", action="change", why=("version differs",))],
        losses=[Loss(address="a", what="K3s and its data are taken off gpu-2", node="gpu-2")],
    )
    text = as_markdown(verdict(changes, refusals=("it destroys 1 thing",)), plan_text="the whole plan")
    assert text.startswith(marker(fleet="site", stack="edge-gpu"))
    order = [
        "needs a label", "0 to add, 1 to change, 1 to replace, 0 to destroy", "it destroys 1 thing", "**Destroyed**",
        "**K3s restarts**", "| server-1", "helm_release.plugin", "<details>", "the whole plan",
    ]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_no_changes_are_said_without_a_plan_to_unfold() -> None:
    text = as_markdown(verdict(Changes()), plan_text="No changes. Your infrastructure matches the configuration.")
    assert "edge-gpu diff: site: no changes" in text
    assert "<details>" not in text


def test_an_error_replaces_an_older_comment_too() -> None:
    failed = Verdict(fleet="site", stack="edge-gpu", error="the state is locked by ada")
    text = as_markdown(failed, plan_text=None)
    assert text.startswith(marker(fleet="site", stack="edge-gpu"))
    assert "the state is locked by ada" in text
    assert (failed.result, failed.exit_code) == ("error", 1)


@pytest.mark.parametrize("nodes", [1, 50, 1000])
def test_a_comment_is_never_longer_than_github_takes_and_says_what_was_cut(nodes: int) -> None:
    changes = Changes(
        steps=[step(f"gpu-{n}", why=f"CONFIG node-label {'é' * 60}") for n in range(nodes)],
        losses=[Loss(address=f"a{n}", what=f"K3s is taken off gpu-{n} " + "x" * 80) for n in range(nodes)],
        objects=[
            ObjectChange(address=f"kubernetes_job_v1.n{n}" + "y" * 60, action="replace", why=()) for n in range(nodes)
        ],
        drifted=[f"kubernetes_namespace_v1.n{n}: metadata" for n in range(nodes)],
    )
    text = as_markdown(verdict(changes), plan_text="ü + resource\n```\n" * 20_000)
    assert len(text.encode()) <= COMMENT_LIMIT
    assert "… cut here: a comment holds 65,536 characters" in text or "The full plan is in the workflow's log" in text
    if nodes == 1000:
        assert "more nodes: see the JSON" in text
    assert len(json.dumps(verdict(changes).as_json())) > nodes * 100


def test_a_plan_with_fences_stays_inside_its_own() -> None:
    text = as_markdown(verdict(Changes(outputs=["x"])), plan_text="a\n````\n</details>\nb")
    assert "\n`````\na\n````\n" in text


def test_names_and_values_cannot_make_links_mentions_or_html() -> None:
    hostile = "@ada [x](http://e) <img src=x> |cell| `code`\n# title"
    text = as_markdown(verdict(Changes(steps=[step("gpu-1", why=hostile)])), plan_text=None)
    for dangerous in ("@ada", "[x](", "<img", "\n# title", "|cell|"):
        assert dangerous not in text


def test_the_exit_code_says_whether_a_plan_may_pass() -> None:
    changes = Changes(steps=[step("server-1")])
    assert verdict(Changes()).exit_code == 0
    assert verdict(changes).exit_code == 2
    assert verdict(changes, refusals=("no",)).exit_code == 1
    assert verdict(changes, refusals=("no",)).as_json()["result"] == "refused"
