"""Starts the agent with a token from a file: `python -m waldur_site_agent_k3s.start MODE CONFIG TOKEN_FILE TO`.

The agent takes a token from its configuration file alone. This writes one, of CONFIG and the token, to TO, which is to
lie in memory, and becomes the agent.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn


def main(arguments: list[str]) -> int:
    """Become the agent; 1 after a message when the files are not as they must be."""
    if len(arguments) != 4:
        print(__doc__, file=sys.stderr)
        return 1
    mode, configuration, token_file, to = arguments
    try:
        write(Path(configuration), token_file=Path(token_file), to=Path(to))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"error: the agent's configuration cannot be made: {error}", file=sys.stderr)
        return 1
    return _become(mode, to)


def _become(mode: str, configuration: str) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", "waldur_site_agent.main", "-m", mode, "-c", configuration])


def write(configuration: Path, *, token_file: Path, to: Path) -> None:
    """Write the configuration with the token in every offering, for the owner alone.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the token file is empty, or the configuration no JSON.
    """
    token = token_file.read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"{token_file} is empty")
    data = json.loads(configuration.read_text(encoding="utf-8"))
    for offering in data["offerings"]:
        offering["waldur_api_token"] = token
    to.unlink(missing_ok=True)
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        # JSON is YAML.
        json.dump(data, stream)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
