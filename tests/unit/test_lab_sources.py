"""LAB_SOURCES: public parts where they can be reached, part by part, against a server with the public layout."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.site import ImageArchive, Site
from lab.sources import PUBLIC_K3S_VERSION, PublicParts, PublicPlaces, SourcesError, find_public_parts, sources_mode

K3S_SHA256 = "ab" * 32
CHECKSUMS = f"{'cd' * 32}  k3s-airgap-images-amd64.tar\n{K3S_SHA256}  k3s\n"
INDEX = """
entries:
  nvidia-device-plugin:
  - name: nvidia-device-plugin
    version: 0.20.0
  - name: nvidia-device-plugin
    version: 0.19.3
"""
KEY = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
NOBODY = "http://127.0.0.1:9"
NOWHERE = PublicPlaces(
    k3s_releases=NOBODY,
    apt_repository=NOBODY,
    apt_key_url=NOBODY,
    chart_repository=NOBODY,
    image_registry=NOBODY,
    terraform_registry=NOBODY,
)


class PublicLayout(SimpleHTTPRequestHandler):
    """Files as the public places have them; a registry that wants a login, as they all do."""

    def do_GET(self) -> None:
        if self.path == "/registry/v2/":
            self.send_error(401)
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Tests' output is not the place for a server's log."""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    files = {
        f"releases/{PUBLIC_K3S_VERSION}/sha256sum-amd64.txt": CHECKSUMS,
        "deb/amd64/InRelease": "-----BEGIN PGP SIGNED MESSAGE-----\n",
        "gpgkey": KEY.decode(),
        "charts/index.yaml": INDEX,
        "terraform/.well-known/terraform.json": "{}",
    }
    for name, content in files.items():
        path = tmp_path / "served" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "served"


@pytest.fixture
def places(served: Path) -> Iterator[PublicPlaces]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(PublicLayout, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield PublicPlaces(
            k3s_releases=f"{url}/releases",
            apt_repository=f"{url}/deb",
            apt_key_url=f"{url}/gpgkey",
            chart_repository=f"{url}/charts",
            image_registry=f"{url}/registry",
            terraform_registry=f"{url}/terraform",
        )
        server.shutdown()


def never_built() -> bool:
    return False


def test_what_can_be_reached_is_taken_with_its_checksum(places: PublicPlaces) -> None:
    assert find_public_parts(mode="auto", built_here=never_built, places=places) == PublicParts(
        k3s_sha256=K3S_SHA256,
        apt_key_sha256=hashlib.sha256(KEY).hexdigest(),
        chart=True,
        device_plugin_image=True,
        terraform_plugins=True,
        places=places,
    )


@pytest.mark.parametrize(
    ("name", "content", "lost"),
    [
        (f"releases/{PUBLIC_K3S_VERSION}/sha256sum-amd64.txt", "<html>sign in</html>", "k3s_sha256"),
        ("gpgkey", "<html>sign in</html>", "apt_key_sha256"),
        ("charts/index.yaml", "entries: {}\n", "chart"),
        ("terraform/.well-known/terraform.json", None, "terraform_plugins"),
    ],
)
def test_one_place_that_answers_something_else_costs_only_its_own_part(
    places: PublicPlaces, served: Path, name: str, content: str | None, lost: str
) -> None:
    (served / name).unlink() if content is None else (served / name).write_text(content)
    found = find_public_parts(mode="auto", built_here=never_built, places=places)
    flags = {
        field: bool(getattr(found, field))
        for field in ("k3s_sha256", "apt_key_sha256", "chart", "device_plugin_image", "terraform_plugins")
    }
    assert [field for field, taken in flags.items() if not taken] == [lost]


def test_without_any_network_all_is_built_here() -> None:
    assert find_public_parts(mode="auto", built_here=never_built, places=NOWHERE) == PublicParts(places=NOWHERE)


def test_public_names_every_place_that_cannot_be_used_and_the_way_out() -> None:
    with pytest.raises(SourcesError, match="use auto to build those parts here") as caught:
        find_public_parts(mode="public", built_here=never_built, places=NOWHERE)
    assert str(caught.value).count(NOBODY) == 5


@pytest.mark.parametrize(("mode", "built"), [("local", False), ("auto", True)])
def test_nobody_is_asked_when_all_is_to_come_from_here(places: PublicPlaces, mode: str, built: bool) -> None:
    found = find_public_parts(mode=sources_mode({"LAB_SOURCES": mode}), built_here=lambda: built, places=places)
    assert found == PublicParts(places=places)


class Silent(BaseHTTPRequestHandler):
    """Takes the connection and never answers in time."""

    def do_GET(self) -> None:
        time.sleep(10)

    def log_message(self, *_: object) -> None:
        """Tests' output is not the place for a server's log."""


def test_a_place_that_does_not_answer_is_waited_for_only_a_few_seconds() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    silent = PublicPlaces(url, url, url, url, url, "unused", url)
    started = time.monotonic()
    found = find_public_parts(mode="auto", built_here=never_built, places=silent)
    server.shutdown()
    assert time.monotonic() - started < 6
    assert found == PublicParts(places=silent)


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SourcesError, match=r"LAB_SOURCES='internet' is not known; use auto .* public .* or local"):
        sources_mode({"LAB_SOURCES": "internet"})


def test_the_mode_is_auto_when_nothing_is_said() -> None:
    assert sources_mode({}) == sources_mode({"LAB_SOURCES": ""}) == "auto"


def site(public: PublicParts) -> Site:
    return Site(
        directory=Path("/site"),
        parts=[],
        public=public,
        k3s_version="v1.2.3+k3s1",
        k3s_sha256=K3S_SHA256,
        image_archives=[ImageArchive(path="images/pause.tar", sha256="ef" * 32)],
        apt_key_sha256="12" * 32,
    )


def addresses(value: object) -> list[str]:
    """All texts of nested fleet values."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in addresses(item)]
    if isinstance(value, list):
        return [text for item in value for text in addresses(item)]
    return [str(value)]


def test_a_fleet_built_here_names_only_the_mirror() -> None:
    texts = addresses(site(PublicParts()).fleet_values(mirror_url="http://mirror"))
    assert [text for text in texts if "://" in text and not text.startswith("http://mirror/")] == []
    assert "edge-gpu-lab/k8s-device-plugin:v0.19.3" in texts


def test_a_public_fleet_names_the_mirror_only_for_image_archives() -> None:
    everything = PublicParts(k3s_sha256=K3S_SHA256, apt_key_sha256="12" * 32, chart=True, device_plugin_image=True)
    texts = addresses(site(everything).fleet_values(mirror_url="http://mirror"))
    assert [text for text in texts if "mirror" in text] == ["http://mirror/images/pause.tar"]
    assert "nvcr.io/nvidia/k8s-device-plugin:v0.19.3" in texts
