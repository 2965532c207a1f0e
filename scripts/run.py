"""Runs a command in the project's environment: `python -m scripts.run COMMAND ...`; `pipenv run`, but at once."""

from __future__ import annotations

import os
import shutil
import sys
from typing import NoReturn

from scripts.checkout import ROOT, chosen_fleet
from scripts.environment import command_environment


def main(command: list[str]) -> NoReturn:
    """Become the command; exit code 1 after a message when it cannot be started."""
    if not command:
        sys.exit("error: no command. Fix: python -m scripts.run COMMAND [ARGUMENT ...]")
    environment = command_environment(fleet=chosen_fleet())
    if shutil.which(command[0], path=environment["PATH"]) is None:
        sys.exit(f"error: {command[0]} is not in the PATH. Fix: make setup")
    os.chdir(ROOT)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
