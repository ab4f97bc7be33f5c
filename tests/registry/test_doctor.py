"""An examination of registries of every temper: what it finds, what it leaves, and that pushes go by it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from cloudendpoints import Answered, Asked, Endpoint
from equipment.faults import Answer, Fault, FaultScript, Headers
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program
from pushing import QUICK

from oci_push.events import ignore
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.providers.base import Capabilities
from oci_push.registry.clients import RegistryClients
from oci_push.registry.doctor import CheckOutcome, Doctor, Examination, scratch_repositories
from oci_push.runtime.clock import Clock, FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.secret import Secret
from oci_push.transport.settings import TransportSettings

CAPABLE = SandboxOptions(multi_tag=True, anonymous_mount=True, single_post=True)
LOGIN = Credential("sandbox", Secret("sandbox"), source="test")


def examine(
    address: str,
    *,
    credential: Credential | None = None,
    clock: Clock | None = None,
    capabilities: Capabilities | None = None,
) -> Examination:
    context = Context(clock or SystemClock())
    settings = TransportSettings(call_retry=QUICK)
    clients = RegistryClients(context, settings, blob_retry=QUICK, random=lambda: 0.5, emit=ignore)
    with contextlib.closing(clients):
        session = clients.session(RegistryEndpoint(address, credential, TlsConfig(plain_http=True)))
        return Doctor(session, capabilities or Capabilities(), scratch_repositories(address, "team")).examine(context)


def verdicts(found: Examination) -> dict[str, CheckOutcome]:
    return {finding.name: finding.outcome for finding in found.findings}


def text(found: Examination, name: str) -> str:
    return next(finding.text for finding in found.findings if finding.name == name)


def test_a_capable_registry_can_do_everything() -> None:
    with Sandbox(options=CAPABLE) as sandbox:
        found = examine(sandbox.address)
    assert found.error is None
    assert found.abilities == {
        "pieces": "yes",
        "chunk_min_bytes": "0",
        "single_post": "yes",
        "form": "put",
        "mount": "yes",
        "anonymous_mount": "yes",
        "multi_tag": "yes",
        "referrers": "yes",
        "delete": "yes",
    }
    assert {name for name, verdict in verdicts(found).items() if verdict is not CheckOutcome.OK} == {
        "tls",
        "rate limits",
    }


def test_nothing_is_left_and_nothing_else_was_touched() -> None:
    with Sandbox(options=CAPABLE) as sandbox:
        assert examine(sandbox.address).left == []
        for repository in ("team/oci-push-doctor", "team/oci-push-doctor-mount"):
            assert not sandbox.store.tags(repository)
        paths = {request.path.split("?")[0] for request in sandbox.traffic.requests}
        assert all(path == "/v2/" or path.startswith("/v2/team/oci-push-doctor") for path in paths)
        assert sandbox.traffic.count(method="DELETE", path_pattern="/blobs/sha256") > 0


def test_a_second_examination_finds_the_same() -> None:
    with Sandbox(options=CAPABLE) as sandbox:
        assert examine(sandbox.address).abilities == examine(sandbox.address).abilities


@pytest.mark.parametrize(
    ("options", "ability"),
    [
        (SandboxOptions(patch=False), "pieces"),
        (SandboxOptions(mount=False), "mount"),
        (SandboxOptions(), "anonymous_mount"),
        (SandboxOptions(), "multi_tag"),
        (SandboxOptions(), "single_post"),
        (SandboxOptions(referrers=False), "referrers"),
        (SandboxOptions(delete=False), "delete"),
    ],
)
def test_what_a_registry_cannot_do_is_found(options: SandboxOptions, ability: str) -> None:
    with Sandbox(options=options) as sandbox:
        found = examine(sandbox.address)
    assert found.error is None
    assert found.abilities[ability] == "no"


def test_pieces_too_small_are_tried_larger() -> None:
    with Sandbox(options=SandboxOptions(chunk_min=1024 * 1024)) as sandbox:
        found = examine(sandbox.address)
    assert "wants pieces of at least 1048576 bytes" in text(found, "push")


def test_what_cannot_be_deleted_is_said() -> None:
    with Sandbox(options=SandboxOptions(delete=False)) as sandbox:
        found = examine(sandbox.address)
    assert len([left for left in found.left if "oci-push-doctor@sha256:" in left]) == 2
    assert "blobs of some kB" in found.left[-1]


def test_a_login_that_may_not_push_ends_it_before_anything_is_sent() -> None:
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        found = examine(sandbox.address)
        assert sandbox.traffic.received_bytes(path_pattern="uploads") == 0
    assert verdicts(found)["push"] is CheckOutcome.FAILED
    assert "granted was repository:team/oci-push-doctor:pull" in str(found.error)
    assert found.abilities == {}


def test_one_token_serves_the_whole_examination_but_deletion() -> None:
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        assert examine(sandbox.address, credential=LOGIN).error is None
        asked = {context for token in sandbox.traffic.tokens for context in token.scopes}
    assert "repository:team/oci-push-doctor:delete,pull,push" in asked


def test_where_asking_for_delete_fails_everything_it_is_asked_for_only_when_the_registry_names_it() -> None:
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        examine(sandbox.address, credential=LOGIN, capabilities=Capabilities(delete_scope=False))
        requests = sandbox.traffic.requests
        refused = next(n for n, r in enumerate(requests) if r.method == "DELETE" and r.status == 401)
        assert not [r for r in requests[:refused] if r.path.startswith("/token") and "delete" in r.path]


def test_a_registry_whose_clock_is_off_is_noticed() -> None:
    with Sandbox() as sandbox:
        found = examine(sandbox.address, clock=FakeClock(0.0))
    assert verdicts(found)["clock"] is CheckOutcome.NO


def test_a_list_of_referrers_that_is_no_index_is_none(tmp_path: Path) -> None:
    page = Answer(200, headers={"content-type": "application/json"}, body=b'{"manifests": [{}]}')
    with Sandbox(faults=FaultScript([Fault("GET", "/referrers/", times=0, action=page)])) as sandbox:
        done = program("doctor", f"{sandbox.address}/team", "--json", cwd=tmp_path)
    found = {one["check"]: one["result"] for one in json.loads(done.stdout)["findings"]}
    assert found["referrers"] == "no"


def test_cleaning_happens_when_something_breaks_midway() -> None:
    script = FaultScript([Fault("PUT", "/manifests/", action=Answer(507))])
    with Sandbox(faults=script) as sandbox:
        found = examine(sandbox.address)
        assert verdicts(found)["image"] is CheckOutcome.FAILED
        assert "507" in str(found.error)
        assert sandbox.traffic.count(method="DELETE", path_pattern="/blobs/sha256") > 0
    assert found.left == []


def test_where_no_way_of_uploading_works_it_fails(tmp_path: Path) -> None:
    refused = [Fault(method, "/blobs/uploads/.+", times=0, action=Answer(400)) for method in ("PUT", "PATCH")]
    with Sandbox(faults=FaultScript(refused)) as sandbox:
        done = program("doctor", f"{sandbox.address}/team/app", "--json", cwd=tmp_path, code=5)
        assert sandbox.traffic.count(method="PUT", path_pattern="/manifests/") == 0
    value = json.loads(done.stdout)
    found = {one["check"]: one for one in value["findings"]}
    assert [found[f"upload {way}"]["result"] for way in ("by PUT", "by PATCH", "in pieces")] == ["no", "no", "no"]
    assert (found["image"]["result"], "mount" in found) == ("failed", False)
    assert value["error"].endswith("/team/oci-push-doctor: no form of upload works")
    assert found["deleting"]["result"] == "ok"


def test_the_hubs_rate_limit_headers_are_shown() -> None:
    limits = Headers({"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"})
    with Sandbox(faults=FaultScript([Fault("GET", "/v2/$", action=limits)])) as sandbox:
        found = examine(sandbox.address)
    assert text(found, "rate limits") == "rate limit 100 in 6 h, 76 left"


def test_what_is_no_registry_is_said_to_be_none() -> None:
    def page(asked: Asked) -> Answered:
        return Answered(404, "<html>not here</html>")

    with Endpoint({"/v2/": page}) as endpoint:
        found = examine(endpoint.address)
    assert "is not a registry" in str(found.error)


class TestCommand:
    def test_people_get_a_table_and_the_hint(self, tmp_path: Path) -> None:
        with Sandbox() as sandbox:
            done = program("doctor", f"{sandbox.address}/team/app", cwd=tmp_path)
        lines = done.stdout.splitlines()
        assert lines[0].split() == ["CHECK", "RESULT", "DETAIL"]
        assert any(line.startswith("push") and line.endswith("/team/oci-push-doctor") for line in lines)

    def test_machines_get_json_and_a_name_that_cannot_be_resolved_is_its_exit_code(self, tmp_path: Path) -> None:
        done = program("doctor", "none.invalid/team/app", "--json", cwd=tmp_path, code=6)
        value = json.loads(done.stdout)
        assert value["findings"][0] == {
            "check": "network",
            "result": "failed",
            "detail": "none.invalid: the name none.invalid cannot be resolved",
        }

    def test_later_pushes_go_by_what_was_measured(self, tmp_path: Path) -> None:
        image = make_layout(tmp_path / "image", layer(1))
        with Sandbox() as sandbox:
            program("doctor", f"{sandbox.address}/team/app", cwd=tmp_path)
            sandbox.traffic.clear()
            program("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1,2,3", cwd=tmp_path)
            assert sandbox.traffic.count(path_pattern="tag=") == 0

    def test_an_integration_is_examined_below_its_prefix(self, tmp_path: Path) -> None:
        with Sandbox() as sandbox:
            (tmp_path / "oci-push.yaml").write_text(
                f"registries: [{{name: inner, domain: '{sandbox.address}', repositoryPrefix: team-a}}]"
            )
            value = json.loads(program("doctor", "inner", "--json", cwd=tmp_path).stdout)
            assert value["repository"] == f"{sandbox.address}/team-a/oci-push-doctor"


def test_a_job_without_an_identity_is_told_what_to_do_also_where_nothing_is_reached(tmp_path: Path) -> None:
    entry = {"name": "q", "provider": "quay", "domain": "none.invalid", "username": "a+b", "oidc": "auto"}
    (tmp_path / "named.yaml").write_text(json.dumps({"registries": [entry]}))
    env = {"GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.com"}
    done = program("doctor", "q", "--config", "named.yaml", cwd=tmp_path, code=6, **env)
    assert "  hint: declare it in the job: id_tokens: {OCI_PUSH_ID_TOKEN: {aud: https://none.invalid}}\n" in done.stdout
