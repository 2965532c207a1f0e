"""docs/pull-requests.md says of `edge-gpu diff` what it has."""

from __future__ import annotations

import argparse
import re

from scripts.checkout import ROOT
from scripts.plan_diff import add_arguments
from scripts.plan_verdict import EXIT_CODES, Verdict

TEXT = (ROOT / "docs" / "pull-requests.md").read_text()


def test_every_option_is_there() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    for option in re.findall(r"--[a-z-]+", parser.format_help()):
        assert f"`{option}" in TEXT, option


def test_every_key_of_the_json_is_there() -> None:
    for key in Verdict(fleet="site", stack="edge-gpu").as_json():
        assert f"`{key}`" in TEXT or f'`"{key}"' in TEXT or f'"{key}":' in TEXT, key


def test_every_result_has_its_exit_code() -> None:
    for result, code in EXIT_CODES.items():
        assert re.search(rf"^\| {code} \| .* \| `{result}` \|$", TEXT, re.MULTILINE), result
