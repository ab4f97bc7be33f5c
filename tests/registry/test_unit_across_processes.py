"""A push as plain data: it is written, done in another process, and its result read back."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from msgspec.structs import replace

from oci_push import forms
from oci_push.engine.pusher import Environment, Options, Pusher
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget, perform
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import ignore
from oci_push.forms import decode, encode
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret
from oci_push.transport.settings import TransportSettings

LOGIN = Credential("robot", Secret("planted-password"), source="test")
GUARDED = SandboxOptions(auth="basic", username="robot", password=Secret("planted-password"))
ONCE = RetryPolicy(attempts=1)
CHILD = """
import sys
sys.path[:0] = {path!r}
from test_unit_across_processes import in_this_process
from oci_push.forms import decode, encode
from oci_push.engine.unit import PushUnit
sys.stdout.buffer.write(encode(in_this_process(decode(sys.stdin.buffer.read(), PushUnit), {address!r})))
"""


def in_this_process(unit: PushUnit, address: str) -> UnitResult:
    """Perform a unit with a pusher that knows ``inner``; its login is known here, and never travels."""
    registries = {"inner": RegistryEndpoint(address, LOGIN, name="inner")}
    options = Options(remember=False, mount=False, blob_retry=ONCE, transport=TransportSettings(call_retry=ONCE))
    context = Context(SystemClock(), what="test")
    around = Environment({}, None, 0, lambda: 0.5)
    with contextlib.closing(Pusher(context, options, around)) as pusher:
        return perform(unit, pusher.knowing(registries), context, ignore)


def in_another(unit: PushUnit, address: str) -> UnitResult:
    """Write a unit, perform it in a child, and read the result."""
    code = CHILD.format(path=[entry for entry in sys.path if entry], address=address)
    sent = encode(unit)
    assert b"planted" not in sent
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True, timeout=60)
    assert b"planted" not in done.stdout
    return decode(done.stdout, UnitResult)


def image(folder: Path) -> Layout:
    """Write an image of two layers."""
    writer = LayoutWriter(folder / "image")
    return writer.close(writer.image(layer(1), layer(2)))


def untimed(result: UnitResult, repository: Repository) -> object:
    """Return a result without its times, and with another repository's name in its place."""
    plain = json.dumps(forms.to_builtins(result)).replace(str(result.results[0].repository), str(repository))
    value = json.loads(plain)
    value["seconds"] = value["cost"]["phases"] = 0
    for one in value["results"]:
        one["seconds"] = one["cost"]["phases"] = one["round_trip_s"] = 0
        for blob in one["blobs"]:
            blob["seconds"] = 0
    return value


def test_a_unit_done_in_another_process_gives_what_it_gives_here(tmp_path: Path) -> None:
    layout = image(tmp_path)
    with Sandbox(options=GUARDED) as sandbox:
        here, there = Repository(sandbox.address, "here"), Repository(sandbox.address, "there")
        unit = PushUnit(f"oci:{layout.path}", (UnitTarget(here, ("1", "latest"), "inner"),))
        first = in_this_process(unit, sandbox.address)
        second = in_another(replace(unit, targets=(UnitTarget(there, ("1", "latest"), "inner"),)), sandbox.address)
    assert second.error is None
    assert [tag.outcome for tag in second.results[0].tags] == ["pushed", "pushed"]
    assert untimed(first, here) == untimed(second, here)


@pytest.mark.parametrize(("source", "registry"), [("oci:missing", "inner"), ("oci:IMAGE", "nobody"), ("oci:IMAGE", "")])
def test_an_error_crosses_with_its_class_text_hint_and_exit_code(tmp_path: Path, source: str, registry: str) -> None:
    layout = image(tmp_path)
    with Sandbox(options=GUARDED) as sandbox:
        target = UnitTarget(Repository(sandbox.address, "app"), ("1",), registry)
        unit = PushUnit(source.replace("IMAGE", str(layout.path)), (target,))
        here, there = in_this_process(unit, sandbox.address).error, in_another(unit, sandbox.address).error
    assert _told(there) == _told(here)


def _told(error: OciPushError | None) -> tuple[object, ...]:
    assert error is not None
    return type(error), str(error), error.hint, error.exit_code


def test_a_configuration_error_keeps_its_places() -> None:
    error = ConfigError(problems=[forms.Diagnostic("wrong", "p.yml", 3, 4, hint="mend it"), forms.Diagnostic("too")])
    again = decode(encode(error), ConfigError)
    assert isinstance(again, ConfigError)
    assert again.problems == error.problems


def test_a_secret_is_never_written() -> None:
    endpoint = RegistryEndpoint("registry.example", LOGIN)
    assert b"planted" not in encode(endpoint)
    assert b'"password":"***"' in encode(endpoint)
