"""K3s as one self-extracting binary, built from its Go module the way upstream's release scripts build it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.artifacts.command import require_tool, run_command
from lab.artifacts.debian_package import DebianPackage, debian_package
from lab.artifacts.go_module import GoModule, go_version, pinned_module, run_go
from lab.artifacts.tree_archive import write_tar
from lab.cache import build_once, content_key, file_sha256
from lab.part import Part
from lab.progress import Progress, Step

# Upstream's own form for a build without a release tag: Kubernetes version + commit.
K3S_VERSION = "v1.35.0+k3s-04e8f1b5"
# The same objects linked with another version, to upgrade to; its name says so.
K3S_RELINK_VERSION = "v1.35.1+k3s-relink"
BINARY = "k3s"
CHECKSUMS = "sha256sum-amd64.txt"

_RECIPE = Path(__file__)
_MODULE = "github.com/k3s-io/k3s"
_SHIM = "containerd-shim-runc-v2"
_TAGS = "ctrd netcgo osusergo providerless urfave_cli_no_docs sqlite_omit_load_extension apparmor seccomp"
_MULTI_CALL_NAMES = (
    "containerd", "crictl", "ctr", "kubectl", "k3s-agent", "k3s-server", "k3s-token", "k3s-etcd-snapshot",
    "k3s-secrets-encrypt", "k3s-certificate", "k3s-completion",
)  # fmt: skip
_COMPILE_TIMEOUT_SECONDS = 3600.0
_PACK_TIMEOUT_SECONDS = 600.0


def build_k3s(*, progress: Progress, version: str = K3S_VERSION) -> Part:
    """The K3s binary; its Part's path is a directory with `k3s` and `sha256sum-amd64.txt`, as a release has them.

    Args:
        progress: where the steps are said; about 9 minutes on 2 cores the first time, 1 minute once Go's own cache
            holds the objects, nothing when it is built.
        version: what it reports as its version (default: K3S_VERSION). Another one relinks the same objects.

    Raises:
        BuildError: when a tool is missing, a download has the wrong hash, or a command fails.
    """
    require_tool("gcc", package="gcc and libc6-dev")
    require_tool("zstd", package="zstd")
    module = pinned_module(_MODULE)
    packages = {name: debian_package(name) for name in ("runc", "containernetworking-plugins")}
    key = content_key(_RECIPE, go_version(), module.sum, version, *(package.sha256 for package in packages.values()))

    def build(directory: Path) -> None:
        programs = build_once(
            name="k3s-programs",
            key=content_key(_RECIPE, go_version(), module.sum, version),
            build=lambda unfinished: _compile(unfinished, module=module, version=version, progress=progress),
        )
        with progress.step(f"k3s {version}: pack the single file"):
            _pack(directory, programs=programs, module=module, version=version, packages=packages)

    path = build_once(name="k3s", key=key, build=build)
    relinked = "" if version == K3S_VERSION else f", a relink of {K3S_VERSION}"
    contents = ", ".join(package.source for package in packages.values())
    return Part(name="k3s", version=version, source=f"{module.source}{relinked}; {contents}", kind="real", path=path)


def _source_tree(directory: Path, *, module: GoModule) -> Path:
    """A writable copy of the module's folder, prepared as upstream's build script prepares its checkout."""
    tree = directory / "source"
    shutil.copytree(module.fetch(), tree, copy_function=shutil.copyfile)
    for folder, _, _ in os.walk(tree):
        Path(folder).chmod(0o755)
    # Without these K3s starts, but ships no RuntimeClass.
    shutil.copytree(
        tree / "manifests", tree / "pkg" / "deploy" / "embed", copy_function=shutil.copyfile, dirs_exist_ok=True
    )
    # Go proxies do not serve this one, and no package of the build imports it.
    run_go(["mod", "edit", "-dropreplace=go.etcd.io/etcd/client/v2"], cwd=tree, timeout_seconds=60)
    return tree


def _compile(directory: Path, *, module: GoModule, version: str, progress: Progress) -> None:
    """Fill a directory with the multi-call server `k3s` and containerd's shim."""
    with progress.step("k3s: download the sources"):
        tree = _source_tree(directory, module=module)
        run_go(["mod", "download"], cwd=tree, timeout_seconds=_COMPILE_TIMEOUT_SECONDS)
        flags = _version_flags(tree, module=module, version=version)
    with progress.step(f"k3s {version}: compile server and shim") as step:
        run_go(
            [
                "build", "-v", "-trimpath", "-tags", _TAGS, "-ldflags", f"-s -w {flags}", "-o", f"{directory}/",
                "./cmd/server", f"github.com/containerd/containerd/v2/cmd/{_SHIM}",
            ],
            cwd=tree,
            timeout_seconds=_COMPILE_TIMEOUT_SECONDS,
            # Upstream's flags; without dbstat K3s logs errors about its database's size.
            env={"CGO_ENABLED": "1", "CGO_CFLAGS": "-DSQLITE_ENABLE_DBSTAT_VTAB=1 -DSQLITE_USE_ALLOCA=1"},
            on_line=_package_counter(step),
        )  # fmt: skip
    (directory / "server").rename(directory / BINARY)
    shutil.rmtree(tree)


def _package_counter(step: Step) -> Callable[[str], None]:
    compiled = 0

    def count(_line: str) -> None:
        nonlocal compiled
        compiled += 1
        step.detail(f"{compiled} packages compiled")

    return count


def _version_flags(tree: Path, *, module: GoModule, version: str) -> str:
    """Linker flags for the versions that the programs report; K3s refuses to start without UpstreamGolang."""
    listed = run_go(
        [
            "list", "-m", "-f", "{{.Replace.Path}} {{.Replace.Version}}",
            "github.com/containerd/containerd/v2", "sigs.k8s.io/cri-tools",
        ],
        cwd=tree,
        timeout_seconds=120,
    )  # fmt: skip
    (containerd, containerd_version), (_, crictl_version) = (line.split() for line in listed.splitlines())
    commit = module.version.rsplit("-", 1)[1]
    values = {
        "github.com/k3s-io/k3s/pkg/version.Version": version,
        "github.com/k3s-io/k3s/pkg/version.GitCommit": commit[:8],
        "github.com/k3s-io/k3s/pkg/version.UpstreamGolang": go_version().split()[2],
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitCommit": commit,
        "k8s.io/client-go/pkg/version.gitVersion": version,
        "k8s.io/client-go/pkg/version.gitCommit": commit,
        "github.com/containerd/containerd/v2/version.Version": containerd_version,
        "github.com/containerd/containerd/v2/version.Package": containerd,
        "sigs.k8s.io/cri-tools/pkg/version.Version": crictl_version,
    }
    return " ".join(f"-X {name}={value}" for name, value in values.items())


def _pack(
    directory: Path, *, programs: Path, module: GoModule, version: str, packages: Mapping[str, DebianPackage]
) -> None:
    """Fill a directory with the single file, which carries all programs packed, and its checksum file."""
    tree = _source_tree(directory, module=module)
    data = directory / "data"
    _lay_out_data(data, tree=tree, programs=programs, packages=packages)
    archive = directory / "data.tar"
    with archive.open("wb") as output:
        write_tar(tree=data, output=output, prefix="./")
    packed = directory / "data.tar.zst"
    run_command(["zstd", "-q", "-T0", "-9", "--long=25", archive, "-o", packed], timeout_seconds=_PACK_TIMEOUT_SECONDS)
    packed.rename(tree / "pkg" / "data" / "embed" / f"{file_sha256(packed)}.tar.zst")
    commit = module.version.rsplit("-", 1)[1]
    package = "github.com/k3s-io/k3s/pkg/version"
    run_go(
        [
            "build", "-trimpath", "-tags", "urfave_cli_no_docs",
            "-ldflags", f"-s -w -X {package}.Version={version} -X {package}.GitCommit={commit[:8]}",
            "-o", directory / BINARY, "./cmd/k3s",
        ],
        cwd=tree,
        timeout_seconds=_PACK_TIMEOUT_SECONDS,
        env={"CGO_ENABLED": "0"},
    )  # fmt: skip
    (directory / CHECKSUMS).write_text(f"{file_sha256(directory / BINARY)}  {BINARY}\n")
    archive.unlink()
    shutil.rmtree(data)
    shutil.rmtree(tree)


def _lay_out_data(data: Path, *, tree: Path, programs: Path, packages: Mapping[str, DebianPackage]) -> None:
    """The folder that K3s unpacks on a node: all programs in bin/, with the lists it checks them by."""
    bin_directory = data / "bin"
    bin_directory.mkdir(parents=True)
    (data / "etc").mkdir()
    files = [programs / BINARY, programs / _SHIM, packages["runc"].unpacked() / "usr/sbin/runc"]
    plugins = packages["containernetworking-plugins"].unpacked() / "usr/lib/cni"
    files += [plugins / name for name in ("bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap")]
    for file in files:
        shutil.copyfile(file, bin_directory / file.name)
    shutil.copyfile(tree / "contrib" / "util" / "check-config.sh", bin_directory / "check-config")
    names = sorted(file.name for file in bin_directory.iterdir())
    # K3s checks what the list names before the list itself is there: neither list may be in it.
    sums = [f"{file_sha256(bin_directory / name)}  {name}\n" for name in names]
    for name in names:
        (bin_directory / name).chmod(0o755)
    for name in _MULTI_CALL_NAMES:
        (bin_directory / name).symlink_to(BINARY)
    (bin_directory / ".sha256sums").write_text("".join(sums))
    (bin_directory / ".links").write_text("".join(f"{name} {BINARY}\n" for name in sorted(_MULTI_CALL_NAMES)))
