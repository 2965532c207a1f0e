"""A verdict as Markdown for a pull request, never longer than GitHub takes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scripts.plan_changes import Changes
from scripts.plan_text import RESTART_WORDS, node_rows, not_refreshed
from scripts.plan_verdict import Verdict, counted

COMMENT_LIMIT = 65_536
"""GitHub's limit for a comment, in characters; held here in bytes, which are never fewer."""

_ROWS_LIMIT_BYTES = 30_000
_MESSAGE_LIMIT_BYTES = 8_000
_TITLES = {
    "no-changes": "no changes",
    "changes": "changes",
    "refused": "needs a label",
    "error": "failed",
}


def marker(*, fleet: str, stack: str) -> str:
    """The hidden first line by which the one comment of a fleet and stack is found again."""
    return f"<!-- edge-gpu diff {fleet} {stack} -->"


def as_markdown(verdict: Verdict, *, plan_text: str | None) -> str:
    """Counts first, then what needs a second look, what runs where, and the whole plan folded away.

    Args:
        verdict: what the diff found.
        plan_text: what `terraform show` prints of the plan; it leaves sensitive values out.
    """
    parts = [
        marker(fleet=verdict.fleet, stack=verdict.stack),
        f"## edge-gpu diff: {_inline(verdict.fleet)}: {_TITLES[verdict.result]}",
    ]
    if verdict.changes is None:
        parts.append(_fenced(_cut(verdict.error or "no plan", limit=_MESSAGE_LIMIT_BYTES)))
        return "\n\n".join(parts) + "\n"
    changes = verdict.changes
    parts.append(f"**{counted(changes)}** · stack `{verdict.stack}` · compared with {_inline(verdict.compared_with)}")
    if not verdict.refreshed:
        parts.append(f"Not refreshed: {_inline(not_refreshed(changes))}.")
    parts += [_alert("CAUTION", "This may not be merged yet", [_inline(one) for one in verdict.refusals])]
    parts += [_alert("CAUTION", "Destroyed", [_inline(loss.what) for loss in changes.losses])]
    parts += [_alert("WARNING", "K3s restarts", _restarts(changes))]
    parts += [_listed("Changed outside of Terraform", [_code(one) for one in changes.drifted])]
    parts += [_nodes(changes)]
    parts += [
        _listed(
            "Other resources",
            [
                f"{one.action} {_code(one.address)}" + (f": {_inline(', '.join(one.why))}" if one.why else "")
                for one in changes.objects
            ],
        )
    ]
    parts += [_listed("Moved", [f"{_code(old)} is now {_code(new)}" for old, new in changes.moved.items()])]
    parts += [_listed("Outputs that change", [_code(name) for name in changes.outputs])]
    body = "\n\n".join(part for part in parts if part) + "\n"
    if plan_text and changes.any:
        body += _folded(plan_text, room=COMMENT_LIMIT - len(body.encode()))
    return body


def _restarts(changes: Changes) -> list[str]:
    return [
        f"{_inline(one.step.node)} ({one.step.role or 'role unknown'}) {RESTART_WORDS[one.restart]}"
        f"{': ' + _inline(', '.join(one.why)) if one.why else ''}"
        + ("; the API behind it is away meanwhile, running pods go on" if one.step.role == "server" else "")
        for one in changes.restarts
    ]


def _nodes(changes: Changes) -> str:
    rows = [
        f"| {_inline(node)} | {_inline(', '.join(runs))} | {_inline(k3s)} | {_inline('; '.join(why))} |"
        for node, runs, k3s, why in node_rows(changes)
    ]
    if not rows:
        return ""
    return "\n".join(["| node | runs | K3s | why |", "| --- | --- | --- | --- |", *_fitting(rows, what="nodes")])


def _alert(kind: str, title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return "\n".join([f"> [!{kind}]", f"> **{title}**", *(f"> - {line}" for line in _fitting(lines, what="lines"))])


def _listed(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return "\n".join([f"**{title}**", "", *(f"- {line}" for line in _fitting(lines, what="lines"))])


def _fitting(lines: Sequence[str], *, what: str) -> list[str]:
    """As many lines as one list of a comment may take; how many were left out is said, and the JSON has them all."""
    kept: list[str] = []
    used = 0
    limit = _ROWS_LIMIT_BYTES if what == "nodes" else _MESSAGE_LIMIT_BYTES // 2
    for number, line in enumerate(lines):
        used += len(line.encode()) + 3
        if used > limit:
            rest = f"{len(lines) - number} more {what}: see the JSON of this diff"
            return [*kept, f"| … | {rest} | | |" if what == "nodes" else f"… {rest}"]
        kept.append(line)
    return kept


def _folded(text: str, *, room: int) -> str:
    # The fence must be longer than any in the text, and the note says what was cut.
    before, after = "\n<details><summary>Full plan</summary>\n\n", "\n\n</details>\n"
    note = "\n… cut here: a comment holds 65,536 characters; the workflow's log has the whole plan"
    spare = room - len((before + after + note).encode()) - 2 * len(_fence(text)) - len("diff\n\n")
    if spare < 1000:
        return "\n(The full plan is in the workflow's log: the comment has no room for it.)\n"[: max(room, 0)]
    return f"{before}{_fenced(_cut(text.strip(chr(10)), limit=spare, note=note))}{after}"


def _cut(text: str, *, limit: int, note: str = "\n… cut here") -> str:
    raw = text.encode()
    return text if len(raw) <= limit else raw[:limit].decode(errors="ignore") + note


def _fence(text: str) -> str:
    return "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)


def _fenced(text: str) -> str:
    fence = _fence(text)
    return f"{fence}\n{text}\n{fence}"


def _inline(text: str) -> str:
    """Text that Markdown leaves as it is: no link, mention, image, HTML or line break can come from a fleet file."""
    flat = re.sub(r"\s+", " ", text)
    escaped = re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", flat.replace("<", "&lt;").replace(">", "&gt;"))
    return escaped.replace("@", "@\u200b")


def _code(text: str) -> str:
    plain = re.sub(r"[`|]|\s+", " ", text)
    return f"`{plain}`"
