"""Where the state goes, and that no backend's credentials are synthesized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from constructs_lib.testing import new_stack, synth
from stacks.backend import add_backend
from stacks.fleet import Backend, HttpBackendSettings, LocalBackendSettings, PgBackendSettings, S3BackendSettings

FOLDER = Path("/edge/test")


def synthesized(backend: Backend) -> dict[str, Any]:
    stack = new_stack()
    add_backend(stack, backend=backend, edge_folder=FOLDER)
    found: dict[str, Any] = synth(stack)["terraform"]["backend"]
    return found


def test_a_local_state_lies_in_the_fleets_own_folder() -> None:
    assert synthesized(LocalBackendSettings()) == {"local": {"path": "/edge/test/terraform.tfstate"}}


def test_a_relative_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="must be absolute"):
        add_backend(new_stack(), backend=LocalBackendSettings(), edge_folder=Path("edge"))


def test_s3_locks_with_a_file_beside_the_state() -> None:
    backend = S3BackendSettings(type="s3", bucket="b-1", key="k", region="eu-1", endpoint="https://s3.example")
    assert synthesized(backend) == {
        "s3": {
            "bucket": "b-1",
            "key": "k",
            "region": "eu-1",
            "encrypt": True,
            "use_lockfile": True,
            "endpoints": {"s3": "https://s3.example"},
        }
    }


def test_http_names_its_lock_only_when_given() -> None:
    backend = HttpBackendSettings(type="http", address="https://state.example/fleet")
    assert synthesized(backend) == {"http": {"address": "https://state.example/fleet"}}


def test_pg_takes_its_connection_string_from_the_environment() -> None:
    assert synthesized(PgBackendSettings(type="pg")) == {"pg": {"schema_name": "terraform_remote_state"}}
