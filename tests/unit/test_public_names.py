"""What `oci_push` exports is a promise: nothing comes or goes by accident, and importing it costs nothing."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import oci_push

_TEXT = """
AnnotationChange AttachedForm Attachment AwsIdentity BlobForm BlobOutcome Cancelled Changed Changes ConfigChanges
ConfigError ContentMismatchError Credential CredentialsError DeadlineError DeniedError Diagnostic Digest EcrCreation
ErrorForm Event ImagePlan ImmutableTagError IncompleteError ManifestOutcome NetworkError NotFoundError OciPushError
Options PipelinePlan PipelineReport PlannedAmount PlannedAmounts PlannedAttachment PlannedBlob PlannedSignature
PlannedStepForm PlannedTag PlannedTarget PlannedWay Platform ProtocolViolationError PushOptions PushReport
RateLimitedError Reference RegistryEndpoint RegistryError ReplicaForm ReplicaOutcome ReplicationReport
Repository Requirement RetryPolicy Secret SignRule SourceError SourceSettings Status StepForm TagForm TagOutcome
TargetForm TlsConfig TotalsForm TransportSettings TrustedKey UnavailableError UntrustedError UploadRejectedError
decode encode plan plan_pipeline push replicate run_pipeline
"""
NAMES = frozenset(_TEXT.split())


def test_the_public_names_are_these() -> None:
    assert set(oci_push._HOME_OF) == NAMES
    assert set(oci_push._MODULES) == {"aio", "events"}
    assert {name for name in dir(oci_push) if not name.startswith("__")} == {*NAMES, "aio", "events"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_what_lives_at_its_home(name: str) -> None:
    assert getattr(oci_push, name) is getattr(sys.modules[oci_push._HOME_OF[name]], name)


def test_type_checkers_are_told_the_same() -> None:
    assert oci_push.__file__ is not None
    tree = ast.parse(Path(oci_push.__file__).read_text())
    told = {
        alias.asname: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    modules = dict.fromkeys(oci_push._MODULES, "oci_push")
    assert {name: home for name, home in told.items() if name} == oci_push._HOME_OF | modules


@pytest.mark.parametrize("name", oci_push._MODULES)
def test_a_public_module_is_there_without_an_import_of_its_own(name: str) -> None:
    code = f"import oci_push; assert oci_push.{name}.__name__ == 'oci_push.{name}'"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["push", "plan", "replicate", "run_pipeline", "plan_pipeline"])
def test_a_function_has_help_and_types_that_can_be_read_and_the_same_name_in_aio(name: str) -> None:
    function = getattr(oci_push, name)
    awaited = getattr(oci_push.aio, name)
    assert len(inspect.getdoc(function) or "") > 100
    assert typing.get_type_hints(function)["return"] is not None
    assert inspect.signature(awaited).parameters == inspect.signature(function).parameters
    assert inspect.iscoroutinefunction(awaited)


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
