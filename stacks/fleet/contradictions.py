"""Rules that span several keys.

They look at the data as read, not at the model: a file with a bad value elsewhere gets these errors as well. What the
model refuses (wrong types, missing keys) is left to it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from stacks.fleet.addresses import host_address
from stacks.fleet.kubernetes_syntax import taint_identity
from stacks.fleet.problems import KeyPath, Problem, RuleError, shown_path, shown_value
from stacks.fleet.ssh_keys import PREFERRED, WHERE_TO_FIND

_Keys = Mapping[str, object]


def contradictions(data: object) -> Iterator[Problem]:
    """What is wrong between the keys of a fleet file's data."""
    fleet = _mapping(data)
    nodes = [(index, _mapping(node)) for index, node in enumerate(_list(fleet.get("nodes")))]
    if isinstance(fleet.get("ssh"), dict):
        yield from _one_way_to_log_in(_mapping(fleet["ssh"]))
    for index, node in nodes:
        if node:
            yield from _host_key_or_opt_out(node, path=("nodes", index))
            yield from _taints_once(node, path=("nodes", index))
    yield from _unique((("nodes", index, "name"), node.get("name")) for index, node in nodes)
    yield from _unique((("nodes", index, "address"), _normal(node.get("address"))) for index, node in nodes)
    if fleet.get("nodes") == []:
        yield Problem(path=("nodes",), what="is empty", allowed="at least one machine", fix="add a node")
    yield from _odd_servers([node.get("role") for _, node in nodes])
    k3s = _mapping(fleet.get("k3s"))
    if isinstance(k3s.get("sha256"), dict):
        yield from _checksum_for_each_architecture(_mapping(k3s["sha256"]), nodes=nodes, k3s=k3s)
    yield from _archives_with_own_names(_list(k3s.get("image_archives")))
    yield from _branch_of_the_mode(_mapping(fleet.get("driver")))
    yield from _lock_and_unlock(_mapping(fleet.get("backend")))
    build = _list(_mapping(fleet.get("images")).get("build"))
    choices = [(index, _mapping(choice)) for index, choice in enumerate(build)]
    yield from _each_image_once(choices)
    yield from _nitros_on_cuda_11(choices)
    yield from _known_nodes(choices, names=[node.get("name") for _, node in nodes])


def _one_way_to_log_in(ssh: _Keys) -> Iterator[Problem]:
    has_key, has_agent = ssh.get("private_key_path") is not None, ssh.get("agent") is True
    if has_key == has_agent:
        yield Problem(
            path=("ssh",),
            what="has both private_key_path and agent" if has_key else "has neither private_key_path nor agent",
            allowed="exactly one of `private_key_path: <file>` and `agent: true`",
            fix="remove one of them" if has_key else "add private_key_path: ~/.ssh/id_ed25519",
        )


def _host_key_or_opt_out(node: _Keys, *, path: KeyPath) -> Iterator[Problem]:
    has_key, skips = node.get("host_key") is not None, node.get("insecure_skip_host_key_check") is True
    if not has_key and not skips:
        yield Problem(
            path=(*path, "host_key"),
            what="is missing",
            allowed=f"the node's public host key, `type base64`; {PREFERRED} where the node has one, because Terraform "
            "asks for ECDSA before RSA and ed25519",
            fix=f"copy the first two words of {WHERE_TO_FIND}, read there, not over an unchecked connection "
            "(opt-out for throw-away machines: insecure_skip_host_key_check: true)",
        )
    if has_key and skips:
        yield Problem(
            path=(*path, "insecure_skip_host_key_check"),
            what="contradicts host_key, which is given too",
            allowed="one of the two",
            fix="remove insecure_skip_host_key_check",
        )


def _taints_once(node: _Keys, *, path: KeyPath) -> Iterator[Problem]:
    taints = [(index, taint) for index, taint in enumerate(_list(node.get("taints"))) if isinstance(taint, str)]
    yield from _unique(
        (((*path, "taints", index), " ".join(taint_identity(taint))) for index, taint in taints),
        same="has the same key and effect as",
    )


def _unique(values: Iterable[tuple[KeyPath, object]], *, same: str = "is the same as") -> Iterator[Problem]:
    first: dict[str, KeyPath] = {}
    for path, value in values:
        if not isinstance(value, str):
            continue
        other = first.setdefault(value, path)
        if other != path:
            yield Problem(
                path=path,
                what=f"{same} {shown_path(other)}",
                given=shown_value(value),
                allowed="each one once",
                fix="change or remove one of the two",
            )


def _normal(address: object) -> object:
    try:
        return host_address(address) if isinstance(address, str) else None
    except RuleError:
        return None


def _odd_servers(roles: Sequence[object]) -> Iterator[Problem]:
    servers = roles.count("server")
    # With an unknown role the number of servers is not known.
    if not roles or any(role not in ("server", "agent") for role in roles) or servers % 2 == 1:
        return
    yield Problem(
        path=("nodes",),
        what="no node has the role server" if servers == 0 else f"{servers} nodes have the role server",
        allowed="1 server, or 3, 5, … (etcd decides by majority: an even number survives no failure more)",
        fix="give one node `role: server`" if servers == 0 else f"use {servers - 1} or {servers + 1} servers",
    )


def _checksum_for_each_architecture(
    checksums: _Keys, *, nodes: Sequence[tuple[int, _Keys]], k3s: _Keys
) -> Iterator[Problem]:
    for architecture in ("amd64", "arm64"):
        users = [index for index, node in nodes if node and node.get("architecture", "amd64") == architecture]
        if users and architecture not in checksums:
            yield Problem(
                path=("k3s", "sha256", architecture),
                what=f"is missing, and nodes[{users[0]}] is {architecture}",
                allowed="a checksum for every architecture that a node has",
                fix=f"take it from sha256sum-{architecture}.txt of the release {k3s.get('version', '')}".rstrip(),
            )


def _archives_with_own_names(archives: Sequence[object]) -> Iterator[Problem]:
    urls = [(index, _mapping(archive).get("url")) for index, archive in enumerate(archives)]
    yield from _unique(
        (
            (("k3s", "image_archives", index, "url"), url.rpartition("/")[2])
            for index, url in urls
            if isinstance(url, str)
        ),
        same="ends in the same file name as",
    )


def _lock_and_unlock(backend: _Keys) -> Iterator[Problem]:
    pair = ("lock_address", "unlock_address")
    given = [key for key in pair if backend.get(key) is not None]
    if backend.get("type") == "http" and len(given) == 1:
        (absent,) = set(pair) - set(given)
        yield Problem(
            path=("backend", absent),
            what=f"is missing, and {given[0]} is given",
            allowed="both or neither",
            fix=f"add {absent}, or remove {given[0]}",
        )


def _each_image_once(choices: Sequence[tuple[int, _Keys]]) -> Iterator[Problem]:
    yield from _unique(
        ((("images", "build", index), _made_image(choice)) for index, choice in choices), same="makes the same image as"
    )


def _made_image(choice: _Keys) -> str | None:
    """What two choices must not both make: one name would stand for two images. CUDA bases are shared instead."""
    image = choice.get("image")
    if image == "triton":
        return f"{image} {choice.get('variant', '24.08')}"
    return str(image) if image in ("ros2-humble", "gpu-check") else None


def _nitros_on_cuda_11(choices: Sequence[tuple[int, _Keys]]) -> Iterator[Problem]:
    for index, choice in choices:
        if choice.get("nitros") is True and choice.get("variant") != "11.7":
            yield Problem(
                path=("images", "build", index, "nitros"),
                what="needs CUDA 11.7, which it links",
                allowed='true with variant: "11.7" alone',
                fix='write variant: "11.7" beside it, or remove nitros',
            )


def _known_nodes(choices: Sequence[tuple[int, _Keys]], *, names: Sequence[object]) -> Iterator[Problem]:
    known = [name for name in names if isinstance(name, str)]
    for index, choice in choices:
        for place, node in enumerate(_list(choice.get("hand_over_to"))):
            if isinstance(node, str) and node not in known:
                near = difflib.get_close_matches(node, known, 1)
                yield Problem(
                    path=("images", "build", index, "hand_over_to", place),
                    what="is no node of this fleet",
                    given=shown_value(node),
                    allowed=", ".join(known) or "the name of a node",
                    fix=f"did you mean {near[0]}?" if near else "name a node, or remove it",
                )


def _branch_of_the_mode(driver: _Keys) -> Iterator[Problem]:
    mode, branch = driver.get("mode", "preinstalled"), driver.get("branch")
    if not isinstance(branch, str):
        return
    if mode in ("preinstalled", "none"):
        yield Problem(
            path=("driver", "branch"),
            what=f"is given, and driver.mode is {mode}, which installs nothing",
            given=shown_value(branch),
            allowed="a branch together with the modes ubuntu and cuda-repo",
            fix="remove it, or set driver.mode",
        )
    elif mode in ("ubuntu", "cuda-repo") and (mode == "ubuntu") != branch.endswith("-server"):
        number = branch.partition("-")[0].partition(".")[0]
        yield Problem(
            path=("driver", "branch"),
            what=f"does not go with driver.mode {mode}",
            given=shown_value(branch),
            allowed="Ubuntu's server branches end in -server, NVIDIA's own do not",
            fix=f"write {number}-server" if mode == "ubuntu" else f"write {number}",
        )


def _mapping(value: object) -> _Keys:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
