"""What `oci_push` exports is a promise: nothing comes or goes by accident, and importing it costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import oci_push

_TEXT = """
AwsIdentity BlobOutcome BlobResult Cancelled ConfigError ContentMismatchError Credential CredentialsError
DeadlineError DeniedError Diagnostic Digest EcrCreation Emit Event ImmutableTagError NetworkError NotFoundError
OciPushError Options ProtocolViolationError PushOptions PushResult RateLimitedError Reference RegistryEndpoint
RegistryError ReplicaOutcome ReplicaResult Repository RetryPolicy Secret SourceError SourceSettings TagOutcome
TagResult TlsConfig TransportSettings UnavailableError UploadRejectedError push replicate
"""
NAMES = frozenset(_TEXT.split())


def test_the_public_names_are_these() -> None:
    assert set(oci_push._HOME_OF) == NAMES
    assert set(dir(oci_push)) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_what_lives_at_its_home(name: str) -> None:
    assert getattr(oci_push, name) is getattr(sys.modules[oci_push._HOME_OF[name]], name)


def test_type_checkers_are_told_the_same() -> None:
    assert oci_push.__file__ is not None
    tree = ast.parse(Path(oci_push.__file__).read_text())
    told = {
        alias.asname: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {name: home for name, home in told.items() if name} == oci_push._HOME_OF


def test_what_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="Pusher"):
        oci_push.Pusher  # noqa: B018


def test_importing_loads_nothing_prints_nothing_and_takes_no_signal() -> None:
    code = (
        "import signal, sys; before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM);"
        "import oci_push;"
        "assert [name for name in sys.modules if name.startswith('oci_push')] == ['oci_push'];"
        "assert 'msgspec' not in sys.modules; oci_push.push;"
        "assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout + done.stderr == ""
