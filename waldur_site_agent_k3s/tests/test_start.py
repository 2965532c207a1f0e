"""The agent's start with a token from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from waldur_site_agent_k3s.start import main, write


def test_the_token_goes_into_a_file_for_the_owner_alone_and_a_second_start_replaces_it(tmp_path: Path) -> None:
    configuration, token, to = tmp_path / "config.json", tmp_path / "token", tmp_path / "run.yaml"
    configuration.write_text(json.dumps({"offerings": [{"name": "k3s"}]}))
    for text in ("first", "second"):
        token.write_text(f"{text}\n")
        write(configuration, token_file=token, to=to)
        assert json.loads(to.read_text()) == {"offerings": [{"name": "k3s", "waldur_api_token": text}]}
        assert to.stat().st_mode & 0o777 == 0o600


def test_an_empty_token_or_a_missing_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("")
    for token in ("token", "other"):
        words = ["report", str(tmp_path / "config.json"), str(tmp_path / token), str(tmp_path / "to")]
        assert main(words) == 1
        assert str(tmp_path / token) in capsys.readouterr().err
