"""A container image that is built when what it is made of has changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from constructs_lib.build_context import BuildContext
from constructs_lib.cdk import Construct, TerraformResourceLifecycle
from constructs_lib.docker_providers import Image, ImageBuild, ImageTimeouts, RegistryImage

TAG_DIGITS = 12
"""Hex digits of the content hash in a tag: two different contents of one image never share that many by chance."""

CONTENT_LABEL = "edge-gpu.content"
"""Label with the whole content hash; `docker image prune --all --filter label=edge-gpu.content` finds our images."""

DRIVER_LABEL = "edge-gpu.driver.minimum"
"""Label with the oldest NVIDIA driver branch that the image works with, for whoever checks before it runs."""

_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*")


class ContainerImage(Construct):
    """An image whose tag is the hash of its Dockerfile, context, arguments and base: equal input is no change.

    The engine moves the alias (`name:latest`) only when a build succeeded, and the old image stays until the new one
    is there: a build that fails takes nothing away. An image built on another is built again when that one was.

    Args:
        scope: Parent construct.
        id_: Construct id.
        repository: Image name without tag, for example `myros2humble`.
        context: Absolute path of the folder that is sent to the engine; its `.dockerignore` counts.
        dockerfile: Absolute path in `context`. Default None: `Dockerfile` there.
        build_args: Arguments of the build, default none. They are in the image's history: nothing secret.
        base: The image that this one is built on. Default None: what the Dockerfile or `build_args` say.
        base_arg: Build argument that takes the base's name, default `BASE_IMAGE`.
        target: Stage to build. Default None: the last.
        platform: As `linux/amd64`. Default None: the engine's own. One image, one platform.
        alias_tag: Second tag, for people. Default `latest`; None: no alias.
        registry: Registry, with path if any, that the image is pushed to, for example `registry.example:5000/edge`.
            Default None: not pushed. Logging in is the provider's business (`registry_auth`, or ~/.docker/config.json).
        driver_minimum: NVIDIA driver branch that the image needs, as `510`; it becomes a label. Default None: what the
            base needs.
        network_mode: Network of the build's RUN steps, for example `host`. Default None: the engine's default.
        build_timeout_minutes: Limit of the build, default 120 (the provider's own default of 20 is too short for
            ROS 2 from source).

    Attributes:
        name: `repository:tag`, known before the build.
        content_hash: The whole hash, 64 hex digits.
        image: The `docker_image` resource.
        image_id: A Terraform expression: the engine's id of the image.
        pushed_name: The name in the registry, or None.
        driver_minimum: The NVIDIA driver branch that the image needs, or None.

    Raises:
        ValueError: `repository` or a path is not as described, or `base_arg` is also in `build_args`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        repository: str,
        context: Path,
        dockerfile: Path | None = None,
        build_args: Mapping[str, str] | None = None,
        base: ContainerImage | None = None,
        base_arg: str = "BASE_IMAGE",
        target: str | None = None,
        platform: str | None = None,
        alias_tag: str | None = "latest",
        registry: str | None = None,
        driver_minimum: int | None = None,
        network_mode: str | None = None,
        build_timeout_minutes: int = 120,
    ) -> None:
        super().__init__(scope, id_)
        if not _REPOSITORY.fullmatch(repository):
            raise ValueError(
                f"{self.node.path}: repository {repository!r} is no image name without tag; lower-case letters, digits "
                "and single . _ - between them, like myros2humble"
            )
        arguments = dict(build_args or {})
        if base is not None:
            if base_arg in arguments:
                raise ValueError(f"{self.node.path}: {base_arg} is given twice, as build argument and by base")
            arguments[base_arg] = base.name
        source = BuildContext(folder=context, dockerfile=dockerfile or context / "Dockerfile")
        self.content_hash: str = source.content_hash(
            build_args={**arguments, DRIVER_LABEL: str(driver_minimum or "")},
            target=target,
            platform=platform,
            base_hash=base.content_hash if base is not None else None,
        )
        tag = self.content_hash[:TAG_DIGITS]
        self.repository = repository
        self.name: str = f"{repository}:{tag}"
        self.pushed_name = f"{registry.rstrip('/')}/{self.name}" if registry is not None else None
        inherited = base.driver_minimum if base is not None else None
        self.driver_minimum: int | None = driver_minimum if driver_minimum is not None else inherited
        labels = {CONTENT_LABEL: self.content_hash}
        if driver_minimum is not None:
            labels[DRIVER_LABEL] = str(driver_minimum)
        further_names = [f"{repository}:{alias_tag}"] if alias_tag is not None else []
        if self.pushed_name is not None:
            further_names.append(self.pushed_name)
        self.image: Image = Image(
            self,
            "image",
            name=self.name,
            build_attribute=ImageBuild(
                context=str(source.folder),
                dockerfile=str(source.dockerfile),
                build_args=arguments or None,
                target=target,
                platform=platform,
                tag=further_names or None,
                label=labels,
                network_mode=network_mode,
                remove=True,
                force_remove=True,
            ),
            triggers={"content": self.content_hash, **({"base": base.image.image_id} if base is not None else {})},
            # The provider removes by name, and a rebuild may keep the name: it would remove what was just built.
            keep_locally=True,
            timeouts=ImageTimeouts(create=f"{build_timeout_minutes}m"),
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        self.image_id = self.image.image_id
        if self.pushed_name is not None:
            RegistryImage(
                self,
                "pushed",
                name=self.pushed_name,
                keep_remotely=True,
                triggers={"image": self.image_id},
                depends_on=[self.image],
            )
