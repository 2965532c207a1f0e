"""A container with the GPUs, a work folder and what of the desk it may use, as scripts/runcontainer.sh starts one."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from constructs_lib.cdk import Construct, Fn, TerraformResourceLifecycle
from constructs_lib.container_image import ContainerImage
from constructs_lib.docker_providers import Container, ContainerDevices, ContainerLabels, ContainerMounts
from constructs_lib.terraform_data import TerraformData

WORK_FOLDER = "/myROS2"
DEVICE_PATTERNS = ("video[0-9]*", "ttyUSB[0-9]*", "ttyACM[0-9]*", "dri/renderD[0-9]*")
"""Under /dev: cameras, serial lines (lidars, controllers) and render nodes. Never all of /dev."""

SHARED_MEMORY_MIB = 1024
"""Docker's own 64 MiB are too few for ROS 2's shared-memory transport with camera images."""

CONTAINER_LABEL = "edge-gpu.container"
"""Label with the name that runcontainer.sh finds the container by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What of the machine that Terraform runs on a container gets beside GPUs and folder.

    Args:
        devices: Device files, default none.
        groups: Numeric groups that may open them, default none.
        display: Value of DISPLAY. Default None: no X11.
        display_socket: The one X11 socket. Default None.
        x_authority: The X11 cookie file. Default None.
    """

    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    display: str | None = None
    display_socket: str | None = None
    x_authority: str | None = None


def detected_desk(
    *,
    environment: Mapping[str, str] = os.environ,
    device_folder: Path = Path("/dev"),
    socket_folder: Path = Path("/tmp/.X11-unix"),
) -> Desk:
    """What is there now: a display only when DISPLAY is set and its socket exists, device files that are devices.

    Args:
        environment: Where DISPLAY and XAUTHORITY are read from, default this process's.
        device_folder: Default /dev.
        socket_folder: Where X11's sockets are.
    """
    found = [path for pattern in DEVICE_PATTERNS for path in sorted(device_folder.glob(pattern))]
    devices = [path for path in found if stat.S_ISCHR(path.stat().st_mode)]
    groups = sorted({str(path.stat().st_gid) for path in devices} - {"0"}, key=int)
    display = environment.get("DISPLAY", "")
    number = display.partition(":")[2].partition(".")[0]
    socket = socket_folder / f"X{number}"
    # A display of another host (ssh -X) has no socket here.
    if not display.startswith(":") or not number.isdigit() or not socket.exists():
        return Desk(devices=tuple(map(str, devices)), groups=tuple(groups))
    cookie = environment.get("XAUTHORITY", "")
    return Desk(
        devices=tuple(map(str, devices)),
        groups=tuple(groups),
        display=display,
        display_socket=str(socket),
        x_authority=cookie if cookie and Path(cookie).is_file() else None,
    )


class GpuContainer(Construct):
    """A running `docker_container` on the engine's nvidia runtime; re-enter it with `scripts/runcontainer.sh --name`.

    No `--privileged`, no host network unless asked for, no new privileges, nothing of /dev but the devices named.

    A changed container, or one of a rebuilt image, is started before the old one is removed: when the build fails,
    the old one runs on. Two containers cannot have one name, so each has eight digits of its own behind it.

    Args:
        scope: Parent construct.
        id_: Construct id.
        name: What the container is called; its name on the engine begins with it, its label `edge-gpu.container` is
            it.
        image: The image, or a reference with tag. A rebuilt `ContainerImage` replaces the container: what is to last
            belongs into the folder.
        folder: Absolute path that is mounted at /myROS2. Default None: the folder that the program runs in.
        command: Default None: a shell that waits for whoever enters.
        desk: Devices and display. Default None: what is detected when the stack is synthesized; give `Desk()` for an
            engine on another machine.
        gpus: Value of NVIDIA_VISIBLE_DEVICES, default `all`.
        runtime: The engine's runtime that brings the GPUs in, default `nvidia`.
        host_network: Share the engine's network, default False.
        environment: Further variables, default none; nothing secret.
        user: `uid:gid`. Default None: the image's own user, 1000.

    Attributes:
        container: The `docker_container` resource.

    Raises:
        ValueError: `folder` is not absolute.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        image: ContainerImage | str,
        folder: Path | None = None,
        command: Sequence[str] | None = None,
        desk: Desk | None = None,
        gpus: str = "all",
        runtime: str = "nvidia",
        host_network: bool = False,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        work = folder if folder is not None else Path.cwd()
        if not work.is_absolute():
            raise ValueError(f"{self.node.path}: folder must be absolute, got {str(work)!r}; pass Path(...).resolve()")
        chosen = desk if desk is not None else detected_desk()
        mounts = [ContainerMounts(type="bind", source=str(work), target=WORK_FOLDER)]
        variables = {
            "NVIDIA_VISIBLE_DEVICES": gpus,
            "NVIDIA_DRIVER_CAPABILITIES": "all",
            **(environment or {}),
        }
        hostname = None
        if chosen.display is not None and chosen.display_socket is not None:
            variables["DISPLAY"] = chosen.display
            # An X11 cookie is for a host name.
            hostname = platform.node()
            mounts.append(
                ContainerMounts(type="bind", source=chosen.display_socket, target=chosen.display_socket, read_only=True)
            )
            if chosen.x_authority is not None:
                variables["XAUTHORITY"] = "/run/x-authority"
                mounts.append(
                    ContainerMounts(type="bind", source=chosen.x_authority, target="/run/x-authority", read_only=True)
                )
        reference = image.image_id if isinstance(image, ContainerImage) else image
        devices = list(chosen.devices)
        settings: dict[str, object] = {
            "runtime": runtime,
            "env": sorted(f"{key}={value}" for key, value in variables.items()),
            "hostname": hostname,
            "group_add": list(chosen.groups) or None,
            "network_mode": "host" if host_network else None,
            "command": list(command) if command is not None else None,
            "user": user,
        }
        described = [name, settings, devices, [(mount.source, mount.target) for mount in mounts]]
        # Its id is new whenever the container is: image and settings are all that can replace one.
        generation = TerraformData(
            self,
            "generation",
            triggers_replace={"image": reference, "settings_sha256": _sha256(repr(described))},
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        self.container = Container(
            self,
            "container",
            name=f"{name}-{Fn.substr(generation.get_string_attribute('id'), 0, 8)}",
            image=reference,
            mounts=mounts,
            working_dir=WORK_FOLDER,
            devices=[ContainerDevices(host_path=path) for path in devices] or None,
            security_opts=["no-new-privileges"],
            shm_size=SHARED_MEMORY_MIB,
            tty=True,
            stdin_open=True,
            init=True,
            restart="no",
            labels=[ContainerLabels(label=CONTAINER_LABEL, value=name)],
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
            **settings,
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
