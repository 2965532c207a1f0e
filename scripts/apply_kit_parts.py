"""The parts of an apply kit that do not depend on the fleet: the node's root file system, Terraform and its plugins."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import uuid
from pathlib import Path

from lab.artifacts.command import run_command
from lab.artifacts.node_image import ensure_node_image
from lab.artifacts.stand_in_driver import build_stand_in_driver, driver_node_files
from lab.artifacts.stand_in_driver import stand_in_gpus as lab_gpus
from lab.artifacts.terraform_plugins import REGISTRIES, build_terraform_plugins
from lab.cache import build_once, content_key
from lab.engine import connect
from lab.progress import Progress
from lab.ssh_key import ensure_ssh_key
from scripts.terraform import find_terraform

_PROGRAMS = "programs.tar.xz"
# uid of the image's user `edge`.
_SSH_USER_ID = 1000
_XZ = "xz -6 -T2"
_COMPRESS_TIMEOUT_SECONDS = 1200.0


def add_node_root(directory: Path, *, node: str, stand_in_gpus: int, progress: Progress) -> str:
    """The lab's node, packed, and what this one has over it: keys, and where asked for the stand-in driver.

    Args:
        directory: the kit's; node-root.tar.xz, node-files.tar and the key in ssh/ come to lie there.
        node: its name.
        stand_in_gpus: how many of the lab's it gets; 0 is a node for the machine's own driver.
        progress: where the steps are said; minutes the first time, to compress it.

    Returns:
        Its public SSH host key, made here so that the stack can pin it.

    Raises:
        BuildError, LabError: the lab's parts cannot be made.
    """
    client = connect(progress=progress)
    image, _ = ensure_node_image(client, progress=progress)

    def build(target: Path) -> None:
        root = target / "root.tar"
        container = client.containers.create(image)
        try:
            with root.open("wb") as stream:
                for chunk in container.export():
                    stream.write(chunk)  # type: ignore[arg-type]  # docker-py says str, and it is bytes
        finally:
            container.remove()
        with progress.step("pack the node's root file system"):
            run_command([*_XZ.split(), root], timeout_seconds=_COMPRESS_TIMEOUT_SECONDS)

    packed = build_once(name="apply-node-root", key=content_key(image), build=build)
    client.close()
    shutil.copyfile(packed / "root.tar.xz", directory / "node-root.tar.xz")
    files = {
        name: (content, 0o755 if name == "usr/bin/nvidia-smi" else 0o644)
        for name, content in _driver_files(node=node, gpus=stand_in_gpus, progress=progress).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        run_command(["ssh-keygen", "-q", "-N", "", "-C", node, "-f", key, "-t", "ecdsa"], timeout_seconds=60)
        private, public = key.read_bytes(), key.with_suffix(".pub").read_bytes()
    files["etc/ssh/ssh_host_ecdsa_key"] = (private, 0o600)
    files["etc/ssh/ssh_host_ecdsa_key.pub"] = (public, 0o644)
    files["etc/machine-id"] = (f"{uuid.uuid4().hex}\n".encode(), 0o444)
    files["home/edge/.ssh/authorized_keys"] = (ensure_ssh_key(directory / "ssh" / "id_ed25519").encode(), 0o600)
    with tarfile.open(directory / "node-files.tar", "w") as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            entry.uid = entry.gid = _SSH_USER_ID if name.startswith("home/") else 0
            archive.addfile(entry, io.BytesIO(content))
    return " ".join(public.decode().split()[:2])


def _driver_files(*, node: str, gpus: int, progress: Progress) -> dict[str, bytes]:
    """The stand-in driver with this many GPUs, path -> content; nothing for none."""
    if not gpus:
        return {}
    tree = build_stand_in_driver(progress=progress).path
    files = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    texts = driver_node_files(lab_gpus(node=node, count=gpus))
    return files | {name: text.encode() for name, text in texts.items()}


def add_programs(directory: Path, *, progress: Progress) -> str:
    """Put Terraform and its plugins, packed, into the kit, and the terraform.rc that names them.

    Returns:
        Which plugins, in words.
    """
    terraform = shutil.which(find_terraform().command)
    assert terraform is not None, "find_terraform() found it"
    parts = build_terraform_plugins(progress=progress)

    def build(target: Path) -> None:
        folder = target / "programs"
        folder.mkdir()
        shutil.copy(terraform, folder / "terraform")
        for name in ("kubernetes", "helm"):
            source = parts[0].path / REGISTRIES[0] / "hashicorp" / name
            shutil.copytree(source, folder / "mirror" / REGISTRIES[0] / "hashicorp" / name)
        with progress.step("pack Terraform and its plugins"):
            run_command(
                [
                    "tar",
                    "--numeric-owner",
                    f"--use-compress-program={_XZ}",
                    "-C",
                    folder,
                    "-cf",
                    target / _PROGRAMS,
                    ".",
                ],
                timeout_seconds=_COMPRESS_TIMEOUT_SECONDS,
            )
        shutil.rmtree(folder)

    key = content_key(Path(terraform), parts[0].path.parent.name)
    packed = build_once(name="apply-programs", key=key, build=build)
    shutil.copyfile(packed / _PROGRAMS, directory / _PROGRAMS)
    mirror = directory / "run" / "programs" / "mirror"
    (directory / "terraform.rc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    return ", ".join(f"{part.name.rpartition(' ')[2]} {part.version}" for part in parts if "docker" not in part.name)
