"""Makes cdktf's output readable, and finds the cause in it when a command fails."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scripts.checkout import STACK

CAUSE_LINES = 60
SCRIPT_LINES = 12

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_NOISE = re.compile(
    r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] |\d+ Stacks? (?:deploying|destroying)"
    r"|You may now begin working with |any changes that are required for your infrastructure|should now work\."
    r"|If you ever set or change modules|rerun this command to reinitialize|commands will detect it and remind"
    r"|\S+ \([^)]*\)(?:\[[^]]*\])?: (?:Provisioning with |Refreshing state|Reading)"
    # What a remote-exec says of its connection before its script says anything.
    r"|\S+ \([^)]*\) \((?:remote|local)-exec\): (?:Executing: |Connecting to remote|Connected!|Using configured bastion"
    r"|  (?:Host|User|Password|Private key|Certificate|SSH Agent|Checking Host Key|Target Platform): )"
)
_LOG_PREFIX = re.compile(r"^\[[^]]*\] \[[A-Z]+\] default -(?: |$)")
_STEP = re.compile(
    r"\S+\.\S+ \((?P<path>[^)]+)\)(?:\[[^]]*\])?(?: \((?P<script>(?:remote|local)-exec)\))?: (?P<what>.*)"
)
_ID = re.compile(r" \[id=[^]]*\]$")
_INIT_BEGINS = re.compile(r"Initializing (?:the backend|provider plugins)")
_INIT_ENDS = re.compile(r"(?:Terraform|OpenTofu) has been successfully initialized")
_PLAN_BEGINS = re.compile(r"(?:Terraform|OpenTofu) (?:used the selected providers|will perform the following)")
_PLAN_ENDS = re.compile(r"Plan: |No changes\.")
_OUTPUTS_BEGIN = re.compile(r"Outputs:$|Changes to Outputs:$")
_ALWAYS_SHOWN = re.compile(r"Error: |Invoking (?:Terraform|OpenTofu) CLI failed")
_FAILED_RESOURCE = re.compile(r"\s*with (?P<address>[^\s\[]+)(?: \([^)]*\))?(?:\[[^]]*\])?(?: \([^)]*\))?,$")
_SCRIPT_SAYS = re.compile(r"(?P<address>[^\s\[]+)(?: \([^)]*\))?(?:\[[^]]*\])? \((?:remote|local)-exec\): (?P<text>.*)")
_PLACE_IN_JSON = re.compile(r"\s*(?:on cdk\.tf\.json line|\d+:\s)")


class Readable:
    """Turns each line that cdktf prints into what a reader needs, or None.

    Initialising is left out, and so are outputs, which cdktf prints twice and the report shows as a table.

    Args:
        with_plan: keep the plan's text and the changes of outputs. A deploy's are in its log.
    """

    def __init__(self, *, with_plan: bool) -> None:
        self._with_plan = with_plan
        self._hidden = False

    def __call__(self, line: str) -> str | None:
        """The readable line; None when it says nothing new."""
        text = without_frame(line)
        if not text or _NOISE.match(text.lstrip()):
            return None
        if _INIT_ENDS.match(text):
            self._hidden = False
            return None
        if _PLAN_ENDS.match(text) or _ALWAYS_SHOWN.match(text):
            self._hidden = False
        step = _STEP.fullmatch(text)
        if step is not None:
            self._hidden = False
            # The path in the stack says what Terraform's address says, and without hashes.
            says = f"| {step['what']}" if step["script"] else _ID.sub("", step["what"])
            return f"{step['path']}: {says}"
        if _INIT_BEGINS.match(text):
            self._hidden = True
        if not self._with_plan and (_PLAN_BEGINS.match(text) or _OUTPUTS_BEGIN.match(text)):
            self._hidden = True
        return None if self._hidden else text


def without_frame(line: str) -> str:
    """The line without colours, without the stack's name or the spaces that cdktf puts before it, and without boxes."""
    text = _LOG_PREFIX.sub("", _COLOUR.sub("", line).rstrip())
    for frame in (f"{STACK}  ", " " * (len(STACK) + 2)):
        text = text.removeprefix(frame)
    return text.strip("╷╵").removeprefix("│ ").removeprefix("│").rstrip()


def cause(lines: Iterable[str]) -> list[str]:
    """What made a command fail: Terraform's errors, each once, with the last words of the script that failed.

    Terraform prints its errors after everything else. Without any, the last lines that say something.

    Args:
        lines: all that the command printed.
    """
    said = [text for text in map(without_frame, lines) if text and not _NOISE.match(text.lstrip())]
    blocks: list[list[str]] = []
    scripts: dict[str, list[str]] = {}
    for text in said:
        script = _SCRIPT_SAYS.match(text)
        if script:
            scripts.setdefault(script["address"], []).append(script["text"])
        elif text.startswith(("Error:", "Warning:")):
            blocks.append([text])
        elif blocks and not _PLACE_IN_JSON.match(text):
            blocks[-1].append(text)
    found: list[str] = []
    seen: list[list[str]] = []
    for block in blocks:
        if block in seen or not block[0].startswith("Error:"):
            continue
        seen.append(block)
        found += block
        for address in [match["address"] for match in map(_FAILED_RESOURCE.match, block) if match]:
            found += [f"  its script: {text}" for text in scripts.get(address, [])[-SCRIPT_LINES:]]
    return found[:CAUSE_LINES] if found else said[-CAUSE_LINES // 3 :]
