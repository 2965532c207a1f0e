"""What Terraform's and cdktf's errors mean for somebody who wanted a plan: one message each, with the fix."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.cdktf_output import cause, without_frame

_LOCKED = re.compile(r"Error acquiring the state lock|state already locked|Error locking state", re.IGNORECASE)
_LOCK_FACT = re.compile(r"\s*(?P<name>ID|Operation|Who|Created):\s+(?P<value>\S.*)")
_LOCK_ID = re.compile(r"already locked: ID=(?P<id>\S+)")
_BACKEND = re.compile(
    r"Error: (?:Error |Failed to )?(?:loading|load|refreshing|refresh|reading|read|getting|get|configuring|configure)"
    r"[^\n]*(?:state|backend|workspaces)|Error: error configuring|"
    r"Failed to (?:get|load|read|refresh) (?:existing workspaces|state)",
    re.IGNORECASE,
)
_MOVED_BACKEND = re.compile(r"Backend (?:configuration changed|type changed)|Error: Backend initialization required")
_OTHER_VERSION = re.compile(
    r"plan file was created by (?:Terraform|OpenTofu) (?P<theirs>[^\s,]+), but this is (?P<ours>\S+?)[;,.]?(?:\s|$)"
)
_NO_PLAN_FILE = re.compile(r"Failed to (?:read|load|open)[^\n]*plan|couldn't load the (?:provided|plan)", re.IGNORECASE)
_UNKNOWN_STACK = re.compile(r"(?:Could not find stack|Can't find given stack)[^\n]*", re.IGNORECASE)
_CHART = re.compile(r"not a valid chart repository|cannot be reached|Could not (?:load|download) (?:the )?chart", re.I)
_CLUSTER = re.compile(
    r"Kubernetes cluster unreachable|(?:Get|Post|Patch) \"https://[^\"]*\": (?:dial tcp|net/http|context deadline|tls)|"
    r"connect: (?:connection refused|no route to host)|i/o timeout",
    re.IGNORECASE,
)


def explained(lines: Iterable[str]) -> str | None:
    """The cause and its fix in one or two sentences; None for an error that is none of those known here.

    Args:
        lines: all that the command printed.
    """
    said = [without_frame(line) for line in lines]
    # Terraform breaks its sentences where a screen would.
    flowing = re.sub(r"\s+", " ", " ".join(said))
    text = "\n".join(said)
    if _LOCKED.search(text):
        return _locked(said, flowing)
    if _MOVED_BACKEND.search(text):
        return (
            "the fleet file names another backend than the last run here used; nothing was planned. Fix: to look only: "
            "edge-gpu diff --no-refresh; to move the state there: cdktf diff --migrate-state (environment: .env)"
        )
    other = _OTHER_VERSION.search(flowing)
    if other:
        return (
            f"the plan was made by version {other['theirs']}, here is {other['ours']}: plans are read by the version "
            "that made them. Fix: use the same version, or make the plan anew here: edge-gpu diff"
        )
    if _CHART.search(flowing) and "helm" in flowing:
        return (
            "the chart repository does not answer; a plan of a Helm release reads its chart. "
            "Fix: let this machine reach device_plugin.chart_repository, or correct it in the fleet file"
        )
    if _BACKEND.search(text) or _BACKEND.search(flowing):
        return (
            "the state cannot be read from the fleet file's backend; nothing was planned. Fix: see the cause below; is "
            "its address right, is it reachable from here, are its credentials in the environment (docs/fleet-file.md)?"
        )
    if _CLUSTER.search(flowing):
        return (
            "the cluster cannot be asked from here. Fix: plan without looking at it: edge-gpu diff --no-refresh; "
            "or run where the first server's port 6443 can be reached"
        )
    return None


def failure(title: str, lines: Sequence[str]) -> str:
    """A whole message for a command that failed: the explanation, then what the command said.

    Args:
        title: the command, as a reader would name it.
        lines: all that it printed.
    """
    known = explained(lines)
    said = "".join(f"\n  {line}" for line in cause(lines) if line.strip())
    return f"{known}\n  {title} said:{said}" if known else f"{title} failed:{said}"


def unknown_stack(stack: str, *, manifest: Path, lines: Iterable[str] = ()) -> str | None:
    """The message for a stack that the app does not have, with the nearest name; None when it has it.

    Args:
        stack: the name that was asked for.
        manifest: the app's `manifest.json`.
        lines: what cdktf printed; when given, only its own complaint counts (the manifest may be an older one).
    """
    if not manifest.is_file() or (lines and not any(_UNKNOWN_STACK.search(line) for line in lines)):
        return None
    names = sorted(json.loads(manifest.read_text())["stacks"])
    if stack in names:
        return None
    near = difflib.get_close_matches(stack, names, 1)
    fix = f"did you mean {near[0]}?" if near else "name one of them"
    return f"there is no stack {stack!r} here; there are {', '.join(names)}. Fix: {fix}"


def _locked(said: Sequence[str], flowing: str) -> str:
    facts = {match["name"]: match["value"] for match in map(_LOCK_FACT.match, said) if match}
    given = _LOCK_ID.search(flowing)
    if given and facts.get("ID") != given["id"]:
        # The http backend shows the lock that was tried for under "Lock Info", not the one that is held.
        facts = {"ID": given["id"]}
    id_ = facts.get("ID")
    by = f" by {facts['Who']}" if facts.get("Who") else ""
    since = f" since {facts['Created']}" if facts.get("Created") else ""
    doing = f" for {facts['Operation']}" if facts.get("Operation") else ""
    return (
        f"the state is locked{by}{since}{doing}: a deploy or another diff is going on; nothing was planned. "
        "Fix: wait for it to end, or plan from the last state, which takes no lock: edge-gpu diff --no-refresh. "
        f"If whoever held it is dead: terraform -chdir=cdktf.out/stacks/<stack> force-unlock {id_ or 'ID'}"
    )
