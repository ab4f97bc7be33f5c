"""certs.d folders: which is used, what is added, and what a half pair says."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_push.credentials.certificates import SYSTEM_FOLDERS, add_certificates, certificate_folders
from oci_push.errors import ConfigError
from oci_push.events import Event, LogMessage
from oci_push.model.endpoint import TlsConfig
from oci_push.transport.tls import make_context

HOST = "reg.example:5000"


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("pem")
    return folder


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.mark.case("TL-001")
def test_authority_and_client_pair_are_added(tmp_path: Path, events: list[Event]) -> None:
    folder = put(tmp_path / HOST, "ca.crt", "client.cert", "client.key", "README")
    tls = add_certificates(TlsConfig(), HOST, [tmp_path], events.append)
    assert tls == TlsConfig(
        more_ca_files=(str(folder / "ca.crt"),),
        cert_file=str(folder / "client.cert"),
        key_file=str(folder / "client.key"),
    )
    assert events == []


def test_all_authorities_are_added_in_order_of_name(tmp_path: Path, events: list[Event]) -> None:
    folder = put(tmp_path / HOST, "b.crt", "a.crt")
    tls = add_certificates(TlsConfig(), HOST, [tmp_path], events.append)
    assert tls.more_ca_files == (str(folder / "a.crt"), str(folder / "b.crt"))


@pytest.mark.parametrize(("present", "missing"), [("client.cert", "client.key"), ("client.key", "client.cert")])
@pytest.mark.case("TL-002")
def test_half_a_pair_is_an_error_naming_the_missing_file(tmp_path: Path, present: str, missing: str) -> None:
    folder = put(tmp_path / HOST, present)
    with pytest.raises(ConfigError) as caught:
        add_certificates(TlsConfig(), HOST, [tmp_path], lambda _: None)
    assert str(caught.value) == f"{folder / missing}: is missing, {present} beside it needs it"
    assert caught.value.hint


def test_first_folder_that_knows_the_host_is_used_alone(tmp_path: Path, events: list[Event]) -> None:
    put(tmp_path / "one" / "other.example", "ca.crt")
    put(tmp_path / "two" / HOST, "two.crt")
    put(tmp_path / "three" / HOST, "three.crt")
    folders = [tmp_path / name for name in ("none", "one", "two", "three")]
    tls = add_certificates(TlsConfig(), HOST, folders, events.append)
    assert tls.more_ca_files == (str(tmp_path / "two" / HOST / "two.crt"),)


def test_another_port_is_another_registry(tmp_path: Path, events: list[Event]) -> None:
    put(tmp_path / "reg.example", "ca.crt")
    assert add_certificates(TlsConfig(), HOST, [tmp_path], events.append) == TlsConfig()


def test_what_the_user_gave_stays(tmp_path: Path, events: list[Event]) -> None:
    folder = put(tmp_path / HOST, "ca.crt", "client.cert", "client.key")
    given = TlsConfig(ca_file="/mine/ca.pem", cert_file="/mine/cert.pem", key_file="/mine/key.pem")
    tls = add_certificates(given, HOST, [tmp_path], events.append)
    assert (tls.ca_file, tls.cert_file, tls.key_file) == ("/mine/ca.pem", "/mine/cert.pem", "/mine/key.pem")
    assert tls.more_ca_files == (str(folder / "ca.crt"),)


def test_of_several_pairs_the_first_is_used_with_a_warning(tmp_path: Path, events: list[Event]) -> None:
    folder = put(tmp_path / HOST, "a.cert", "a.key", "b.cert", "b.key")
    tls = add_certificates(TlsConfig(), HOST, [tmp_path], events.append)
    assert tls.cert_file == str(folder / "a.cert")
    assert [event.level for event in events if isinstance(event, LogMessage)] == ["warning"]


class Unreadable(type(Path())):  # type: ignore[misc]
    """A folder that exists and may not be listed, also for root."""

    def iterdir(self) -> object:
        raise PermissionError(13, "Permission denied")


@pytest.mark.case("TL-003")
def test_unreadable_folder_is_passed_over_with_a_warning(tmp_path: Path, events: list[Event]) -> None:
    put(tmp_path / "two" / HOST, "two.crt")
    tls = add_certificates(TlsConfig(), HOST, [Unreadable(tmp_path / "one"), tmp_path / "two"], events.append)
    assert len(tls.more_ca_files) == 1
    assert [event.text for event in events if isinstance(event, LogMessage)] == [
        f"{tmp_path / 'one' / HOST}: certificates are not used (Permission denied)"
    ]


@pytest.mark.parametrize("host", ["", "..", "a/../b", "."])
def test_host_that_could_leave_the_folder_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="is not a registry host"):
        add_certificates(TlsConfig(), host, [tmp_path], lambda _: None)


def test_authority_that_cannot_be_used_is_named_when_the_connection_is_made(tmp_path: Path) -> None:
    folder = put(tmp_path / HOST, "ca.crt")
    tls = add_certificates(TlsConfig(), HOST, [tmp_path], lambda _: None)
    with pytest.raises(ConfigError, match="cannot be used as a CA file") as caught:
        make_context(tls, {})
    assert str(caught.value).startswith(str(folder / "ca.crt"))


def test_folders_are_the_users_then_podmans_then_dockers() -> None:
    home = Path("/home/u")
    assert certificate_folders({}, home) == (home / ".config/containers/certs.d", *SYSTEM_FOLDERS)
    assert certificate_folders({"XDG_CONFIG_HOME": "/x"}, home)[0] == Path("/x/containers/certs.d")
    assert certificate_folders({}, None) == SYSTEM_FOLDERS


@pytest.mark.parametrize("name", ["bad.crt", "client.key", "client.cert"])
def test_a_file_that_cannot_be_read_is_left_out_and_told(name: str, tmp_path: Path, events: list[Event]) -> None:
    folder = put(tmp_path / HOST, "ca.crt", "client.key", "client.cert")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "gone")
    tls = add_certificates(TlsConfig(), HOST, [tmp_path], events.append)
    assert tls.more_ca_files == (str(folder / "ca.crt"),)
    assert bool(tls.cert_file) == name.endswith(".crt")
    (note,) = events
    assert isinstance(note, LogMessage)
    assert f"{folder / name}: cannot be read" in note.text
