"""Builds a context with the engine's BuildKit, as the Terraform docker provider does: the context as a tar."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker

from constructs_lib.build_context import BuildContext


class FailedBuildError(Exception):
    """The engine refused or failed a build; the text has what the steps printed."""


def build(
    client: docker.DockerClient,
    *,
    context: Path,
    tag: str,
    build_args: Mapping[str, str] | None = None,
    target: str | None = None,
    network: str | None = None,
    timeout_seconds: float = 600.0,
) -> str:
    """Build and tag; what the steps printed.

    Raises:
        FailedBuildError: with the engine's error and what the steps printed.
    """
    parameters = {"version": "2", "t": tag, "buildargs": json.dumps(dict(build_args or {}))}
    if target is not None:
        parameters["target"] = target
    if network is not None:
        parameters["networkmode"] = network
    api = client.api
    response = api._post(
        api._url("/build"),
        params=parameters,
        data=_tar(context),
        headers={"Content-Type": "application/x-tar"},
        stream=True,
        timeout=timeout_seconds,
    )
    api._raise_for_status(response)
    printed = b""
    for line in response.iter_lines():
        message = json.loads(line)
        if message.get("id") == "moby.buildkit.trace":
            printed += b"".join(_logs(base64.b64decode(message["aux"])))
        if "errorDetail" in message:
            raise FailedBuildError(f"{message['errorDetail']['message']}\n{printed.decode(errors='replace')}")
    return printed.decode(errors="replace")


def _tar(context: Path) -> bytes:
    content = io.BytesIO()
    # BuildKit does not take a tar that begins with a pax header for one.
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in BuildContext(folder=context, dockerfile=context / "Dockerfile").files():
            archive.add(path, arcname=path.relative_to(context).as_posix(), recursive=False)
    return content.getvalue()


def _logs(status: bytes) -> Iterator[bytes]:
    """The output lines in a BuildKit StatusResponse: its field 3 is a log, whose field 4 is the text."""
    for number, log in _fields(status):
        if number == 3 and isinstance(log, bytes):
            for inner, text in _fields(log):
                if inner == 4 and isinstance(text, bytes):
                    yield text


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a protobuf message: number and value, which is bytes for those with a length."""
    position = 0

    def number() -> int:
        nonlocal position
        result = shift = 0
        while True:
            byte = message[position]
            position += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while position < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        elif key & 7 == 2:
            length = number()
            yield key >> 3, message[position : position + length]
            position += length
        else:
            raise AssertionError(f"unexpected wire type {key & 7}")
