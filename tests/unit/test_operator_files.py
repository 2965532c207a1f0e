"""What a fleet file names on the operator's machine is checked before Terraform stumbles over it."""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from stacks.fleet import Fleet, FleetError, parse_fleet

SMALLEST = (Path(__file__).resolve().parents[1] / "fleets" / "good" / "smallest.yaml").read_text(encoding="utf-8")
FLEET_WITH_AGENT = parse_fleet(SMALLEST.replace("private_key_path: ~/.ssh/id_ed25519", "agent: true"), source="-")


def fleet_with_key(path: Path) -> Fleet:
    return parse_fleet(SMALLEST.replace("~/.ssh/id_ed25519", str(path)), source="-")


def write_key(path: Path, *, form: str = "OPENSSH", passphrase: str = "") -> Path:
    """A key as ssh-keygen makes it: `OPENSSH` is its own format, `PKCS8` the one of other programs."""
    run = ["ssh-keygen", "-q", "-t", "ecdsa", "-a", "1", "-N", passphrase, "-f", str(path)]
    subprocess.run([*run, *(["-m", form] if form != "OPENSSH" else [])], check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.mark.parametrize("form", ["OPENSSH", "PKCS8", "PEM"])
def test_a_private_key_that_only_its_owner_may_read_passes(tmp_path: Path, form: str) -> None:
    fleet_with_key(write_key(tmp_path / "key", form=form)).check_operator_files()


@pytest.mark.parametrize("form", ["OPENSSH", "PKCS8", "PEM"])
def test_a_key_with_a_passphrase_is_refused(tmp_path: Path, form: str) -> None:
    path = write_key(tmp_path / "key", form=form, passphrase="not a secret")
    with pytest.raises(FleetError, match=r"has a passphrase(.|\n)*agent: true"):
        fleet_with_key(path).check_operator_files()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = write_key(tmp_path / "key")
    path.chmod(0o640)
    with pytest.raises(FleetError, match=f"mode 0640(.|\n)*chmod 0600 {path}"):
        fleet_with_key(path).check_operator_files()


def test_what_is_no_private_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("ssh-ed25519 AAAA\n", encoding="ascii")
    path.chmod(0o600)
    with pytest.raises(FleetError, match="is no private key"):
        fleet_with_key(path).check_operator_files()
    with pytest.raises(FleetError, match="cannot be read: No such file or directory"):
        fleet_with_key(tmp_path / "absent").check_operator_files()
    with pytest.raises(FleetError, match="is no file"):
        fleet_with_key(tmp_path).check_operator_files()


@pytest.mark.parametrize(
    ("keys", "refusal"),
    [(1, None), (0, "the SSH agent has no key"), (None, "does not answer: not with a list of keys")],
)
def test_an_agent_must_answer_with_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: int | None, refusal: str | None
) -> None:
    path = tmp_path / "agent"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        agent.listen()
        answering = threading.Thread(target=answer, args=(agent, keys))
        answering.start()
        with nullcontext() if refusal is None else pytest.raises(FleetError, match=refusal):
            FLEET_WITH_AGENT.check_operator_files()
        answering.join(timeout=5)


def answer(agent: socket.socket, keys: int | None) -> None:
    """Play an SSH agent with so many keys for one request; with None, one that knows no such request."""
    connection, _ = agent.accept()
    with connection:
        assert connection.recv(5) == b"\x00\x00\x00\x01\x0b"
        body = b"\x05" if keys is None else b"\x0c" + keys.to_bytes(4)
        connection.sendall(len(body).to_bytes(4) + body)


def test_an_agent_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(FleetError, match="no SSH agent is there"):
        FLEET_WITH_AGENT.check_operator_files()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with pytest.raises(FleetError, match="does not answer: No such file or directory"):
        FLEET_WITH_AGENT.check_operator_files()
