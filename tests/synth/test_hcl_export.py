"""What is prepared for `cdktf synth --hcl`; that Terraform accepts the export is in tests/lab/terraform_plugins."""

from __future__ import annotations

import base64
import re

import pytest

from constructs_lib.hcl_export import encoded

pytestmark = pytest.mark.synth


def decoded(template: str) -> str:
    """The template as Terraform evaluates its literal parts."""
    return re.sub(r'\$\{base64decode\("([^"]*)"\)\}', lambda found: base64.b64decode(found[1]).decode(), template)


@pytest.mark.parametrize("text", ["install -d -m 0700 folder", '${file("/keys/id")}'.replace('"', "'"), ""])
def test_a_text_that_the_writer_writes_well_stays_readable(text: str) -> None:
    assert encoded(text) == text


@pytest.mark.parametrize("text", ['echo "a"', "a\nb", '{"json": 1}', "printf '%{x}' \\n"])
def test_a_text_with_quotes_or_lines_means_the_same(text: str) -> None:
    assert decoded(encoded(text.replace("%{", "%%{"))) == text
    assert "\n" not in encoded(text)


def test_an_escaped_template_sequence_comes_out_as_the_shell_wants_it() -> None:
    assert decoded(encoded('echo "$${HOME}"')) == 'echo "${HOME}"'


def test_an_expression_in_a_text_stays_an_expression() -> None:
    made = encoded('sh "${merge({"a" = "}"}, {})}" "$${x}"')
    assert '${merge({"a" = "}"}, {})}' in made
    assert decoded(made) == 'sh "${merge({"a" = "}"}, {})}" "${x}"'
