"""What the model says about one place of the file: its rule, its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from stacks.fleet.model import Fleet
from stacks.fleet.problems import KeyPath
from stacks.fleet.rules import Rule


class Place:
    """One place of the file, or the part of a tagged union that was chosen there.

    Attributes:
        models: The sections that may stand here, none for a plain value.
        rule: The rule of the value, if it has one.
    """

    def __init__(self, annotation: Any, metadata: Sequence[object] = ()) -> None:
        self._types: list[Any] = []
        self.rule: Rule | None = None
        self._collect(annotation, metadata)
        self.models: list[type[BaseModel]] = [
            found for found in self._types if isinstance(found, type) and issubclass(found, BaseModel)
        ]

    @property
    def keys(self) -> list[str]:
        """The keys that a section here may have."""
        return list(dict.fromkeys(key for model in self.models for key in model.model_fields))

    @property
    def tag_key(self) -> str | None:
        """The key whose value chooses the section, where one does."""
        return next((key for model in self.models if (key := _tag_key(model))), None)

    @property
    def tags(self) -> list[str]:
        """What that key's value may be."""
        return [tag for model in self.models for tag in _tags(model)]

    @property
    def is_list(self) -> bool:
        """Whether a list stands here."""
        return any(get_origin(found) is tuple for found in self._types)

    def chosen(self, tag: str) -> Place | None:
        """This place, narrowed to the section of a tagged union that `tag` chooses."""
        return next((Place(model) for model in self.models if tag in _tags(model)), None)

    def key(self) -> Place:
        """What a key of the mapping here may be."""
        return next((Place(get_args(found)[0]) for found in self._types if _is_mapping(found)), Place(None))

    def inside(self, part: str | int) -> Place:
        """The place one step further down."""
        for model in self.models:
            if part in model.model_fields:
                field = model.model_fields[str(part)]
                return Place(field.annotation, field.metadata)
        for found in self._types:
            arguments = get_args(found)
            if get_origin(found) is tuple and isinstance(part, int):
                return Place(arguments[0])
            if _is_mapping(found):
                return Place(arguments[1])
        return Place(None)

    def _collect(self, annotation: Any, metadata: Sequence[object]) -> None:
        self.rule = self.rule or next((item for item in metadata if isinstance(item, Rule)), None)
        origin = get_origin(annotation)
        if origin is Annotated:
            self._collect(annotation.__origin__, annotation.__metadata__)
        elif origin in (Union, UnionType):
            for option in get_args(annotation):
                self._collect(option, ())
        else:
            self._types.append(annotation)
            if origin is Literal and self.rule is None:
                self.rule = Rule(" or ".join(get_args(annotation)), str(get_args(annotation)[0]))


def locate(location: Sequence[str | int]) -> tuple[KeyPath, Place]:
    """Pydantic's location of an error as the path in the file, and what the model says about it.

    The location differs from the path where pydantic adds a tagged union's tag, or `[key]` for a mapping's key.
    """
    place = mapping = Place(Fleet)
    path: KeyPath = ()
    for part in location:
        if part == "[key]":
            place = mapping.key()
            continue
        chosen = place.chosen(part) if isinstance(part, str) and part not in place.keys else None
        if chosen is not None:
            place = chosen
            continue
        mapping, place = place, place.inside(part)
        path = (*path, part)
    return path, place


def _tag_key(model: type[BaseModel]) -> str | None:
    """`type` of a backend, `image` of a choice: the one key of a section that has a single possible value."""
    fields = model.model_fields.items()
    return next((key for key, field in fields if len(_literals(field.annotation)) == 1), None)


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    key = _tag_key(model)
    return _literals(model.model_fields[key].annotation) if key else ()


def _literals(annotation: Any) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)
