"""What one part of the lab is, where it came from, and whether it is the real thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Part:
    """One part of the lab, as `lab status` lists it.

    Attributes:
        name: what it is, e.g. "k3s" or "nvidia-smi".
        version: the version it reports of itself.
        source: where it came from, in words a reader can check, e.g. "Go module
            github.com/NVIDIA/k8s-device-plugin v0.19.3" or a public URL.
        kind: "real" when it is the upstream software itself (built or downloaded), "stand-in" when it only
            answers in its place.
        path: the file or directory on this machine; the site's root for what the nodes fetch from `source` themselves.
    """

    name: str
    version: str
    source: str
    kind: Literal["real", "stand-in"]
    path: Path
