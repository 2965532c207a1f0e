"""Where a construct is in the tree, and what Terraform calls it.

The CDK knows both, but each question is a round trip to its Node.js process, and a fleet asks thousands of times. So a
construct that our own classes make is remembered as it is made, and its name is worked out here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from weakref import WeakKeyDictionary

import jsii

from constructs_lib.cdk import Construct, IConstruct, TerraformElement, TerraformStack

_PLAIN_ID = re.compile(r"[A-Za-z0-9_.-]+")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_HUMAN_PART = 240


@dataclass(frozen=True)
class Place:
    """A place in a stack's tree.

    Attributes:
        stack: The stack.
        ids: Construct ids from below the stack to the construct itself; none for the stack.
    """

    stack: TerraformStack
    ids: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        """The name the CDK gives an element at this place: its ids, and a hash of them to keep names unique."""
        ids = [id_ for id_ in self.ids if id_ != "Default"]
        if len(ids) == 1:
            return _NOT_IN_A_NAME.sub("", ids[0])
        told = [*ids[:1], *(id_ for before, id_ in pairwise(ids) if not before.endswith(id_))]
        human = "_".join(_NOT_IN_A_NAME.sub("", id_) for id_ in told if id_ != "Resource")
        return f"{human[:_HUMAN_PART]}_{hashlib.md5('/'.join(ids).encode()).hexdigest()[:8].upper()}"


class Group(Construct):
    """A construct that is a level in the tree, and whose place is remembered.

    Args:
        scope: Parent construct.
        id_: Construct id.
    """

    def __init__(self, scope: Construct, id_: str) -> None:
        # As the binding's own constructor does, less its check of both arguments against type hints read anew.
        jsii.create(Construct, self, [scope, id_])
        remember(self, scope, id_)


_places: WeakKeyDictionary[IConstruct, Place] = WeakKeyDictionary()


def remember(construct: IConstruct, scope: IConstruct, id_: str) -> None:
    """Remember the place of a construct that was just made.

    Args:
        construct: The construct.
        scope: Its parent.
        id_: Its id.
    """
    # An id with a separator in it is not taken as it is: the CDK is asked for what it made of it.
    if _PLAIN_ID.fullmatch(id_):
        above = place_of(scope)
        _places[construct] = Place(above.stack, (*above.ids, id_))


def place_of(construct: IConstruct) -> Place:
    """Where a construct is.

    Raises:
        RuntimeError: It is in no stack.
    """
    known = _places.get(construct)
    if known is None:
        known = _places[construct] = _asked(construct)
    return known


def name_of(element: TerraformElement) -> str:
    """The element's name in Terraform, unless `override_logical_id` gave it another."""
    place = place_of(element)
    if type(place.stack)._allocate_logical_id is not TerraformStack._allocate_logical_id:
        return element.friendly_unique_id
    return place.name


def _asked(construct: IConstruct) -> Place:
    if isinstance(construct, TerraformStack):
        return Place(construct, ())
    stack = TerraformStack.of(construct)
    below = construct.node.path.removeprefix(stack.node.path).removeprefix("/")
    return Place(stack, tuple(below.split("/")))
