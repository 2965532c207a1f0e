"""A cluster's identity: made once, whole, closed to others, in the form that K3s takes over at its first start."""

from __future__ import annotations

import datetime
import hashlib
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from constructs_lib import certificate_authority
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.identity_check import IdentityError
from constructs_lib.identity_files import AUTHORITIES, FILES, FOLDERS


def create(directory: Path, *, addresses: tuple[str, ...] = ("192.0.2.11", "192.0.2.12")) -> ClusterIdentity:
    return ClusterIdentity.create(directory=directory, cluster_name="site-a", server_addresses=addresses)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> ClusterIdentity:
    return create(tmp_path_factory.mktemp("made-once") / ".edge" / "site-a")


@pytest.fixture
def identity(made_once: ClusterIdentity, tmp_path: Path) -> ClusterIdentity:
    """A copy to look at or to damage: making an RSA key takes longer than most of these tests."""
    return ClusterIdentity(Path(shutil.copytree(made_once.directory, tmp_path / ".edge" / "site-a")))


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_it_holds_exactly_the_files_of_its_layout(made_once: ClusterIdentity) -> None:
    assert contents(made_once.directory).keys() == set(FILES)
    assert [path.name for path in made_once.directory.parent.iterdir()] == ["site-a"], "nothing unfinished is left"


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o377])
def test_only_its_owner_can_read_it_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    os.umask(mask)
    directory = tmp_path / ".edge" / "site-a"
    create(directory)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (directory.parent, directory, *directory.rglob("*"))}
    assert len(found) == 2 + len(FOLDERS) + len(FILES)
    assert {path: mode for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


@pytest.mark.usefixtures("umask")
def test_no_file_is_open_to_others_even_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open, modes = os.open, []

    def watched_open(path: Any, flags: int, mode: int = 0o777, **others: Any) -> int:
        descriptor = real_open(path, flags, mode, **others)
        if flags & os.O_CREAT:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched_open)
    create(tmp_path / "site-a")
    assert modes == [0o600] * len(FILES)


@pytest.mark.parametrize("authority", AUTHORITIES)
def test_each_authority_is_one_self_signed_certificate_with_the_usages_of_k3s(
    identity: ClusterIdentity, authority: str
) -> None:
    path = identity.server_upload_dir / "tls" / f"{authority}.crt"
    assert path.read_bytes().count(b"BEGIN CERTIFICATE") == 1, "K3s hashes a chain in another way"
    found = certificate(path)
    found.verify_directly_issued_by(found)
    common_name, at, made = str(found.subject.rfc4514_string()).partition("@")
    assert common_name == f"CN={AUTHORITIES[authority]}"
    assert at
    assert made.isdigit()
    key = load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == found.public_key()
    constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value.ca, usage.critical) == (True, True, True)
    assert (usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (True,) * 3
    assert not usage.value.crl_sign


def test_no_two_authorities_share_a_key(identity: ClusterIdentity) -> None:
    keys = {(identity.server_upload_dir / "tls" / f"{name}.key").read_bytes() for name in AUTHORITIES}
    assert len(keys) == len(AUTHORITIES)


def test_the_service_account_key_is_traditional_rsa(identity: ClusterIdentity) -> None:
    pem = (identity.server_upload_dir / "tls/service.key").read_bytes()
    assert pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----\n")
    key = load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048


def test_tokens_carry_the_hash_of_the_server_authority_file(identity: ClusterIdentity) -> None:
    expected = hashlib.sha256((identity.server_upload_dir / "tls/server-ca.crt").read_bytes()).hexdigest()
    server = (identity.server_upload_dir / "token").read_text(encoding="ascii").strip()
    agent_password = (identity.server_upload_dir / "agent-token").read_text(encoding="ascii").strip()
    agent = (identity.agent_upload_dir / "token").read_text(encoding="ascii").strip()
    assert server.startswith(f"K10{expected}::server:")
    assert agent == f"K10{expected}::node:{agent_password}"
    server_password = server.rpartition(":")[2]
    assert len(server_password) == len(agent_password) == 64
    assert server_password not in agent, "an agent must not be able to act as the cluster's administrator"
    assert identity.fingerprint == expected


def test_agents_get_their_token_and_nothing_else(identity: ClusterIdentity) -> None:
    assert [path.name for path in identity.agent_upload_dir.rglob("*")] == ["token"]


def test_the_admin_certificate_is_that_of_k3s_admin(identity: ClusterIdentity) -> None:
    admin = certificate(identity.admin_client_cert_path)
    assert admin.subject.rfc4514_string() == "CN=system:admin,O=system:masters"
    admin.verify_directly_issued_by(certificate(identity.server_upload_dir / "tls/client-ca.crt"))
    usage = admin.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not admin.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(ValueError, match="does not match"):
        admin.verify_directly_issued_by(certificate(identity.admin_ca_path))


def test_certificates_begin_an_hour_ago_and_last_ten_years_and_one(identity: ClusterIdentity) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority = certificate(identity.admin_ca_path)
    admin = certificate(identity.admin_client_cert_path)
    for found, days in ((authority, 3650), (admin, 365)):
        assert now - found.not_valid_before_utc > datetime.timedelta(minutes=59)
        assert abs(found.not_valid_after_utc - now - datetime.timedelta(days=days)) < datetime.timedelta(minutes=5)
    assert identity.expires_at == admin.not_valid_after_utc


def test_the_kubeconfig_names_the_first_server_and_holds_no_key(identity: ClusterIdentity) -> None:
    text = identity.kubeconfig_path.read_text(encoding="ascii")
    config = yaml.safe_load(text)
    assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.11:6443"
    (context,) = config["contexts"]
    assert context["name"] == config["current-context"] == config["clusters"][0]["name"] == "site-a"
    assert context["context"]["user"] == config["users"][0]["name"]
    user = config["users"][0]["user"]
    folder = identity.kubeconfig_path.parent
    assert folder / user["client-key"] == identity.admin_client_key_path
    assert folder / user["client-certificate"] == identity.admin_client_cert_path
    assert folder / config["clusters"][0]["cluster"]["certificate-authority"] == identity.admin_ca_path


def test_an_ipv6_server_stands_in_brackets(tmp_path: Path) -> None:
    identity = create(tmp_path / "site-a", addresses=("2001:db8::11",))
    config = yaml.safe_load(identity.kubeconfig_path.read_text(encoding="ascii"))
    assert config["clusters"][0]["cluster"]["server"] == "https://[2001:db8::11]:6443"


def test_creating_it_again_changes_nothing(identity: ClusterIdentity) -> None:
    before = contents(identity.directory)
    create(identity.directory)
    assert contents(identity.directory) == before


def test_another_first_server_changes_the_kubeconfig_only(identity: ClusterIdentity) -> None:
    before = contents(identity.directory)
    create(identity.directory, addresses=("192.0.2.99",))
    after = contents(identity.directory)
    assert {name for name in before if before[name] != after[name]} == {"admin/kubeconfig"}
    assert b"https://192.0.2.99:6443" in after["admin/kubeconfig"]
    assert stat.S_IMODE(identity.kubeconfig_path.stat().st_mode) == 0o600


def create_in_process(directory: Path, barrier: Any, results: Any) -> None:
    barrier.wait(timeout=30)
    results.put(create(directory).fingerprint)


def test_processes_that_create_it_at_once_all_get_the_same(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    directory = tmp_path / "not-yet" / "site-a"
    workers = [context.Process(target=create_in_process, args=(directory, barrier, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    fingerprints = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(timeout=10)
        assert worker.exitcode == 0
    assert fingerprints == {ClusterIdentity(directory).fingerprint}
    assert [path.name for path in directory.parent.iterdir()] == ["site-a"]


def test_what_a_killed_process_left_is_removed_and_never_used(tmp_path: Path) -> None:
    leftover = tmp_path / ".site-a.new-0011aabb"
    (leftover / "admin").mkdir(parents=True)
    (leftover / "admin/client.key").write_text("half a key", encoding="ascii")
    other = tmp_path / ".site-b.new-0011aabb"
    other.mkdir()
    create(tmp_path / "site-a")
    assert {path.name for path in tmp_path.iterdir()} == {"site-a", other.name}


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("constructs_lib.cluster_identity.write_private_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        create(tmp_path / "site-a")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_state_but_no_identity_is_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "site-a" / "terraform.tfstate"
    state.parent.mkdir()
    state.write_text("{}", encoding="ascii")
    with pytest.raises(IdentityError, match=r"holds no identity, but terraform\.tfstate"):
        create(tmp_path / "site-a")
    assert contents(tmp_path) == {"site-a/terraform.tfstate": b"{}"}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "site-a").mkdir(mode=0o755)
    assert create(tmp_path / "site-a").exists()


def test_a_missing_file_is_named_and_not_made_anew(identity: ClusterIdentity) -> None:
    (identity.directory / "server/tls/client-ca.key").unlink()
    (identity.directory / "agent/token").unlink()
    with pytest.raises(IdentityError, match=r"missing: agent/token, server/tls/client-ca\.key; fix: restore"):
        create(identity.directory)
    assert not (identity.directory / "agent/token").exists()


def test_what_does_not_exist_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="does not exist; fix: create it"):
        ClusterIdentity(tmp_path / "site-a").verify()


def test_files_open_to_others_are_named_with_the_fix(identity: ClusterIdentity) -> None:
    identity.admin_client_key_path.chmod(0o644)
    (identity.directory / "server").chmod(0o750)
    with pytest.raises(IdentityError, match=r"open to others: server 0750, admin/client\.key 0644;") as refusal:
        identity.verify()
    assert f"chmod -R go= {identity.directory}" in str(refusal.value)
    subprocess.run(["chmod", "-R", "go=", str(identity.directory)], check=True)
    identity.verify()


@pytest.mark.parametrize(
    ("changed", "taken_from", "problem"),
    [
        (
            "server/tls/etcd/peer-ca.key",
            "server/tls/etcd/server-ca.key",
            "server/tls/etcd/peer-ca.crt: does not belong to",
        ),
        ("server/tls/client-ca.crt", "server/tls/request-header-ca.crt", "admin/client.crt: is not signed by"),
        ("admin/server-ca.crt", "server/tls/client-ca.crt", "admin/server-ca.crt: differs from"),
        ("admin/client.crt", "admin/client.key", "admin/client.crt: is no certificate"),
        ("server/tls/service.key", "admin/client.key", "server/tls/service.key: is no RSA private key"),
        ("admin/client.key", "server/tls/service.key", "admin/client.key: is no EC private key"),
        ("server/token", "agent/token", "server/token: is no server token of"),
        ("agent/token", "server/token", "agent/token: does not fit"),
        ("server/agent-token", "server/token", "agent/token: does not fit"),
    ],
)
def test_a_file_that_does_not_fit_the_others_is_named(
    identity: ClusterIdentity, changed: str, taken_from: str, problem: str
) -> None:
    identity.verify()
    (identity.directory / changed).write_bytes((identity.directory / taken_from).read_bytes())
    with pytest.raises(IdentityError) as refusal:
        identity.verify()
    assert problem in str(refusal.value)


def test_a_token_without_a_password_is_refused(identity: ClusterIdentity) -> None:
    token = identity.server_upload_dir / "token"
    token.write_text(f"K10{identity.fingerprint}::server:\n", encoding="ascii")
    with pytest.raises(IdentityError, match="server/token: is no server token of"):
        identity.verify()


def test_an_admin_certificate_signed_by_another_authority_of_that_name_is_seen(identity: ClusterIdentity) -> None:
    admin = certificate(identity.admin_client_cert_path)
    other = create(identity.directory.with_name("other"))
    authority = certificate_authority.Authority.load(
        certificate=(identity.server_upload_dir / "tls/client-ca.crt").read_bytes(),
        key=(other.server_upload_dir / "tls/client-ca.key").read_bytes(),
    )
    public_key = admin.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    forged = authority.issue_admin(public_key, now=datetime.datetime.now(datetime.UTC))
    identity.admin_client_cert_path.write_bytes(certificate_authority.certificate_pem(forged))
    with pytest.raises(IdentityError, match="is not signed by"):
        identity.verify()


@pytest.mark.parametrize(("days", "state"), [(-1, "ended"), (0.5, "ends in less than a day")])
def test_an_admin_certificate_at_its_end_is_refused_until_renewed(
    identity: ClusterIdentity, monkeypatch: pytest.MonkeyPatch, days: float, state: str
) -> None:
    monkeypatch.setattr(certificate_authority, "ADMIN_VALIDITY", datetime.timedelta(days=days))
    if days < 0:
        monkeypatch.setattr(certificate_authority, "CLOCK_TOLERANCE", datetime.timedelta(days=2))
    identity.renew_admin_certificate()
    monkeypatch.undo()
    with pytest.raises(IdentityError, match=rf"admin/client\.crt: {state}.*fix: renew it"):
        identity.verify()
    before = contents(identity.directory)
    ends = identity.renew_admin_certificate()
    identity.verify()
    assert identity.expires_at == ends
    assert ends - datetime.datetime.now(datetime.UTC) > datetime.timedelta(days=364)
    after = contents(identity.directory)
    assert {name for name in before if before[name] != after[name]} == {"admin/client.crt"}
    assert stat.S_IMODE(identity.admin_client_cert_path.stat().st_mode) == 0o600


def test_an_authority_at_its_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_authority, "CA_VALIDITY", datetime.timedelta(hours=3))
    with pytest.raises(IdentityError, match=r"server/tls/server-ca\.crt: ends in less than a day.*rotate-ca"):
        create(tmp_path / "site-a")


def test_a_relative_folder_or_no_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be absolute, got 'site-a'"):
        ClusterIdentity(Path("site-a"))
    with pytest.raises(ValueError, match="server_addresses is empty"):
        create(tmp_path / "site-a", addresses=())


def test_the_library_makes_it_without_starting_the_cdk(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from constructs_lib.cluster_identity import ClusterIdentity;"
        "ClusterIdentity.create(directory=Path(sys.argv[1]), cluster_name='a', server_addresses=['b']);"
        "print([name for name in sys.modules if name.split('.')[0] in ('jsii', 'cdktf', 'constructs', 'pydantic')])"
    )
    root = Path(__file__).resolve().parents[2]
    argv = [sys.executable, "-c", program, str(tmp_path / "a")]
    assert subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True).stdout == "[]\n"
