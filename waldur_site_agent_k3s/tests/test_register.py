"""`edge-gpu waldur register` against a stub of Waldur: what it makes, tells, changes and refuses."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stub_waldur import TOKEN, StubWaldur, serving

from scripts import waldur_register
from scripts.waldur_spec import SITE_AGENT_TYPE

SPEC: dict[str, Any] = {
    "category": {"title": "GPU"},
    "provider": {"name": "Edge Ltd", "backend_id": "edge-ltd"},
    "offering": {"name": "K3s GPU edge", "backend_id": "edge-1", "description": "GPUs at the edge"},
    "components": [
        {"type": "gpu", "name": "GPU quota", "billing_type": "limit", "measured_unit": "GPU", "limit_period": "month"},
        {"type": "gpu_hours", "name": "GPU hours", "billing_type": "usage", "measured_unit": "GPU-h"},
    ],
    "plans": [{"name": "Default", "unit": "month", "prices": {"gpu": "10", "gpu_hours": "0.75"}}],
    "plugin_options": {"supports_pausing": True, "username_generation_policy": "waldur_username"},
}
NEW = """\
+ category 'GPU'
+ organization 'Edge Ltd'
+ 'Edge Ltd' is a service provider
+ offering 'K3s GPU edge', backend_id 'edge-1'
+ plugin options supports_pausing True, username_generation_policy waldur_username
+ component gpu 'GPU quota', billed by limit in GPU
+ component gpu_hours 'GPU hours', billed by usage in GPU-h
+ plan 'Default': 0 a month
+ plan 'Default': prices gpu 10, gpu_hours 0.75
~ offering: state: Draft -> Active
"""

Register = Callable[..., "Done"]


@pytest.fixture
def waldur() -> Iterator[StubWaldur]:
    """The stub, served."""
    with serving(StubWaldur()) as stub:
        yield stub


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run of the command said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def register(
    waldur: StubWaldur, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Register:
    """Runs the command's program on the spec, with something changed in it; the client takes seconds to import."""

    def run(mode: str, change: Callable[[Any], object] = lambda spec: None, *, token: str = TOKEN) -> Done:  # noqa: ARG005
        spec = {"api_url": f"{waldur.url}/api/", **copy.deepcopy(SPEC)}
        change(spec)
        file = tmp_path / "spec.json"
        file.write_text(json.dumps(spec))
        monkeypatch.setenv("WALDUR_TOKEN", token)
        code = waldur_register.main([str(file), mode])
        out, err = capsys.readouterr()
        assert token == "" or token not in out + err
        return Done(returncode=code, stdout=out, stderr=err)

    return run


def writes(waldur: StubWaldur) -> list[str]:
    """Requests that change something."""
    return [one for one in waldur.requests if not one.startswith("GET")]


def test_check_tells_all_that_a_new_offering_needs_and_changes_nothing(register: Register, waldur: StubWaldur) -> None:
    done = register("--check")
    assert (done.returncode, done.stdout) == (2, NEW)
    assert writes(waldur) == []


def test_apply_makes_it_and_a_second_apply_and_a_check_find_nothing_to_change(
    register: Register, waldur: StubWaldur
) -> None:
    done = register("--apply")
    assert done.returncode == 0, done.stderr
    (offering,) = waldur.all("marketplace-provider-offerings")
    assert done.stdout == f"{NEW}10 changes made.\nwaldur_offering_uuid: {offering['uuid']}\n"
    assert offering["state"] == "Active"
    assert offering["type"] == SITE_AGENT_TYPE
    assert offering["plugin_options"]["supports_pausing"] is True
    (plan,) = waldur.all("marketplace-plans")
    assert plan["prices"] == {"gpu": 10.0, "gpu_hours": 0.75}
    before = writes(waldur)
    for mode in ("--apply", "--check"):
        again = register(mode)
        assert (again.returncode, again.stdout.splitlines()[0]) == (0, "Nothing to change.")
    assert writes(waldur) == before


def test_an_apply_that_was_interrupted_at_any_change_is_finished_by_the_next(
    register: Register, waldur: StubWaldur
) -> None:
    answer = waldur.answer
    for allowed in range(10):
        left = allowed

        def break_off(method: str, *more: Any) -> Any:
            nonlocal left
            if method != "GET":
                if left == 0:
                    return 502, {"detail": "broken by the test"}
                left -= 1
            return answer(method, *more)

        waldur.lists.clear()
        waldur.answer = break_off  # type: ignore[method-assign]
        broken = register("--apply")
        assert broken.returncode == 1
        assert "Waldur answered 502" in broken.stderr
        waldur.answer = answer  # type: ignore[method-assign]
        assert register("--apply").returncode == 0
        counts = {name: len(entries) for name, entries in waldur.lists.items()}
        assert counts == {
            "marketplace-categories": 1,
            "customers": 1,
            "marketplace-service-providers": 1,
            "marketplace-provider-offerings": 1,
            "marketplace-plans": 1,
        }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda spec: spec["plans"][0]["prices"].update(gpu="12.5"), "~ plan 'Default': prices gpu 10.0 -> 12.5"),
        (lambda spec: spec["components"][0].update(max_value=8), "~ component gpu: max_value: None -> 8"),
        (lambda spec: spec["offering"].update(name="Other"), "~ offering: name: 'K3s GPU edge' -> 'Other'"),
        (lambda spec: spec["plugin_options"].update(supports_pausing=False), "supports_pausing: True -> False"),
        (lambda spec: spec["plans"][0].update(unit="day"), "~ plan 'Default': month 0 -> day 0"),
        (
            lambda spec: spec["components"].append({"type": "cpu", "name": "CPU", "billing_type": "limit"}),
            "+ component cpu 'CPU', billed by limit",
        ),
    ],
)
def test_what_changed_in_the_spec_is_told_then_changed_then_the_same(
    change: Callable[[Any], object], told: str, register: Register
) -> None:
    register("--apply")
    checked = register("--check", change)
    assert checked.returncode == 2
    assert told in checked.stdout
    assert len(checked.stdout.splitlines()) == 1
    assert register("--apply", change).returncode == 0
    assert register("--check", change).returncode == 0


def test_what_the_spec_no_longer_has_is_left_alone_and_told(register: Register, waldur: StubWaldur) -> None:
    register("--apply")

    def fewer(spec: Any) -> None:
        spec["components"].pop()
        spec["plans"][0]["prices"].pop("gpu_hours")

    done = register("--check", fewer)
    assert done.returncode == 0
    assert "left alone: component gpu_hours is not in the spec" in done.stdout
    assert len(waldur.all("marketplace-provider-offerings")[0]["components"]) == 2


def test_an_offering_is_found_on_a_later_page(register: Register, waldur: StubWaldur) -> None:
    register("--apply")
    offerings = waldur.lists["marketplace-provider-offerings"]
    (ours,) = offerings.values()
    customer = ours["customer_uuid"]
    offerings.clear()
    for number in range(150):
        waldur.add(
            "marketplace-provider-offerings", name=f"other {number}", backend_id=str(number), customer_uuid=customer
        )
    offerings[ours["uuid"]] = ours
    assert register("--check").returncode == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda spec: spec["offering"].update(backend_id="edge-2"), "has an offering 'K3s GPU edge' with backend_id"),
        (lambda spec: spec["plans"][0]["prices"].update(watts="1"), "prices of watts, which are no components"),
        (lambda spec: spec["plans"][0]["prices"].update(gpu="-1"), "the price of gpu is -1; allowed is 0 or more"),
        (lambda spec: spec["components"].append(spec["components"][0]), "components: gpu stands there twice"),
        (lambda spec: spec.update(api_url="http://waldur.example.com/api/"), "the token would be sent in clear"),
        (lambda spec: spec.update(plan=[]), "plan: Extra inputs are not permitted"),
    ],
)
def test_a_name_clash_and_a_wrong_spec_are_refused_before_anything_changes(
    change: Callable[[Any], object], told: str, register: Register, waldur: StubWaldur
) -> None:
    register("--apply")
    before = writes(waldur)
    done = register("--apply", change)
    assert done.returncode == 1
    assert told in done.stderr
    assert writes(waldur) == before


def test_an_expired_token_missing_rights_and_no_token_say_what_to_do(register: Register, waldur: StubWaldur) -> None:
    waldur.expired = True
    assert "Fix: make a new one in Waldur" in register("--check").stderr
    waldur.expired, waldur.rights = False, False
    done = register("--apply")
    assert done.returncode == 1
    assert "Fix: a staff user, or an owner" in done.stderr
    assert "no token. Fix: `--token-fd 3" in register("--check", token="").stderr


def test_half_answers_and_a_waldur_that_is_not_there_are_errors_in_words(
    register: Register, waldur: StubWaldur
) -> None:
    waldur.broken = "half"
    assert register("--check").returncode == 1
    gone = register("--check", lambda spec: spec.update(api_url="http://127.0.0.1:9/api/"))
    assert gone.returncode == 1
    assert "does not answer" in gone.stderr


def test_the_token_can_come_from_a_file_descriptor(waldur: StubWaldur, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps({"api_url": waldur.url, **SPEC}))
    reading, writing = os.pipe()
    os.write(writing, f"{TOKEN}\n".encode())
    os.close(writing)
    argv = [sys.executable, "-m", "scripts.waldur_register", file, "--check", "--token-fd", str(reading)]
    env = {name: value for name, value in os.environ.items() if name != "WALDUR_TOKEN"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False, pass_fds=[reading])
    os.close(reading)
    assert (done.returncode, done.stdout) == (2, NEW)
