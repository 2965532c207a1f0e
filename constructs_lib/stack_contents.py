"""What the elements of a stack hold, handed to the CDK in one piece."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from constructs_lib.cdk import App, TerraformElement, TerraformStack
from constructs_lib.hcl_text import encoded

if TYPE_CHECKING:
    from constructs_lib.held_element import HeldElement

ID = "edge-gpu-contents"
"""Its construct id; it writes no block of its own."""
PART = 1000
"""Elements in one piece. The time that the CDK's process takes to read a message grows with the square of its size."""
_TOKEN = re.compile(r"TfToken\[|TFTOKEN|e\+2\d\d")
"""A token of the CDK in JSON: in a text, in a list's text, or as a number far out of range."""


class StackContents(TerraformElement):
    """Writes the blocks of a stack's `HeldElement`s, and the texts that they share, when the stack is synthesized.

    Args:
        stack: The stack. Use `StackContents.of(stack)`: there is one a stack.
        part: Which part of a large stack's, from 1.

    Attributes:
        texts: Texts by name of their `local` value.
        keeps_back: Tell the CDK only blocks with a token in them, and add the others to its file: see `synthesize`.
    """

    def __init__(self, stack: TerraformStack, part: int = 1) -> None:
        super().__init__(stack, ID if part == 1 else f"{ID}-{part}")
        self._stack = stack
        self._parts = [self]
        self.texts: dict[str, str] = {}
        self._elements: list[HeldElement] = []
        self._kept_back: list[tuple[HeldElement, dict[str, Any]]] = []
        self.keeps_back = False

    @classmethod
    def of(cls, stack: TerraformStack) -> StackContents:
        """The stack's own, made when it is first asked for."""
        if stack not in _contents:
            _contents[stack] = cls(stack)
        return _contents[stack]

    def add(self, element: HeldElement) -> None:
        """Write this element's block too."""
        if len(self._parts[-1]._elements) >= PART:
            self._parts.append(StackContents(self._stack, len(self._parts) + 1))
        self._parts[-1]._elements.append(element)

    def shared_text(self, name: str, text: str) -> str:
        """A Terraform expression for a text that many elements hold: it is written once, as a `local` value.

        Args:
            name: Of the `local` value.
            text: A Terraform template, always the same for the same name.

        Raises:
            ValueError: There is another text of that name.
        """
        if self.texts.setdefault(name, text) != text:
            raise ValueError(f"shared_text: {name!r} is the name of another text in this stack")
        return f"${{local.{name}}}"

    def to_terraform(self) -> Any:
        """The part of the stack's JSON; the CDK calls it."""
        told: dict[str, Any] = {}
        self._kept_back = []
        for element in self._elements:
            block = element.whole_block()
            if self.keeps_back and not _may_hold_token(block):
                self._kept_back.append((element, block))
            else:
                told.setdefault(element.section, {}).setdefault(element.type_, {})[element.name] = block
        return {**({"locals": self.texts} if self.texts else {}), **told}

    def keep_back(self, keeps: bool) -> None:
        """Set `keeps_back` of all parts."""
        for part in self._parts:
            part.keeps_back = keeps

    def add_kept_back(self, configuration: dict[str, Any]) -> None:
        """Add the blocks that the CDK was not told.

        Args:
            configuration: The stack's JSON as the CDK wrote it, which has at least each element's metadata; changed.
        """
        for part in self._parts:
            for element, block in part._kept_back:
                blocks = configuration[element.section][element.type_]
                blocks[element.name] = _merged(block, blocks[element.name])

    def to_hcl_terraform(self) -> Any:
        """The part of the stack's HCL: the texts alone, see `HeldElement.for_hcl`.

        Raises:
            RuntimeError: An element was not made ready for it, and would be written without what it holds.
        """
        for element in self._elements:
            if not element.is_for_hcl:
                raise RuntimeError(
                    f"{element.address} cannot be written as HCL yet. Fix: call prepare_for_hcl(app) of "
                    "constructs_lib.hcl_export before app.synth()"
                )
        # The HCL writer has its own form of a local value.
        return {"locals": {name: {"value": encoded(text)} for name, text in self.texts.items()}} if self.texts else {}


def _merged(block: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As the CDK merges what two elements say of one block."""
    merged = dict(block)
    for name, value in over.items():
        before = merged.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            merged[name] = [*before, *value]
        else:
            merged[name] = value
    return merged


def synthesize(app: App) -> None:
    """`app.synth()` for large fleets: with the same result, in two thirds of the time.

    What the elements hold needs nothing of the CDK's unless a token is in it. So it does not go through the CDK's
    process and back, but into the files that the CDK wrote.
    """
    held = [(stack, contents) for stack, contents in _contents.items() if stack.node.root is app]
    for _, contents in held:
        contents.keep_back(True)
    try:
        app.synth()
    finally:
        for _, contents in held:
            contents.keep_back(False)
    folder = Path(app.outdir)
    stacks = json.loads((folder / "manifest.json").read_text())["stacks"]
    for stack, contents in held:
        file = folder / stacks[stack.node.id]["synthesizedStackPath"]
        configuration = json.loads(file.read_text())
        contents.add_kept_back(configuration)
        file.write_text(json.dumps(configuration, indent=2, ensure_ascii=False))


def _may_hold_token(block: dict[str, Any]) -> bool:
    return _TOKEN.search(json.dumps(block, default=lambda _: "TfToken[")) is not None


_contents: WeakKeyDictionary[TerraformStack, StackContents] = WeakKeyDictionary()
