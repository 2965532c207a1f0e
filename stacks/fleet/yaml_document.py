"""Strict YAML: every key once, every key text, and the line of each of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from stacks.fleet.problems import KeyPath, Problem

_LIMIT = 20_000
"""Values in a document: far above any fleet, far below what a few nested aliases can blow a file up to."""
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(slots=True)
class Document:
    """A parsed file.

    Attributes:
        data: What it says, as plain Python values.
        lines: The line of every key and list item, counted from 1.
        problems: What had to be left out: keys given twice, keys that are no text, syntax errors.
    """

    data: object = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def parse_yaml(text: str) -> Document:
    """Read one YAML document; problems are collected, not raised."""
    document = Document()
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is not None:
            document.data = _Builder(loader, document).build(root, path=(), parents=())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"is not YAML: it holds the control character {error.character:#04x}"
        document.problems.append(Problem(line=line, what=what, fix="remove it, or type the line anew"))
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error))
    except RecursionError:
        document.problems.append(Problem(what="is nested too deeply", fix="a fleet file is four levels deep"))
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: a date such as 2026-13-45 has the form of one but is none.
        reason = " ".join(str(error).split())
        document.problems.append(Problem(what=f"is not YAML: {reason}", fix="correct it; put text values in quotes"))
    return document


class _Builder:
    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._values = 0

    def build(self, node: yaml.Node, *, path: KeyPath, parents: tuple[int, ...]) -> object:
        self._values += 1
        if id(node) in parents or self._values > _LIMIT:
            reason = "an alias contains itself" if id(node) in parents else f"more than {_LIMIT} values"
            raise yaml.MarkedYAMLError(problem=reason, problem_mark=node.start_mark)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            raise yaml.MarkedYAMLError(problem=f"the tag {node.tag!r} is not known", problem_mark=node.start_mark)
        inside = (*parents, id(node))
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self._document.lines[(*path, index)] = item.start_mark.line + 1
                items.append(self.build(item, path=(*path, index), parents=inside))
            return items
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path=path, parents=inside)
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, *, path: KeyPath, parents: tuple[int, ...]) -> dict[str, object]:
        self._refuse_doubles(node, path=path)
        # Merge keys (`<<: *defaults`) come first afterwards, so that the node's own keys win over them.
        self._loader.flatten_mapping(node)
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._loader.construct_object(key_node)
            if not isinstance(key, str):
                self._document.problems.append(
                    Problem(
                        path=path,
                        line=key_node.start_mark.line + 1,
                        what=f"the key `{key_node.value}` is not text: YAML reads it as {str(key).lower()}",
                        allowed="text keys",
                        fix=f'put it in quotes: "{key_node.value}"',
                    )
                )
                continue
            self._document.lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self.build(value_node, path=(*path, key), parents=parents)
        return mapping

    def _refuse_doubles(self, node: yaml.MappingNode, *, path: KeyPath) -> None:
        first: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key_node.start_mark)
            line = key_node.start_mark.line + 1
            if key_node.value in first:
                self._document.problems.append(
                    Problem(
                        path=(*path, key_node.value),
                        line=line,
                        what=f"is given twice, first on line {first[key_node.value]}",
                        allowed="every key once",
                        fix="keep one of the two",
                    )
                )
            first.setdefault(key_node.value, line)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, place = (mark.line + 1, f" at column {mark.column + 1}") if mark else (None, "")
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    if "\\t" in reason:
        fix = "indent with spaces: YAML allows no tabs there"
    elif "single document" in reason:
        fix = "one fleet a file: remove the line `---` and what follows, or put it into a file of its own"
    elif "tag" in reason:
        fix = "remove the tag (the word after `!`): plain values only"
    else:
        fix = "look at this line and the one before: a missing `:`, quote or bracket, or an indent that differs?"
    return Problem(line=line, what=f"is not YAML{place}: {reason}", fix=fix)
