"""The one comment of a pull request, against an API that behaves as GitHub's does."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import plan_comment

MARK = "<!-- edge-gpu diff site edge-gpu -->"


class GitHub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        page = int(self.path.rsplit("page=", 1)[1])
        self._answer(self.server.comments[(page - 1) * 100 : page * 100])

    def do_POST(self) -> None:
        made = {"id": len(self.server.comments) + 1, "body": self._body(), "user": {"type": "Bot"}}
        self.server.comments.append(made)
        self._answer(made)

    def do_PATCH(self) -> None:
        comment = self.server.comments[int(self.path.rsplit("/", 1)[1]) - 1]
        comment["body"] = self._body()
        self._answer(comment)

    def _body(self) -> str:
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def _answer(self, content: object) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        refused = self.headers["Authorization"] != "Bearer right"
        self.send_response(403 if refused else 200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[GitHub]:
    server = GitHub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def environment(github: GitHub, tmp_path: Path) -> dict[str, str]:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    return {
        "GITHUB_API_URL": f"http://127.0.0.1:{github.server_address[1]}",
        "GITHUB_REPOSITORY": "ada/site",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_TOKEN": "right",
    }


def comment(text: str, *, environment: dict[str, str], tmp_path: Path) -> int:
    file = tmp_path / "diff.md"
    file.write_text(f"{MARK}\n\n{text}\n")
    return plan_comment.main([str(file)], environment=environment)


def test_the_first_run_makes_a_comment_and_the_next_ones_change_it(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    for text in ("first", "second", "third"):
        assert comment(text, environment=environment, tmp_path=tmp_path) == 0
    assert [one["body"] for one in github.comments] == [f"{MARK}\n\nthird\n"]
    assert "first" in (tmp_path / "summary.md").read_text()


def test_its_own_comment_is_found_behind_a_hundred_others_and_nobody_elses_is_touched(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    forged = {"id": 1, "body": f"{MARK}\nwritten by somebody", "user": {"type": "User"}}
    other = f"{MARK.replace('site', 'other')}\nanother fleet's"
    github.comments = [
        forged,
        *({"id": n, "body": other, "user": {"type": "Bot"}} for n in range(2, 121)),
        {"id": 121, "body": f"{MARK}\nold", "user": {"type": "Bot"}},
    ]
    assert comment("new", environment=environment, tmp_path=tmp_path) == 0
    assert len(github.comments) == 121
    assert github.comments[-1]["body"] == f"{MARK}\n\nnew\n"
    assert github.comments[0] is forged
    assert forged["body"] == f"{MARK}\nwritten by somebody"


def test_a_run_without_a_pull_request_writes_the_summary_alone(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    Path(environment["GITHUB_EVENT_PATH"]).write_text("{}")
    assert comment("push", environment=environment, tmp_path=tmp_path) == 0
    assert github.comments == []
    assert "push" in (tmp_path / "summary.md").read_text()


def test_a_token_that_may_not_write_is_said_with_the_permission(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert comment("x", environment={**environment, "GITHUB_TOKEN": "wrong"}, tmp_path=tmp_path) == 1
    said = capsys.readouterr().err
    assert "403" in said
    assert "pull-requests: write" in said
    assert "wrong" not in said


@pytest.mark.parametrize("content", [None, "no mark"], ids=["absent", "another file"])
def test_a_file_that_no_diff_wrote_is_refused(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "other.md"
    if content is not None:
        file.write_text(content)
    assert plan_comment.main([str(file)], environment=environment) == 1
    assert "Fix: edge-gpu diff --markdown" in capsys.readouterr().err
