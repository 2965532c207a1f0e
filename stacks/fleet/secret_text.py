"""Secrets that do not belong into a fleet file, which is committed and shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacks.fleet.problems import KeyPath, Problem

_CONTENT = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"K10[0-9a-f]{64}::"), "a K3s token"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an AWS access key"),
)
_NAME = re.compile(r"pass(word|wd|phrase)?$|secret|token|credential|(access|api)_?key|private_key$|conn_str|kubeconfig")
_INSTEAD = {
    "backend": "set the backend's environment variables: AWS_…, TF_HTTP_USERNAME and TF_HTTP_PASSWORD, PG_CONN_STR",
    "ssh": "keep the key in a file of mode 0600 and write its path as private_key_path, or use an SSH agent",
}


def names_a_secret(key: str) -> bool:
    """Whether a key of this name would hold a secret."""
    return _NAME.search(key.lower()) is not None


def instead_of_secret(path: KeyPath) -> str:
    """Where a secret at `path` belongs."""
    return _INSTEAD.get(
        str(path[0]),
        "remove it: tokens and certificates are made once per fleet, by `python -m stacks.identity`",
    )


def secrets_in(data: object, *, path: KeyPath = ()) -> Iterator[Problem]:
    """A problem for each text in `data` that is a secret; none of them shows it."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from secrets_in(value, path=(*path, str(key)))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from secrets_in(value, path=(*path, index))
    elif isinstance(data, str):
        for pattern, kind in _CONTENT:
            if pattern.search(data):
                yield Problem(
                    path=path,
                    what=f"holds {kind}; treat it as known to others from now on, and replace it",
                    allowed="no secrets: this file is committed and shown",
                    fix=instead_of_secret(path),
                )
