"""What makes a cluster this cluster: certificate authorities, tokens, and an administrator's certificate.

They are made on the operator's side before the first node starts, so that everything Terraform needs to talk to the
cluster is known at plan, and no secret is read back from a node.
"""

from __future__ import annotations

import datetime
import errno
import hashlib
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cryptography import x509

from constructs_lib.certificate_authority import Authority, certificate_pem, load_ec_key
from constructs_lib.identity_check import IdentityError, problems_of
from constructs_lib.identity_files import FOLDERS, ca_hash, new_identity_files, new_tokens
from constructs_lib.kubeconfig import kubeconfig
from constructs_lib.private_files import (
    locked_folder,
    make_private_folder,
    make_private_folders,
    replace_private_file,
    write_private_file,
)


class ClusterIdentity:
    """The folder with one cluster's identity. Creating this object reads and writes nothing.

    Args:
        directory: The folder, absolute: `admin/` is for the operator, `server/` and `agent/` is what nodes get.

    Raises:
        ValueError: `directory` is relative; Terraform, which reads the files, runs in another folder.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.is_absolute():
            raise ValueError(f"ClusterIdentity: the directory must be absolute, got {str(directory)!r}")
        self.directory = directory

    @classmethod
    def create(cls, *, directory: Path, cluster_name: str, server_addresses: Sequence[str]) -> ClusterIdentity:
        """The identity in `directory`, made when it is not there.

        It appears as a whole or not at all, also when several processes do this at once. An existing one is checked
        and its secrets are never changed; its kubeconfig is written anew when the server's address is another.

        Args:
            directory: Absolute path; folders above it are made with mode 0700 where they are missing.
            cluster_name: Name of cluster and context in the kubeconfig.
            server_addresses: Host names or IP addresses of the servers; the kubeconfig names the first.

        Raises:
            ValueError: A relative directory, or no server address.
            IdentityError: What is there is incomplete, open to others or does not fit together, or is something else.
            OSError: The folder cannot be written.
        """
        identity = cls(directory)
        if not server_addresses:
            raise ValueError("ClusterIdentity: server_addresses is empty; give at least the first server's address")
        config = kubeconfig(cluster_name=cluster_name, server_address=server_addresses[0])
        make_private_folders(directory.parent)
        with locked_folder(directory.parent):
            if not identity.exists():
                identity._make(config)
            identity.verify()
            if identity.kubeconfig_path.read_bytes() != config:
                replace_private_file(identity.kubeconfig_path, config)
        return identity

    @property
    def admin_ca_path(self) -> Path:
        """Certificate of the authority that signs the API servers' certificates."""
        return self.directory / "admin/server-ca.crt"

    @property
    def admin_client_cert_path(self) -> Path:
        """The administrator's certificate."""
        return self.directory / "admin/client.crt"

    @property
    def admin_client_key_path(self) -> Path:
        """The administrator's private key. SECRET."""
        return self.directory / "admin/client.key"

    @property
    def kubeconfig_path(self) -> Path:
        """A kubeconfig for kubectl and its like; it names the three files above and holds no secret itself."""
        return self.directory / "admin/kubeconfig"

    @property
    def server_upload_dir(self) -> Path:
        """Folder for servers: `token`, `agent-token`, `tls/` as K3s expects it before its first start. SECRET."""
        return self.directory / "server"

    @property
    def agent_upload_dir(self) -> Path:
        """Folder for agents: `token`, which lets a node join as an agent and nothing else. SECRET."""
        return self.directory / "agent"

    def token_id(self, *, role: Literal["server", "agent"]) -> str:
        """A word that changes when the tokens of a role do, 16 hex digits of a hash: no secret, and no way back to one.

        Args:
            role: Whose upload folder.

        Returns:
            The word; empty while the tokens are not there: then nothing can be deployed either.
        """
        files = [self.agent_upload_dir / "token"]
        if role == "server":
            files = [self.server_upload_dir / name for name in ("token", "agent-token")]
        try:
            contents = [file.read_bytes() for file in files]
        except FileNotFoundError:
            return ""
        return hashlib.sha256(b"\0".join([b"edge-gpu token id", *contents])).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Sha256 of the server authority's file, 64 hex digits: no secret, and the same for all that trust it.

        Raises:
            OSError: The identity is not there.
        """
        return ca_hash(self.admin_ca_path.read_bytes())

    @property
    def expires_at(self) -> datetime.datetime:
        """When the administrator's certificate ends (UTC).

        Raises:
            OSError: The identity is not there.
            ValueError: The file is no certificate.
        """
        return x509.load_pem_x509_certificate(self.admin_client_cert_path.read_bytes()).not_valid_after_utc

    def exists(self) -> bool:
        """Whether anything of an identity is there, whole or not."""
        return any((self.directory / folder).exists() for folder in FOLDERS)

    def verify(self) -> None:
        """Check that all files are there, closed to others, fit together and are valid for a day or more.

        Raises:
            IdentityError: They are not; its text has every problem with its fix.
        """
        problems = problems_of(self.directory, now=datetime.datetime.now(datetime.UTC))
        if problems:
            raise IdentityError(self.directory, problems)

    def renew_admin_certificate(self) -> datetime.datetime:
        """Issue the administrator's certificate anew, for a year from now; the key and the cluster stay as they are.

        Returns:
            When the new one ends (UTC).

        Raises:
            OSError: The identity is not there or cannot be written.
            ValueError: A file is damaged.
        """
        tls = self.server_upload_dir / "tls"
        authority = Authority.load(
            certificate=(tls / "client-ca.crt").read_bytes(), key=(tls / "client-ca.key").read_bytes()
        )
        public_key = load_ec_key(self.admin_client_key_path.read_bytes()).public_key()
        certificate = authority.issue_admin(public_key, now=datetime.datetime.now(datetime.UTC))
        with locked_folder(self.directory.parent):
            replace_private_file(self.admin_client_cert_path, certificate_pem(certificate))
        return certificate.not_valid_after_utc

    def rotate_tokens(self) -> None:
        """Make new tokens for servers and agents; the next deploy carries them to the nodes.

        The server token of before is kept in `old-server-tokens`: backups of the datastore can only be read with it.

        Raises:
            IdentityError: What is there cannot be used.
            OSError: The identity cannot be written.
        """
        self.verify()
        with locked_folder(self.directory.parent):
            kept = self.directory / "old-server-tokens"
            before = (kept.read_bytes() if kept.exists() else b"") + (self.server_upload_dir / "token").read_bytes()
            replace_private_file(kept, before)
            server_ca = (self.server_upload_dir / "tls/server-ca.crt").read_bytes()
            for name, content in new_tokens(server_ca=server_ca).items():
                replace_private_file(self.directory / name, content)

    def _make(self, config: bytes) -> None:
        # The caller holds the lock: what an earlier process left when it was killed is nobody's.
        for leftover in self.directory.parent.glob(f".{self.directory.name}.new-*"):
            shutil.rmtree(leftover)
        unfinished = self.directory.with_name(f".{self.directory.name}.new-{secrets.token_hex(4)}")
        files = new_identity_files(kubeconfig=config, now=datetime.datetime.now(datetime.UTC))
        make_private_folder(unfinished)
        try:
            for folder in FOLDERS:
                make_private_folder(unfinished / folder)
            for name, content in files.items():
                write_private_file(unfinished / name, content)
            unfinished.rename(self.directory)
        except BaseException as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise IdentityError(self.directory, [_occupied(self.directory)]) from None
            raise


def _occupied(directory: Path) -> str:
    if not directory.is_dir():
        return "it is no folder; fix: move it away"
    held = ", ".join(sorted(path.name for path in directory.iterdir()))
    return (
        f"it holds no identity, but {held}; fix: restore admin/, server/ and agent/ from a backup. For a new cluster, "
        "move the folder away: a state in it describes nodes of the old one"
    )
