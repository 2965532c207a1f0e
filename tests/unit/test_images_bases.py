"""The lock file of the bases: read strictly, refreshed from a registry, never half written."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from constructs_lib.base_image_lock import base_reference, read_lock
from stacks.image_registry import ImageReference, RegistryError, digest_of
from stacks.lock_bases import LOCK, main

DIGEST = "sha256:" + "a" * 64
TOKEN = "not-a-secret"


class Registry(BaseHTTPRequestHandler):
    """A stand-in registry: one public tag, and one behind a token that a login gives."""

    def do_HEAD(self) -> None:
        if self.path == "/v2/open/image/manifests/1.0":
            assert "image.index" in self.headers["Accept"]
            self._answer(200, {"Docker-Content-Digest": DIGEST})
        elif self.path == "/v2/locked/image/manifests/1.0":
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                self._answer(200, {"Docker-Content-Digest": DIGEST})
            else:
                realm = f"http://127.0.0.1:{self.server.server_port}/token"  # type: ignore[attr-defined]
                self._answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="repository:x:pull"'})
        elif self.path == "/v2/no/digest/manifests/1.0":
            self._answer(200, {})
        else:
            self._answer(404, {})

    def do_GET(self) -> None:
        assert self.path == "/token?service=s&scope=repository%3Ax%3Apull"
        known = self.headers.get("Authorization") in (None, f"Basic {base64.b64encode(b'u:p').decode()}")
        body = json.dumps({"token": TOKEN}).encode() if known else b"{}"
        self._answer(200, {"Content-Length": str(len(body))}, body)

    def _answer(self, code: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def lock_with(folder: Path, text: str) -> Path:
    path = folder / "bases.lock.toml"
    path.write_text(text)
    return path


def test_the_projects_lock_names_every_base_by_a_tag_and_is_honest_about_digests() -> None:
    entries = read_lock(LOCK)
    assert set(entries) == {"triton-22.03", "triton-24.08", "cuda-11.7", "cuda-12.9", "ubuntu-22.04"}
    for entry in entries.values():
        assert bool(entry.digest) == bool(entry.resolved_on)


def test_every_default_base_of_a_dockerfile_is_in_the_lock_or_is_ours() -> None:
    known = {entry.reference for entry in read_lock(LOCK).values()}
    ours = {"myros2ubuntu22cuda117:latest"}
    for dockerfile in sorted(LOCK.parent.glob("*/Dockerfile")):
        defaults = re.findall(r"^ARG \w+_IMAGE=(\S+)$", dockerfile.read_text(), re.MULTILINE)
        assert defaults, dockerfile
        assert set(defaults) <= known | ours, dockerfile


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "cannot be read"),
        ("a = 1", r"\[a\]: must hold reference, digest, resolved_on"),
        ("[a]\nreference = 'x/y:latest'", "needs a tag other than latest"),
        ("[a]\nreference = 'host:5000/y'", "needs a tag other than latest"),
        ("[a]\nreference = 'x/y:1'\nsha = ''", "unknown key sha"),
        ("[a]\ndigest = ''", "no reference"),
        ("[a]\nreference = 'x/y:1'\ndigest = 'sha256:12'", "is not sha256: and 64 hex digits"),
    ],
)
def test_a_bad_entry_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_lock(lock_with(tmp_path, text))


def test_a_base_without_digest_is_taken_only_when_that_is_allowed(tmp_path: Path) -> None:
    path = lock_with(tmp_path, "[a]\nreference = 'nvcr.io/x/y:1'\n")
    with pytest.raises(ValueError, match=r"has no digest in .*\n  fix: python -m stacks.lock_bases a"):
        base_reference(path, "a")
    assert base_reference(path, "a", allow_unlocked=True) == "nvcr.io/x/y:1"
    with pytest.raises(ValueError, match="no base 'b'; there are a"):
        base_reference(path, "b")


def test_a_mirror_replaces_the_registry_and_the_digest_stays(tmp_path: Path) -> None:
    path = lock_with(tmp_path, f"[a]\nreference = 'nvcr.io/x/y:1'\ndigest = '{DIGEST}'\n")
    mirrored = base_reference(path, "a", registry_mirrors={"nvcr.io": "mirror.example:5000/nvcr/"})
    assert mirrored == f"mirror.example:5000/nvcr/x/y:1@{DIGEST}"


def test_refreshing_writes_the_digests_and_keeps_comment_and_order(tmp_path: Path, registry: str) -> None:
    entries = f'["b-1.0"]\nreference = "{registry}/open/image:1.0"\n\n[a]\nreference = "{registry}/locked/image:1.0"\n'
    path = lock_with(tmp_path, f"# why\n# more\n\n{entries}")
    assert main(["--lock", str(path), "--check"]) == 1
    assert main(["--lock", str(path)]) == 0
    assert {entry.digest for entry in read_lock(path).values()} == {DIGEST}
    assert path.read_text().startswith('# why\n# more\n\n["b-1.0"]\n')
    written = path.read_text()
    assert main(["--lock", str(path)]) == 0
    assert path.read_text() == written, "nothing new: the day of the first look-up stays"
    assert main(["--lock", str(path), "--check"]) == 0


def test_one_that_cannot_be_looked_up_fails_the_command_and_keeps_its_digest(
    tmp_path: Path, registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old = "sha256:" + "b" * 64
    gone = f'[gone]\nreference = "{registry}/gone/image:1.0"\ndigest = "{old}"\n'
    path = lock_with(tmp_path, f'{gone}[a]\nreference = "{registry}/open/image:1.0"\n')
    assert main(["--lock", str(path)]) == 1
    assert "ERROR gone: " in capsys.readouterr().err
    entries = read_lock(path)
    assert (entries["gone"].digest, entries["a"].digest) == (old, DIGEST)
    assert main(["--lock", str(path), "nothing"]) == 1


def test_a_login_is_used_for_the_token(registry: str) -> None:
    assert digest_of(f"{registry}/locked/image:1.0", credentials=base64.b64encode(b"u:p").decode()) == DIGEST
    with pytest.raises(RegistryError, match="gives no token"):
        digest_of(f"{registry}/locked/image:1.0", credentials=base64.b64encode(b"u:wrong").decode())


@pytest.mark.parametrize(
    ("path", "message"), [("gone/image:1.0", "there is no such tag"), ("no/digest:1.0", "answers with no digest")]
)
def test_an_answer_without_digest_says_what_is_wrong(registry: str, path: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        digest_of(f"{registry}/{path}")


def test_references_are_taken_apart_and_docker_hub_answers_under_another_name() -> None:
    image = ImageReference.parse("docker.io/nvidia/cuda:11.7.1-devel-ubuntu22.04")
    assert image.manifest_url() == "https://registry-1.docker.io/v2/nvidia/cuda/manifests/11.7.1-devel-ubuntu22.04"
    assert ImageReference.parse("nvcr.io/a/b:1").manifest_url() == "https://nvcr.io/v2/a/b/manifests/1"
    closed = ImageReference.parse("mirror.example:5000/a/b:1")
    assert closed.manifest_url() == "https://mirror.example:5000/v2/a/b/manifests/1"
    plain = closed.manifest_url(plain_http=["mirror.example:5000"])
    assert plain == "http://mirror.example:5000/v2/a/b/manifests/1"
    for bad in ("ubuntu:22.04", "nvcr.io/a/b", "nvcr.io/a/b:1@sha256:0"):
        with pytest.raises(RegistryError, match="is not registry/repository:tag"):
            ImageReference.parse(bad)
