"""`python -m stacks.identity`: makes a fleet's secrets once and says what it did, never the secrets."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Literal

import pytest

from constructs_lib import certificate_authority
from constructs_lib.cluster_identity import ClusterIdentity
from stacks.identity import main

SMALLEST = Path(__file__).resolve().parents[1] / "fleets" / "good" / "smallest.yaml"


ROLES: tuple[Literal["server", "agent"], ...] = ("server", "agent")


def secrets_of(folder: Path) -> set[str]:
    names = ["server/token", "server/agent-token", "agent/token", "admin/client.key"]
    return {line for name in names for line in (folder / name).read_text(encoding="ascii").splitlines() if line}


def test_it_makes_the_secrets_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SMALLEST)], project=tmp_path) == 0
    folder = tmp_path / ".edge" / "site-a"
    first = ClusterIdentity(folder)
    first.verify()
    said = capsys.readouterr()
    assert f"cluster identity {folder}: made now" in said.out
    assert first.fingerprint in said.out
    assert main([str(SMALLEST)], project=tmp_path) == 0
    again = capsys.readouterr()
    assert "was there" in again.out
    assert first.fingerprint in again.out
    told = said.out + said.err + again.out + again.err
    assert [secret for secret in secrets_of(folder) if secret in told] == []


def test_it_renews_the_admin_certificate_in_its_last_month(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_authority, "ADMIN_VALIDITY", datetime.timedelta(days=29))
    assert main([str(SMALLEST)], project=tmp_path) == 0
    monkeypatch.undo()
    assert "renewed" not in capsys.readouterr().out
    assert main([str(SMALLEST)], project=tmp_path) == 0
    assert "renewed now" in capsys.readouterr().out
    left = ClusterIdentity(tmp_path / ".edge" / "site-a").expires_at - datetime.datetime.now(datetime.UTC)
    assert left > datetime.timedelta(days=360)
    assert main([str(SMALLEST)], project=tmp_path) == 0
    assert "renewed" not in capsys.readouterr().out


def test_rotation_makes_new_tokens_that_fit_together_and_keeps_the_old_server_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(SMALLEST)], project=tmp_path) == 0
    identity = ClusterIdentity(tmp_path / ".edge" / "site-a")
    before = {role: identity.token_id(role=role) for role in ROLES}
    old = secrets_of(identity.directory)
    old_server_token = (identity.server_upload_dir / "token").read_text()
    assert main(["--rotate-tokens", str(SMALLEST)], project=tmp_path) == 0
    identity.verify()
    assert {role: identity.token_id(role=role) for role in ROLES}.items().isdisjoint(before.items())
    kept = identity.directory / "old-server-tokens"
    assert kept.read_text() == old_server_token
    assert kept.stat().st_mode & 0o077 == 0
    said = capsys.readouterr()
    for secret in old | secrets_of(identity.directory):
        assert secret not in said.out + said.err


def test_a_bad_fleet_file_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = SMALLEST.parents[1] / "bad" / "no-server.yaml"
    assert main([str(bad)], project=tmp_path) == 1
    assert "no node has the role server" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_identity_is_said_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SMALLEST)], project=tmp_path) == 0
    (tmp_path / ".edge/site-a/admin/client.crt").write_text("damaged", encoding="ascii")
    assert main([str(SMALLEST)], project=tmp_path) == 1
    assert "admin/client.crt: is no certificate" in capsys.readouterr().err
    assert (tmp_path / ".edge/site-a/admin/client.crt").read_text(encoding="ascii") == "damaged"


def test_a_call_without_a_file_shows_the_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], project=tmp_path) == 2
    assert "usage: python -m stacks.identity" in capsys.readouterr().err
