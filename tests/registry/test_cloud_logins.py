"""Logins that clouds hand out: what goes to their token endpoints, and that the registry then lets us in."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cloudendpoints import Answered, Asked, AzureRegistry, Endpoint, GoogleTokens
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout

from oci_push.engine.pusher import Environment, Options, Pusher
from oci_push.errors import CredentialsError, OciPushError
from oci_push.events import ignore
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.model.identity import CloudIdentity
from oci_push.model.reference import Destination
from oci_push.protocol.ping import ping
from oci_push.providers.azure import AzureIdentity
from oci_push.providers.google import GoogleIdentity
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret
from oci_push.transport.settings import TransportSettings

ACR = "acme.azurecr.io"
GAR = "europe-docker.pkg.dev"
QUICK = RetryPolicy(attempts=1)
WAY = ["/v2/", "/oauth2/exchange", "/oauth2/token", "/v2/"]
"""What an Azure registry is asked until it lets an identity in."""


@pytest.fixture
def google() -> GoogleTokens:
    return GoogleTokens()


@pytest.fixture
def google_endpoint(google: GoogleTokens) -> Iterator[Endpoint]:
    with Endpoint({"/token": google.answer}) as endpoint:
        yield endpoint


def keyfile(google: GoogleTokens, endpoint: Endpoint, **changes: str) -> GoogleIdentity:
    return GoogleIdentity(Secret(json.dumps({**google.keyfile(f"{endpoint.url}/token"), **changes})))


class Knock:
    """Ask a registry that stands in for a cloud's whether it lets an identity in."""

    def __init__(self, clock: FakeClock | None = None, env: Mapping[str, str] | None = None) -> None:
        self.clock = clock or FakeClock()
        self.context = Context(self.clock)
        settings = TransportSettings(call_retry=QUICK, env=env or {})
        self.clients = RegistryClients(
            self.context, settings, blob_retry=QUICK, random=lambda: 0.5, emit=ignore, home=Path("/nonexistent")
        )

    def __call__(self, host: str, address: str, identity: CloudIdentity) -> None:
        endpoint = RegistryEndpoint(host, tls=TlsConfig(plain_http=True), address=address, identity=identity)
        self.clients.session(endpoint).run(self.context, ping(host))


@pytest.fixture
def knock() -> Iterator[Knock]:
    made = Knock()
    with contextlib.closing(made.clients):
        yield made


def google_registry(google: GoogleTokens) -> SandboxOptions:
    return SandboxOptions(auth="bearer", username="oauth2accesstoken", password=Secret(google.access_token))


class TestGoogleKey:
    def test_a_push_signs_once_and_logs_in_with_the_token(
        self, google: GoogleTokens, google_endpoint: Endpoint, tmp_path: Path
    ) -> None:
        image = make_layout(tmp_path / "image", layer(1), layer(2))
        around = Environment({}, tmp_path, 0, lambda: 0.5)
        with Sandbox(options=google_registry(google)) as sandbox:
            endpoint = RegistryEndpoint(
                GAR, tls=TlsConfig(plain_http=True), address=sandbox.address, identity=keyfile(google, google_endpoint)
            )
            options = Options(endpoints={GAR: endpoint}, remember=False)
            context = Context(google_clock(google))
            with contextlib.closing(Pusher(context, options, around)) as pusher:
                targets = pusher.targets([Destination.parse(f"{GAR}/p/r/app:1")])
                with pusher.open(f"oci:{image.path}", context) as source:
                    (result,) = pusher.execute(pusher.plan(source, targets, context), source, context)
            assert result.error is None
            assert tuple(sandbox.store.tags("p/r/app")) == ("1",)
        assert google_endpoint.paths() == ["/token"]
        assert set(google_endpoint.asked[0].fields) == {"grant_type", "assertion"}

    def test_the_token_is_renewed_before_its_end(self, google: GoogleTokens, google_endpoint: Endpoint) -> None:
        knock = Knock(google_clock(google))
        options = SandboxOptions(auth="basic", username="oauth2accesstoken", password=Secret(google.access_token))
        with Sandbox(options=options) as sandbox, contextlib.closing(knock.clients):
            knock(GAR, sandbox.address, keyfile(google, google_endpoint))
            knock.clock.time += 3000
            knock(GAR, sandbox.address, keyfile(google, google_endpoint))
            assert len(google_endpoint.asked) == 1
            knock.clock.time += 500
            knock(GAR, sandbox.address, keyfile(google, google_endpoint))
        assert len(google_endpoint.asked) == 2

    def test_a_key_in_base64_is_read(self, google: GoogleTokens, google_endpoint: Endpoint) -> None:
        text = json.dumps(google.keyfile(f"{google_endpoint.url}/token"))
        knock = Knock(google_clock(google))
        with Sandbox(options=google_registry(google)) as sandbox, contextlib.closing(knock.clients):
            knock(GAR, sandbox.address, GoogleIdentity(Secret(base64.b64encode(text.encode()).decode())))
        assert google_endpoint.paths() == ["/token"]

    def test_a_skewed_clock_is_named_as_a_possible_reason(
        self, google: GoogleTokens, google_endpoint: Endpoint
    ) -> None:
        google.now = lambda: 0.0
        with pytest.raises(CredentialsError, match="short-lived") as caught:
            self.refused(Knock(), google, keyfile(google, google_endpoint))
        assert "clock" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"private_key": "nonsense"}, "private_key cannot be read"),
            ({"client_email": ""}, "has no client_email"),
            ({"type": "robot"}, "credentials of type 'robot' are not supported"),
            ({"token_uri": "http://token.example/x"}, "is not https"),
        ],
    )
    def test_a_damaged_key_is_said_to_be_so_and_not_shown(
        self, google: GoogleTokens, google_endpoint: Endpoint, changes: dict[str, str], message: str
    ) -> None:
        with pytest.raises(CredentialsError, match=message) as caught:
            self.refused(Knock(), google, keyfile(google, google_endpoint, **changes))
        assert "PRIVATE KEY" not in str(caught.value)
        assert google_endpoint.asked == []

    @pytest.mark.parametrize("text", ["SECRET but no key", '{"private_key": "SECRET', "U0VDUkVU"])
    def test_what_is_no_key_file_is_not_quoted(self, google: GoogleTokens, text: str) -> None:
        with pytest.raises(CredentialsError) as caught:
            self.refused(Knock(), google, GoogleIdentity(Secret(text)))
        assert "SECRET" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_an_endpoint_that_repeats_the_assertion_gets_it_into_no_message(
        self, google: GoogleTokens, google_endpoint: Endpoint
    ) -> None:
        google_endpoint.answers["/token"] = lambda asked: Answered(
            400, {"error": "invalid_grant", "error_description": f"cannot take {asked.fields['assertion'][:200000]}"}
        )
        with pytest.raises(CredentialsError, match=r"cannot take \*\*\*") as caught:
            self.refused(Knock(google_clock(google)), google, keyfile(google, google_endpoint))
        assert google_endpoint.asked[0].fields["assertion"][:20] not in str(caught.value)

    def test_a_redirect_takes_no_assertion_elsewhere(self, google: GoogleTokens, google_endpoint: Endpoint) -> None:
        with Endpoint({}) as other:
            google_endpoint.answers["/token"] = lambda asked: Answered(307, {}, {"Location": f"{other.url}/token"})
            with pytest.raises(OciPushError, match="refused"):
                self.refused(Knock(google_clock(google)), google, keyfile(google, google_endpoint))
            assert other.asked == []

    def refused(self, knock: Knock, google: GoogleTokens, identity: CloudIdentity) -> None:
        with Sandbox(options=google_registry(google)) as sandbox, contextlib.closing(knock.clients):
            knock(GAR, sandbox.address, identity)


def google_clock(google: GoogleTokens) -> FakeClock:
    clock = FakeClock()
    google.now = clock.now
    return clock


class TestGoogleAmbient:
    def lets_in(self, google: GoogleTokens, env: Mapping[str, str], identity: GoogleIdentity | None = None) -> None:
        knock = Knock(google_clock(google), env)
        with Sandbox(options=google_registry(google)) as sandbox, contextlib.closing(knock.clients):
            knock(GAR, sandbox.address, identity or GoogleIdentity())

    def test_the_metadata_server_is_asked_as_it_wants(self, google: GoogleTokens) -> None:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"

        def answer(asked: Asked) -> Answered:
            if asked.headers.get("metadata-flavor") != "Google":
                return Answered(403, "Missing Metadata-Flavor:Google header.")
            return Answered(200, {"access_token": google.access_token, "expires_in": 3599, "token_type": "Bearer"})

        with Endpoint({path: answer}) as metadata:
            self.lets_in(google, {"GCE_METADATA_HOST": metadata.address})
            assert metadata.paths() == [path]

    def test_no_metadata_server_is_one_question_and_a_list_of_what_was_tried(self, google: GoogleTokens) -> None:
        with Endpoint({}) as gone:
            address = gone.address
        with pytest.raises(CredentialsError, match="no Google credentials were found") as caught:
            self.lets_in(google, {"GCE_METADATA_HOST": address})
        assert "service account's key" in (caught.value.hint or "")

    def test_the_environments_key_file_comes_first(
        self, google: GoogleTokens, google_endpoint: Endpoint, tmp_path: Path
    ) -> None:
        path = tmp_path / "key.json"
        path.write_text(json.dumps(google.keyfile(f"{google_endpoint.url}/token")))
        self.lets_in(google, {"GOOGLE_APPLICATION_CREDENTIALS": str(path), "GCE_METADATA_HOST": "127.0.0.1:1"})
        assert google_endpoint.paths() == ["/token"]

    def test_a_named_file_that_is_missing_is_an_error(self, google: GoogleTokens, tmp_path: Path) -> None:
        with pytest.raises(CredentialsError, match="cannot be read"):
            self.lets_in(google, {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")})

    def test_gclouds_own_login_is_a_refresh_token(self, google: GoogleTokens, tmp_path: Path) -> None:
        def answer(asked: Asked) -> Answered:
            wanted = {"grant_type": "refresh_token", "client_id": "id", "client_secret": "se", "refresh_token": "1//r"}
            assert asked.fields == wanted
            return Answered(200, {"access_token": google.access_token, "expires_in": 3599})

        with Endpoint({"/token": answer}) as endpoint:
            path = tmp_path / "application_default_credentials.json"
            user = {"type": "authorized_user", "client_id": "id", "client_secret": "se", "refresh_token": "1//r"}
            path.write_text(json.dumps({**user, "token_uri": f"{endpoint.url}/token"}))
            self.lets_in(google, {"CLOUDSDK_CONFIG": str(tmp_path)})

    @pytest.mark.parametrize(
        ("form", "content"),
        [({}, "subject.jwt\n"), ({"type": "json", "subject_token_field_name": "t"}, '{"t": "subject.jwt"}')],
    )
    def test_a_workload_identity_file_is_exchanged_and_impersonates(
        self, google: GoogleTokens, tmp_path: Path, form: dict[str, str], content: str
    ) -> None:
        (tmp_path / "token").write_text(content)
        impersonate = "/v1/projects/-/serviceAccounts/pusher@p.iam.gserviceaccount.com:generateAccessToken"

        def exchange(asked: Asked) -> Answered:
            assert asked.fields == {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "audience": "//iam.googleapis.com/projects/1/pools/p/providers/x",
                "scope": "https://www.googleapis.com/auth/cloud-platform",
                "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "subject_token": "subject.jwt",
            }
            return Answered(200, {"access_token": "federated-token", "expires_in": 3600})

        def generate(asked: Asked) -> Answered:
            assert asked.headers["authorization"] == "Bearer federated-token"
            assert json.loads(asked.body) == {
                "scope": ["https://www.googleapis.com/auth/cloud-platform"],
                "lifetime": "3600s",
            }
            return Answered(200, {"accessToken": google.access_token, "expireTime": "2023-11-14T23:13:20Z"})

        with Endpoint({"/v1/token": exchange, impersonate: generate}) as endpoint:
            value = {
                "type": "external_account",
                "audience": "//iam.googleapis.com/projects/1/pools/p/providers/x",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": f"{endpoint.url}/v1/token",
                "credential_source": {"file": str(tmp_path / "token"), "format": form},
                "service_account_impersonation_url": endpoint.url + impersonate,
            }
            self.lets_in(google, {}, GoogleIdentity(Secret(json.dumps(value))))
            assert endpoint.paths() == ["/v1/token", impersonate]


class TestAzure:
    registry = AzureRegistry(ACR, "entra-token")

    def enter(self, identity: AzureIdentity, env: Mapping[str, str]) -> list[str]:
        with Endpoint(self.registry.answers()) as endpoint:
            knock = Knock(env=env)
            with contextlib.closing(knock.clients):
                knock(ACR, endpoint.address, identity)
            return endpoint.paths()

    def entra(self, wanted: Mapping[str, str], tokens: Mapping[str, str] | None = None) -> Endpoint:
        def answer(asked: Asked) -> Answered:
            fields = dict(asked.fields)
            audience = fields.pop("scope").removesuffix("/.default")
            if asked.method != "POST" or fields != wanted:
                return Answered(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client"})
            token = (tokens or {"https://management.azure.com": "entra-token"}).get(audience, "another-token")
            return Answered(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token})

        return Endpoint({"/tenant/oauth2/v2.0/token": answer})

    def test_a_service_principal_with_a_tenant_is_exchanged(self) -> None:
        wanted = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "se+cret"}
        with self.entra(wanted) as entra:
            identity = AzureIdentity("tenant", "app", Secret("se+cret"))
            assert self.enter(identity, {"AZURE_AUTHORITY_HOST": entra.url}) == WAY

    def test_a_registry_closed_to_the_resource_managers_tokens_gets_one_of_its_own(self) -> None:
        wanted = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "se+cret"}
        with self.entra(wanted, {"https://containerregistry.azure.net": "entra-token"}) as entra:
            identity = AzureIdentity("tenant", "app", Secret("se+cret"))
            paths = self.enter(identity, {"AZURE_AUTHORITY_HOST": entra.url})
        assert paths == ["/v2/", "/oauth2/exchange", "/oauth2/exchange", "/oauth2/token", "/v2/"]

    def test_a_federated_token_file_proves_the_client(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("federated.jwt\n")
        wanted = {
            "grant_type": "client_credentials",
            "client_id": "app",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": "federated.jwt",
        }
        with self.entra(wanted) as entra:
            env = {
                "AZURE_AUTHORITY_HOST": f"{entra.url}/",
                "AZURE_TENANT_ID": "tenant",
                "AZURE_CLIENT_ID": "app",
                "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
            }
            assert self.enter(AzureIdentity(), env) == WAY

    def test_an_app_services_managed_identity_is_asked_with_its_header(self) -> None:
        def answer(asked: Asked) -> Answered:
            assert asked.headers["x-identity-header"] == "header-secret"
            wanted = {"api-version": "2019-08-01", "resource": "https://management.azure.com", "client_id": "app"}
            assert asked.fields == wanted
            return Answered(200, {"access_token": "entra-token", "expires_on": "1586984735", "resource": "x"})

        with Endpoint({"/msi/token": answer}) as endpoint:
            env = {"IDENTITY_ENDPOINT": f"{endpoint.url}/msi/token", "IDENTITY_HEADER": "header-secret"}
            assert self.enter(AzureIdentity(client_id="app"), env) == WAY

    def test_a_refused_client_is_told_why_and_no_secret(self) -> None:
        with self.entra({}) as entra, pytest.raises(CredentialsError, match="AADSTS7000215") as caught:
            self.enter(AzureIdentity("tenant", "app", Secret("se+cret")), {"AZURE_AUTHORITY_HOST": entra.url})
        assert "se+cret" not in str(caught.value)

    def test_a_service_principal_without_a_tenant_is_user_and_password(self) -> None:
        options = SandboxOptions(auth="bearer", username="app", password=Secret("se+cret"))
        knock = Knock()
        with Sandbox(options=options) as sandbox, contextlib.closing(knock.clients):
            knock(ACR, sandbox.address, AzureIdentity(client_id="app", client_secret=Secret("se+cret")))
            assert [token.account for token in sandbox.traffic.tokens] == ["app"]

    def test_a_given_login_is_used_as_it_is(self) -> None:
        options = SandboxOptions(auth="basic", username="admin", password=Secret("pw"))
        knock = Knock()
        with Sandbox(options=options) as sandbox, contextlib.closing(knock.clients):
            endpoint = RegistryEndpoint(
                ACR, Credential("admin", Secret("pw")), TlsConfig(plain_http=True), "", sandbox.address
            )
            knock.clients.session(endpoint).run(knock.context, ping(ACR))
