"""Where the state of `edge-images` lies: beside the state of `edge-gpu`, never in its place."""

from __future__ import annotations

from stacks.fleet.backend import Backend, HttpBackendSettings, PgBackendSettings, S3BackendSettings

SUFFIX = "-images"


def images_backend(backend: Backend, *, suffix: str = SUFFIX) -> Backend:
    """The fleet's backend with an address of its own for another stack; a local one is told apart by its folder.

    Args:
        backend: The fleet file's `backend`.
        suffix: What tells the address apart, default that of the images' stack.

    Raises:
        ValueError: An http backend whose lock addresses do not begin with its address.
    """
    if isinstance(backend, S3BackendSettings):
        stem, dot, ending = backend.key.rpartition(".")
        key = f"{stem}{suffix}{dot}{ending}" if stem else f"{backend.key}{suffix}"
        return backend.model_copy(update={"key": key})
    if isinstance(backend, PgBackendSettings):
        return backend.model_copy(update={"schema_name": backend.schema_name + suffix.replace("-", "_")})
    if isinstance(backend, HttpBackendSettings):
        own = {
            name: _beside(value, address=backend.address, name=name, suffix=suffix)
            for name in ("address", "lock_address", "unlock_address")
            if (value := getattr(backend, name)) is not None
        }
        return backend.model_copy(update=own)
    return backend


def _beside(value: str, *, address: str, name: str, suffix: str) -> str:
    if not value.startswith(address):
        raise ValueError(
            f"backend.{name} {value!r} does not begin with backend.address {address!r}: another stack's state cannot "
            "be told apart; use addresses like <address>/lock, or keep that stack in a fleet file of its own"
        )
    return f"{address}{suffix}{value.removeprefix(address)}"
