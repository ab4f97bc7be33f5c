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
from oci_push.cli.app import COMMANDS
from oci_push.cli.typed import every_command

_TEXT = """
AnnotationChange ArtifactPush AttachedForm Attaching Attachment AwsIdentity BlobForm BlobOutcome BlobSaved BlobStored
BlobsDeleted BlobsFound Cancelled Changed Changes Checkup ConfigChanges ConfigError ContentMismatchError CopyPlan
CopyReport Credential CredentialsError DeadlineError Deletion DeniedError Diagnostic Diff Digest EcrCreation ErrorForm
Event Existence Fetching ImageEdit ImagePlan ImmutableTagError IncompleteError IndexChange Inspection JobToken Keyless
ManifestOutcome ManifestStored ManifestsFound MirrorPlan MirrorReport MountRule NamedDigest NetworkError NotFoundError
OciPushError Options PipelinePlan PipelineReport PlannedAmount PlannedAmounts PlannedAttachment PlannedBlob
PlannedSignature PlannedStepForm PlannedTag PlannedTarget PlannedWay Platform ProtocolViolationError Pull PushOptions
PushReport RateLimitedError RawManifest Reference ReferrersTree RegistryEndpoint RegistryError ReplicaForm
ReplicaOutcome ReplicationReport Repository RepositoryList Requirement RetryPolicy Secret SignRule Signing SourceError
SourceSettings Status StepForm TagForm TagList TagOutcome Tagging TargetForm TlsConfig TotalsForm Traffic
TransportSettings TrustedIdentity TrustedKey UnavailableError UntrustedError UploadRejectedError Verification annotate
artifact_pull artifact_push attach attest blob_delete blob_get blob_head blob_put check copy decode delete diff digest
encode exists index_add index_annotate index_create index_remove inspect manifest_get manifest_head manifest_put
mirror mutate plan plan_copy plan_mirror plan_pipeline pull push referrers replicate repos run_pipeline sign tag tags
verify
"""
NAMES = frozenset(_TEXT.split())
FUNCTIONS = sorted(name for name in NAMES - {"decode", "encode"} if name.islower())


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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_help_and_types_that_can_be_read_and_the_same_name_in_aio(name: str) -> None:
    function = getattr(oci_push, name)
    awaited = getattr(oci_push.aio, name)
    assert len(inspect.getdoc(function) or "") > 100
    assert typing.get_type_hints(function)["return"] is not None
    assert inspect.signature(awaited).parameters == inspect.signature(function).parameters
    assert inspect.iscoroutinefunction(awaited)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_options_a_listener_and_what_stops_it_and_returns_a_public_form(name: str) -> None:
    function = getattr(oci_push, name)
    last = list(inspect.signature(function).parameters)[-4:]
    assert last in (["options", "on_event", "cancel", "timeout_s"], ["require_push", "on_event", "cancel", "timeout_s"])
    assert typing.get_type_hints(function)["return"].__name__ in NAMES


def test_a_function_is_called_as_its_command() -> None:
    words = {" ".join(words) for words, _ in every_command(COMMANDS)}
    named = {name.replace("_", " ") for name in FUNCTIONS} - {"run pipeline", "replicate"}
    assert {name for name in named if not name.startswith("plan")} - words == set()


def test_for_asyncio_there_are_the_same_functions_and_nothing_is_loaded_for_them_before() -> None:
    assert [name for name in dir(oci_push.aio) if not name.startswith("__")] == FUNCTIONS
    assert oci_push.aio.__file__ is not None
    found = ast.walk(ast.parse(Path(oci_push.aio.__file__).read_text()))
    told = {one.targets[0].id for one in found if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)}
    assert set(FUNCTIONS) <= told  # what type checkers see
    code = "import sys, oci_push.aio; assert 'oci_push.library.images' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_function_hides_a_part_of_the_package() -> None:
    assert oci_push.__file__ is not None
    parts = {path.stem for path in Path(oci_push.__file__).parent.iterdir()}
    assert parts & set(FUNCTIONS) == set()


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
