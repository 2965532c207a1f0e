"""Import single modules of a prebuilt provider package without executing the whole package."""

from __future__ import annotations

import importlib.util
import sys
import types
from importlib.resources import files

NODE_HOOK = str(files("constructs_lib") / "lazy_provider_modules.cjs")
"""The same for the Node.js process behind the bindings, where loading all of kubernetes takes another second and
180 MB. Node.js has to be told before it starts: `NODE_OPTIONS=--require=...`, in the environment of `cdktf` or of
the app. Without it all works as well, slower."""


def lazy_package(name: str) -> None:
    """Register package `name` without running its `__init__`, so that only the submodules imported later load.

    A prebuilt provider's `__init__` imports every resource it has: for kubernetes that is 64 MB of Python source
    and eight times the time of a bare `import cdktf`. Call this before the first import of the package; where the
    package is loaded already, nothing changes.

    Args:
        name: Top-level package, for example `cdktf_cdktf_provider_kubernetes`.

    Raises:
        ModuleNotFoundError: The package is not installed.

    Source: hashicorp/terraform-cdk issues 2792 and 3753 (never fixed for prebuilt providers).
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No package named {name!r}: install it, for example with `pipenv sync`", name=name)
    module = types.ModuleType(name)
    module.__spec__ = spec
    module.__file__ = spec.origin
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module
