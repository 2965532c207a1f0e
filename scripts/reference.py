"""Writes docs/reference/ and docs/constructs/ from docstrings and synthesized code: `python -m scripts.reference`.

`docs/reference/README.md` has each public name's signature and docstring. `docs/constructs/` has a page a construct:
its docstring, the code of an example, and the JSON that this code becomes.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import constructs_lib
from scripts.checkout import ROOT, shown
from scripts.reference_examples import EXAMPLES, PRELUDE

_DOCS = ROOT / "docs"
_LONG = 200
_CONTENT = re.compile(r"(?<=\w:)[0-9a-f]{12}$|^[0-9a-f]{64}$")
"""An image's tag, or a whole hash."""
_GENERATED = "<!-- Written by `make snapshots` from the docstrings: change those. -->\n"


def main() -> int:
    """Write what differs, and name it."""
    for path, text in pages().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"{shown(path)}: written anew")
    return 0


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    found = {_DOCS / "reference" / "README.md": reference()}
    for name in EXAMPLES:
        found[_DOCS / "constructs" / f"{name}.md"] = construct_page(name)
    listed = "".join(f"- [{name}]({name}.md): {_summary(name)}\n" for name in sorted(EXAMPLES))
    found[_DOCS / "constructs" / "README.md"] = f"{_GENERATED}\n# Constructs\n\n{listed}"
    return found


def reference() -> str:
    """Each public name's signature and docstring."""
    parts = [_GENERATED, "# constructs_lib", "What `from constructs_lib import ...` offers."]
    for name in constructs_lib.__all__:
        value = getattr(constructs_lib, name)
        parts += [f"## {name}", _signature(name, value), _docstring(value)]
        if inspect.isclass(value):
            for member, method in vars(value).items():
                function = getattr(method, "__func__", getattr(method, "fget", method))
                if member.startswith("_") or not inspect.isfunction(function):
                    continue
                parts += [f"### {name}.{member}", _signature(member, function), _docstring(function)]
    return "\n\n".join(part for part in parts if part) + "\n"


def construct_page(name: str) -> str:
    """One construct: what it is, code, and what the code becomes."""
    code = EXAMPLES[name]
    found = readable(synthesized(code))
    if "docker_image" in found.get("resource", {}):
        found = _without_content(found)
    made = json.dumps(found, indent=2, sort_keys=True)
    return (
        f"{_GENERATED}\n# {name}\n\n{_docstring(getattr(constructs_lib, name))}\n\n## Code\n\n"
        f"```python\n{PRELUDE}\n\n{code}```\n\n## What it becomes\n\n"
        f"Texts of several lines or over {_LONG} characters, the scripts, are left out.\n\n```json\n{made}\n```\n"
    )


def synthesized(code: str) -> dict[str, Any]:
    """The resources and data sources that a page's code becomes; it finds `stack`, `images` and PRELUDE's names."""
    from constructs_lib.testing import new_stack, synth

    names: dict[str, Any] = {"stack": new_stack("example"), "images": ROOT / "images"}
    with contextlib.redirect_stderr(io.StringIO()):  # Each unlocked base is warned of.
        exec(f"{PRELUDE}\n{code}", names)
    configuration = synth(names["stack"])
    return {key: configuration[key] for key in ("resource", "data") if key in configuration}


def readable(value: Any) -> Any:
    """`value` without the CDK's own notes and without long texts."""
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items() if key != "//"}
    if isinstance(value, list):
        return [readable(item) for item in value]
    if isinstance(value, str):
        value = value.replace(sys.executable, "<python>").replace(str(ROOT), "<checkout>")
    if isinstance(value, str) and (len(value) > _LONG or "\n" in value):
        return "…"
    return value


def _without_content(value: Any) -> Any:
    """`value` without hashes: what images are made of changes more often than what is said of them."""
    if isinstance(value, dict):
        return {key: _without_content(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_content(item) for item in value]
    return _CONTENT.sub("<content>", value) if isinstance(value, str) else value


def _signature(name: str, value: object) -> str:
    module = getattr(value, "__module__", "")
    text = str(inspect.signature(value)) if callable(value) else ""
    text = text.replace("(self, ", "(").replace("(self)", "()").replace("constructs_lib.", "")
    text = text.replace("cdktn.", "cdktf.")  # Whichever is installed.
    return f"```python\n{name}{re.sub(r'<factory>', '…', text)}\n```\n\nModule `{module}`."


def _docstring(value: object) -> str:
    """The docstring as Markdown: its sections become headings in bold, their entries a list."""
    lines = []
    section = False
    for line in (inspect.getdoc(value) or "").splitlines():
        if re.fullmatch(r"(Args|Attributes|Raises|Returns):", line):
            section = True
            lines += [f"**{line.removesuffix(':')}**", ""]
        elif section and re.match(r" {4}\*{0,2}\w+: ", line):
            entry, _, text = line.strip().partition(": ")
            lines.append(f"- `{entry}`: {text}")
        elif section:
            lines.append(f"  {line.strip()}".rstrip())
        else:
            lines.append(line)
    return "\n".join(lines)


def _summary(name: str) -> str:
    return (inspect.getdoc(getattr(constructs_lib, name)) or "").split("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
