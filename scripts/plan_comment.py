"""Keeps one comment of a pull request up to date: `python -m scripts.plan_comment FILE`.

FILE is what `edge-gpu diff --markdown` wrote; its first line is the mark by which the comment is found again. The pull
request is the one of the GitHub Actions run: GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_EVENT_PATH tell it, and
GITHUB_TOKEN, with `pull-requests: write`, lets this in. The Markdown goes to the run's summary as well.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.errors import CommandError

_TIMEOUT_SECONDS = 30
_PAGE = 100
_PAGES_LIMIT = 30
_BEGINNING = "<!-- edge-gpu diff "


def main(arguments: list[str] | None = None, *, environment: Mapping[str, str] | None = None) -> int:
    """Write the comment. Exit code 0, also where the run has no pull request; 1 after a message."""
    environment = os.environ if environment is None else environment
    parser = argparse.ArgumentParser(prog="python -m scripts.plan_comment", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    file: Path = parser.parse_args(arguments).file
    try:
        body = _read(file)
        if environment.get("GITHUB_STEP_SUMMARY"):
            with Path(environment["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
                summary.write(body)
        number = _pull_request(environment)
        if number is None:
            print("note  this run has no pull request: the summary has it all")
            return 0
        print(f"ok    {_put(body, number=number, environment=environment)}")
    except (CommandError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _read(file: Path) -> str:
    try:
        body = file.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}. Fix: edge-gpu diff --markdown {file}") from error
    if not body.startswith(_BEGINNING):
        raise CommandError(f"{file} does not begin with {_BEGINNING!r}. Fix: edge-gpu diff --markdown {file}")
    return body


def _pull_request(environment: Mapping[str, str]) -> int | None:
    path = environment.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text()) if path else {}
    number = event.get("pull_request", {}).get("number")
    return int(number) if number is not None else None


def _put(body: str, *, number: int, environment: Mapping[str, str]) -> str:
    missing = [name for name in ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN") if not environment.get(name)]
    if missing:
        raise CommandError(f"{', '.join(missing)} is not set. Fix: run this in a workflow, with GITHUB_TOKEN in `env`")
    token = environment["GITHUB_TOKEN"]
    issues = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/issues"
    mark = body.splitlines()[0]
    for page in range(1, _PAGES_LIMIT + 1):
        comments = _ask("GET", f"{issues}/{number}/comments?per_page={_PAGE}&page={page}", token=token)
        for comment in comments:
            # Only a bot's: anybody may write the mark, and nobody's own words are to be replaced.
            if comment["body"].startswith(mark) and comment["user"]["type"] == "Bot":
                _ask("PATCH", f"{issues}/comments/{comment['id']}", token=token, body=body)
                return f"comment {comment['id']} of pull request {number} is up to date"
        if len(comments) < _PAGE:
            break
    made = _ask("POST", f"{issues}/{number}/comments", token=token, body=body)
    return f"comment {made['id']} of pull request {number} is made"


def _ask(method: str, url: str, *, token: str, body: str | None = None) -> Any:
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps({"body": body}).encode(),
        headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise CommandError(
            f"{method} {url} was answered with {error.code} {error.reason}. "
            "Fix: the job needs `permissions: pull-requests: write`, and no fork has it"
        ) from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{method} {url} failed: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
