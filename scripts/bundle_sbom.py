"""The bundle's software bill of materials, in CycloneDX's JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from lab.cache import file_sha256
from scripts.bundle_collect import Collected

_NAMESPACE = uuid.UUID("6c1a2a0e-6c54-4b67-9d35-0d4b86f0a9a1")
_TIME = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
"""Of every bundle: the same input makes the same bytes."""


def sbom(collected: Sequence[Collected], *, fleet: str) -> bytes:
    """CycloneDX 1.6: one component a file, and one a container image in an archive.

    Args:
        collected: the bundle's files.
        fleet: the fleet's name.
    """
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, json.dumps([[item.path, file_sha256(item.file)] for item in collected]))
    )
    bom.metadata.timestamp = _TIME
    bom.metadata.component = Component(
        name=f"edge-gpu-bundle-{fleet}", type=ComponentType.APPLICATION, bom_ref="bundle"
    )
    for item in collected:
        bom.components.add(_component(item))
        for image in item.images:
            bom.components.add(
                Component(
                    name=image.name,
                    type=ComponentType.CONTAINER,
                    bom_ref=f"image:{image.name}",
                    version=image.name.rpartition(":")[2],
                    licenses=_licences(image.licence),
                    properties=[Property(name="edge-gpu:archive", value=item.path)],
                )
            )
    bom.register_dependency(bom.metadata.component, list(bom.components))
    text = make_outputter(bom, output_format=OutputFormat.JSON, schema_version=SchemaVersion.V1_6).output_as_string()
    whole: dict[str, Any] = json.loads(text)
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()


def _component(item: Collected) -> Component:
    is_package = item.path.endswith(".deb")
    return Component(
        name=item.component,
        type=ComponentType.LIBRARY if is_package else ComponentType.FILE,
        bom_ref=item.path,
        version=item.version,
        licenses=_licences(item.licence),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file_sha256(item.file))],
        purl=PackageURL(type="deb", namespace="nvidia", name=item.component, version=item.version)
        if is_package
        else None,
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(item.source.replace(" ", ":")))
        ],
        properties=[Property(name="edge-gpu:verified-by", value=item.verified)],
    )


def _licences(expression: str) -> list[LicenseExpression | DisjunctiveLicense]:
    if expression == "NOASSERTION":
        return [DisjunctiveLicense(name="not stated by the publisher's metadata")]
    return [LicenseExpression(value=expression)]
