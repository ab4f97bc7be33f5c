"""Logins that run out: made once, renewed in time, given back when a registry calls them expired."""

from __future__ import annotations

import threading

import pytest

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.protocol.call import Call, Flow, Reply
from oci_push.protocol.tokens import BearerToken, basic
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.secret import Secret
from oci_push.transport.auth import Authenticator
from oci_push.transport.credentials import FixedCredential, Lease, RefreshingCredential

ORIGIN = ("https", "registry.test", 443)
CALL = Call("PUT", "/v2/app/manifests/1", scopes=("repository:app:pull,push",))
BASIC = Reply(401, {"www-authenticate": 'Basic realm="x"'}, "https://registry.test/v2/")
BEARER = Reply(401, {"www-authenticate": 'Bearer realm="https://auth.test/token"'}, "https://registry.test/v2/")
DENIED = Reply(403, {}, "https://registry.test/v2/", b'{"errors":[{"code":"DENIED","message":"no rights"}]}')
EXPIRED = Reply(
    403,
    {},
    "https://registry.test/v2/",
    b'{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate"}]}',
)


class Maker:
    """Make numbered logins that live `life_s`."""

    def __init__(self, life_s: float | None = None) -> None:
        self.made = 0
        self.life_s = life_s

    def __call__(self, context: Context) -> Lease:
        self.made += 1
        return Lease(Credential("AWS", Secret(f"token-{self.made}")), self.life_s)


def _password(credential: Credential | None) -> str:
    assert credential is not None
    assert credential.password is not None
    return credential.password.reveal()


def _no_tokens(context: Context, flow: Flow[BearerToken]) -> BearerToken:
    raise AssertionError("no token server is asked")


@pytest.mark.parametrize(
    ("life_s", "kept_s", "renewed_s"), [(43200.0, 43200 - 1801, 43200 - 1799), (3600.0, 3239, 3241)]
)
def test_a_login_is_renewed_shortly_before_its_end(life_s: float, kept_s: float, renewed_s: float) -> None:
    clock = FakeClock()
    context, start, make = Context(clock), clock.time, Maker(life_s)
    credentials = RefreshingCredential(clock, make)
    assert _password(credentials.credential(context)) == "token-1"
    clock.time = start + kept_s
    assert _password(credentials.credential(context)) == "token-1"
    clock.time = start + renewed_s
    assert _password(credentials.credential(context)) == "token-2"


def test_a_login_of_unknown_life_is_kept_until_it_is_refused() -> None:
    clock, make = FakeClock(), Maker(None)
    context, credentials = Context(clock), RefreshingCredential(clock, make)
    first = credentials.credential(context)
    clock.time += 1e6
    assert credentials.credential(context) is first
    assert credentials.refused(first)
    assert _password(credentials.credential(context)) == "token-2"


def test_giving_back_an_old_login_keeps_the_new_one() -> None:
    clock, make = FakeClock(), Maker()
    context, credentials = Context(clock), RefreshingCredential(clock, make)
    first = credentials.credential(context)
    credentials.refused(first)
    second = credentials.credential(context)
    assert credentials.refused(first)
    assert credentials.credential(context) is second


def test_many_threads_make_one_login() -> None:
    clock, all_wait = FakeClock(), threading.Barrier(8)
    make = Maker()
    credentials = RefreshingCredential(clock, make)

    def ask(context: Context) -> Credential:
        all_wait.wait()
        return credentials.credential(context)

    outcomes = run_all(Context(clock), [ask] * 8, limit=8)
    assert len({id(outcome.get()) for outcome in outcomes}) == 1
    assert make.made == 1


def test_one_callers_failure_is_not_the_next_ones() -> None:
    clock = FakeClock()
    tries: list[int] = []

    def make(context: Context) -> Lease:
        tries.append(1)
        if len(tries) == 1:
            raise CredentialsError("not now")
        return Lease(Credential("AWS", Secret("x")))

    credentials = RefreshingCredential(clock, make)
    with pytest.raises(CredentialsError):
        credentials.credential(Context(clock))
    assert _password(credentials.credential(Context(clock))) == "x"


def _authenticator(credentials: RefreshingCredential | FixedCredential, clock: FakeClock) -> Authenticator:
    return Authenticator(RegistryEndpoint("registry.test"), credentials, ORIGIN, clock, _no_tokens)


def test_nobody_is_asked_before_the_registry_wants_a_login() -> None:
    clock, make = FakeClock(), Maker()
    auth = _authenticator(RefreshingCredential(clock, make), clock)
    assert auth.header(Context(clock), CALL) is None
    assert make.made == 0
    assert auth.learn(Context(clock), CALL, BASIC, None)
    assert auth.header(Context(clock), CALL) == basic(Credential("AWS", Secret("token-1")))


def _with_a_header(auth: Authenticator, context: Context) -> str:
    auth.learn(context, CALL, BASIC, None)
    header = auth.header(context, CALL)
    assert header is not None
    return header


def test_a_login_that_worked_and_gets_401_is_renewed_and_the_new_one_is_not() -> None:
    clock, make = FakeClock(), Maker()
    context, auth = Context(clock), _authenticator(RefreshingCredential(clock, make), clock)
    first = _with_a_header(auth, context)
    auth.accepted(first)
    assert auth.learn(context, CALL, BASIC, first)
    second = auth.header(context, CALL)
    assert second == basic(Credential("AWS", Secret("token-2")))
    assert not auth.learn(context, CALL, BASIC, second)
    assert make.made == 2


def test_a_login_that_never_worked_is_not_renewed_at_401() -> None:
    clock, make = FakeClock(), Maker()
    context, auth = Context(clock), _authenticator(RefreshingCredential(clock, make), clock)
    assert not auth.learn(context, CALL, BASIC, _with_a_header(auth, context))
    assert make.made == 1


@pytest.mark.parametrize(("reply", "again"), [(EXPIRED, True), (DENIED, False)])
def test_a_403_renews_only_when_it_speaks_of_expiry(reply: Reply, again: bool) -> None:
    clock, make = FakeClock(), Maker()
    context, auth = Context(clock), _authenticator(RefreshingCredential(clock, make), clock)
    header = _with_a_header(auth, context)
    auth.accepted(header)
    assert auth.learn(context, CALL, reply, header) is again


def test_a_403_to_head_cannot_say_why_so_it_renews_once() -> None:
    clock, make = FakeClock(), Maker()
    context, auth = Context(clock), _authenticator(RefreshingCredential(clock, make), clock)
    ask = Call("HEAD", "/v2/app/manifests/1", scopes=CALL.scopes)
    header = _with_a_header(auth, context)
    auth.accepted(header)
    assert auth.learn(context, ask, Reply(403, {}, "https://registry.test/v2/"), header)
    assert not auth.learn(context, ask, Reply(403, {}, "https://registry.test/v2/"), auth.header(context, ask))
    assert make.made == 2


def test_a_fixed_login_has_no_successor() -> None:
    clock = FakeClock()
    context, auth = Context(clock), _authenticator(FixedCredential(Credential("u", Secret("p"))), clock)
    header = _with_a_header(auth, context)
    auth.accepted(header)
    assert not auth.learn(context, CALL, EXPIRED, header)


def test_a_call_sent_with_an_old_login_is_sent_again_with_the_one_in_use() -> None:
    clock, make = FakeClock(), Maker()
    context, auth = Context(clock), _authenticator(RefreshingCredential(clock, make), clock)
    first = _with_a_header(auth, context)
    auth.accepted(first)
    auth.learn(context, CALL, BASIC, first)
    auth.header(context, CALL)
    assert auth.learn(context, CALL, BASIC, first)
    assert make.made == 2


def test_a_token_server_that_refuses_a_login_which_worked_gets_a_new_one_once() -> None:
    clock, make, asked = FakeClock(), Maker(), list[str]()

    def run(context: Context, flow: Flow[BearerToken]) -> BearerToken:
        asked.append(next(flow).headers["Authorization"])
        flow.close()
        if len(asked) == 2:
            raise CredentialsError("refused")
        return BearerToken(Secret(f"bearer-{len(asked)}"), CALL.scopes, clock.monotonic() + 60)

    auth = Authenticator(RegistryEndpoint("registry.test"), RefreshingCredential(clock, make), ORIGIN, clock, run)
    context = Context(clock)
    auth.learn(context, CALL, BEARER, None)
    assert auth.header(context, CALL) == "Bearer bearer-1"
    clock.time += 60
    assert auth.header(context, CALL) == "Bearer bearer-3"
    assert asked == [basic(Credential("AWS", Secret(f"token-{n}"))) for n in (1, 1, 2)]
