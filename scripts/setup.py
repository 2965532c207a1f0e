"""Brings a machine to where the project's commands run: `python3 -m scripts.setup`. Standard library only."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - said before the imports below fail on it
    sys.exit(
        f"error: {sys.executable} is Python {sys.version.split()[0]}; needed is 3.11 or newer. "
        "Fix: install one and run `make PYTHON=/path/to/python3.11 ...`."
    )

import argparse
from concurrent.futures import ThreadPoolExecutor

from lab.artifacts.command import BuildError
from lab.cache import CacheError
from lab.progress import Progress
from scripts.checkout import LAB_FLEET, chosen_fleet, is_lab_fleet
from scripts.debian_packages import CHECK_NEEDS, LAB_NEEDS, PROJECT_NEEDS, install_missing
from scripts.environment import write_env_file
from scripts.errors import SetupError
from scripts.node_packages import install_node_packages
from scripts.python_packages import install_pipenv, link_pipenv, pipenv_hint, sync_venv
from scripts.terraform import find_terraform


def main(arguments: list[str] | None = None) -> int:
    """Set up, and say what is there. Exit code 0, or 1 after a message with the fix."""
    parser = argparse.ArgumentParser(prog="python3 -m scripts.setup", description=__doc__)
    parser.add_argument("--checks", action="store_true", help="also what `make test` and `make lint` need")
    options = parser.parse_args(arguments)
    try:
        _set_up(with_checks=options.checks)
    except (SetupError, BuildError, CacheError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _set_up(*, with_checks: bool) -> None:
    progress = Progress()
    fleet = LAB_FLEET if with_checks else chosen_fleet()
    with_lab = is_lab_fleet(fleet)
    terraform = find_terraform()
    install_missing(
        [*PROJECT_NEEDS, *(LAB_NEEDS if with_lab else ()), *(CHECK_NEEDS if with_checks else ())],
        refresh_lists=with_lab,
        progress=progress,
    )
    # pip and npm wait for the network and for the disk at different times: side by side they take as long as one.
    with ThreadPoolExecutor(max_workers=2) as pool:
        node = pool.submit(install_node_packages, progress=progress)
        python = pool.submit(lambda: sync_venv(pipenv=install_pipenv(progress=progress), progress=progress))
        for installed in (node, python):
            installed.result()
    link_pipenv()
    write_env_file(fleet=chosen_fleet())
    progress.note(f"ok    Set-up is complete ({terraform.command} {terraform.version})")
    hint = pipenv_hint()
    if hint:
        progress.note(f"note  {hint}")


if __name__ == "__main__":
    sys.exit(main())
