"""Where a Dask cluster is, and what is refused before one is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from program import program

from oci_push.cli.cluster import for_workers
from oci_push.cli.options import Common
from oci_push.engine.artifacts.attachment import Attachment
from oci_push.engine.unit import PushUnit, UnitTarget
from oci_push.errors import ConfigError
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.work.dask_address import read_address
from oci_push.work.dask_link import Link
from oci_push.work.dask_units import from_anywhere
from oci_push.work.units import WorkUnit

TARGETS = (UnitTarget(Repository("registry.example.com", "team/app"), ("1",)),)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("dask://scheduler.example.com", "tcp://scheduler.example.com:8786"),
        ("dask://10.0.0.7:9000", "tcp://10.0.0.7:9000"),
        ("dask://[::1]:8786", "tcp://[::1]:8786"),
        ("dask+tls://scheduler.example.com:8786", "tls://scheduler.example.com:8786"),
    ],
)
def test_address_of_a_scheduler(written: str, meant: str) -> None:
    assert read_address(written).scheduler == meant


def test_files_of_tls_are_named_in_the_address(tmp_path: Path) -> None:
    for name in ("ca.pem", "key.pem"):
        (tmp_path / name).touch()
    read = read_address(f"dask+tls://s:1?ca={tmp_path}/ca.pem&key={tmp_path}/key.pem")
    assert read.files == {"ca": f"{tmp_path}/ca.pem", "key": f"{tmp_path}/key.pem"}


@pytest.mark.parametrize(
    "written",
    [
        "dask:10.0.0.7",
        "dask://",
        "dask://host:port",
        "dask://host:99999",
        "dask+ssh://host",
        "dask://host/path",
        "dask://host?ca=ca.pem",
        "dask+tls://host?password=x",
        "dask+tls://host?ca=/no/such/file.pem",
    ],
)
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(ConfigError):
        read_address(written)


def test_an_address_with_a_login_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as refused:
        read_address("dask://robot:planted@host:1")
    assert "planted" not in str(refused.value)


def test_a_unit_names_files_from_the_root_and_keeps_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image").mkdir()
    unit = WorkUnit.of(PushUnit("oci:image:v1", TARGETS, attach=(Attachment("sbom.json"),)))
    sent = from_anywhere(unit)
    assert sent.push.source == f"oci:{tmp_path}/image:v1"
    assert sent.push.attach[0].path == f"{tmp_path}/sbom.json"
    assert sent.key == unit.key


@pytest.mark.parametrize("source", ["docker://registry.example.com/team/app:1", "containers-storage:app", "-"])
def test_a_source_that_is_no_file_is_sent_as_it_is(source: str) -> None:
    unit = WorkUnit.of(PushUnit(source, TARGETS))
    assert from_anywhere(unit) == unit


def test_headers_of_the_command_line_never_go_to_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    said = program(
        "copy", "oci:image", "r.example.com/a:1", "--on", "dask://h", "--header", "X-Key: planted", cwd=tmp_path, code=2
    ).stderr
    assert "--header has no effect with --on dask" in said
    assert "planted" not in said


def test_without_dask_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    said = program("copy", "oci:image", "r.example.com/a:1", "--on", "dask://h", cwd=tmp_path, code=2).stderr
    assert "pip install 'oci-push[dask]'" in said


def test_files_of_certificates_are_named_from_the_root_for_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = for_workers(Common(ca_file="ca.pem", cert_file="/etc/me.pem", tmpdir=tmp_path))
    assert (told.ca_file, told.cert_file, told.tmpdir) == (f"{tmp_path}/ca.pem", "/etc/me.pem", None)


@pytest.mark.parametrize("named", ["?ca=ca.pem", "?cert=ca.pem&key=ca.pem"])
def test_tls_that_lacks_a_file_or_has_a_broken_one_is_refused_at_once(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ConfigError, match="--on dask\\+tls") as refused:
        Link(read_address(f"dask+tls://127.0.0.1:1{named}"), Context(SystemClock(), what="test"))
    assert "key=PEM, the key without a pass phrase" in str(refused.value.hint)
