"""The errors that the project's commands end with, as one message and exit code 1."""

from __future__ import annotations


class SetupError(Exception):
    """Something that set-up cannot mend is missing; the message says what, why it is needed and the fix."""


class CommandError(Exception):
    """A command of the stack cannot run or failed; the message says which, why and what to do."""
