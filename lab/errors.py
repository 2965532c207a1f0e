"""The lab's own error."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked; the message says what is wrong, where, and what to do."""
