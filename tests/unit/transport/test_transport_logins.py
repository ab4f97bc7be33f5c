"""Logins that run out: made once, renewed in time, given back when a registry calls them expired."""

from __future__ import annotations

import threading

import pytest

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Access, Login
from oci_push.protocol.call import Call, Flow, Reply
from oci_push.protocol.tokens import Token, basic
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Scope
from oci_push.runtime.tasks import run_all
from oci_push.secret import Secret
from oci_push.transport.auth import Authenticator
from oci_push.transport.credentials import FixedLogin, Lease, LeasedLogin

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

    def __call__(self, scope: Scope) -> Lease:
        self.made += 1
        return Lease(Login("AWS", Secret(f"token-{self.made}")), self.life_s)


def _password(login: Login | None) -> str:
    assert login is not None
    assert login.password is not None
    return login.password.reveal()


def _no_tokens(scope: Scope, flow: Flow[Token]) -> Token:
    raise AssertionError("no token server is asked")


@pytest.mark.parametrize(
    ("life_s", "kept_s", "renewed_s"), [(43200.0, 43200 - 1801, 43200 - 1799), (3600.0, 3239, 3241)]
)
def test_a_login_is_renewed_shortly_before_its_end(life_s: float, kept_s: float, renewed_s: float) -> None:
    clock = FakeClock()
    scope, start, make = Scope(clock), clock.time, Maker(life_s)
    logins = LeasedLogin(clock, make)
    assert _password(logins.login(scope)) == "token-1"
    clock.time = start + kept_s
    assert _password(logins.login(scope)) == "token-1"
    clock.time = start + renewed_s
    assert _password(logins.login(scope)) == "token-2"


def test_a_login_of_unknown_life_is_kept_until_it_is_refused() -> None:
    clock, make = FakeClock(), Maker(None)
    scope, logins = Scope(clock), LeasedLogin(clock, make)
    first = logins.login(scope)
    clock.time += 1e6
    assert logins.login(scope) is first
    assert logins.refused(first)
    assert _password(logins.login(scope)) == "token-2"


def test_giving_back_an_old_login_keeps_the_new_one() -> None:
    clock, make = FakeClock(), Maker()
    scope, logins = Scope(clock), LeasedLogin(clock, make)
    first = logins.login(scope)
    logins.refused(first)
    second = logins.login(scope)
    assert logins.refused(first)
    assert logins.login(scope) is second


def test_many_threads_make_one_login() -> None:
    clock, all_wait = FakeClock(), threading.Barrier(8)
    make = Maker()
    logins = LeasedLogin(clock, make)

    def ask(scope: Scope) -> Login:
        all_wait.wait()
        return logins.login(scope)

    outcomes = run_all(Scope(clock), [ask] * 8, limit=8)
    assert len({id(outcome.get()) for outcome in outcomes}) == 1
    assert make.made == 1


def test_one_callers_failure_is_not_the_next_ones() -> None:
    clock = FakeClock()
    tries: list[int] = []

    def make(scope: Scope) -> Lease:
        tries.append(1)
        if len(tries) == 1:
            raise CredentialsError("not now")
        return Lease(Login("AWS", Secret("x")))

    logins = LeasedLogin(clock, make)
    with pytest.raises(CredentialsError):
        logins.login(Scope(clock))
    assert _password(logins.login(Scope(clock))) == "x"


def _authenticator(logins: LeasedLogin | FixedLogin, clock: FakeClock) -> Authenticator:
    return Authenticator(Access("registry.test"), logins, ORIGIN, clock, _no_tokens)


def test_nobody_is_asked_before_the_registry_wants_a_login() -> None:
    clock, make = FakeClock(), Maker()
    auth = _authenticator(LeasedLogin(clock, make), clock)
    assert auth.header(Scope(clock), CALL) is None
    assert make.made == 0
    assert auth.learn(Scope(clock), CALL, BASIC, None)
    assert auth.header(Scope(clock), CALL) == basic(Login("AWS", Secret("token-1")))


def _with_a_header(auth: Authenticator, scope: Scope) -> str:
    auth.learn(scope, CALL, BASIC, None)
    header = auth.header(scope, CALL)
    assert header is not None
    return header


def test_a_login_that_worked_and_gets_401_is_renewed_and_the_new_one_is_not() -> None:
    clock, make = FakeClock(), Maker()
    scope, auth = Scope(clock), _authenticator(LeasedLogin(clock, make), clock)
    first = _with_a_header(auth, scope)
    auth.accepted(first)
    assert auth.learn(scope, CALL, BASIC, first)
    second = auth.header(scope, CALL)
    assert second == basic(Login("AWS", Secret("token-2")))
    assert not auth.learn(scope, CALL, BASIC, second)
    assert make.made == 2


def test_a_login_that_never_worked_is_not_renewed_at_401() -> None:
    clock, make = FakeClock(), Maker()
    scope, auth = Scope(clock), _authenticator(LeasedLogin(clock, make), clock)
    assert not auth.learn(scope, CALL, BASIC, _with_a_header(auth, scope))
    assert make.made == 1


@pytest.mark.parametrize(("reply", "again"), [(EXPIRED, True), (DENIED, False)])
def test_a_403_renews_only_when_it_speaks_of_expiry(reply: Reply, again: bool) -> None:
    clock, make = FakeClock(), Maker()
    scope, auth = Scope(clock), _authenticator(LeasedLogin(clock, make), clock)
    header = _with_a_header(auth, scope)
    auth.accepted(header)
    assert auth.learn(scope, CALL, reply, header) is again


def test_a_403_to_head_cannot_say_why_so_it_renews_once() -> None:
    clock, make = FakeClock(), Maker()
    scope, auth = Scope(clock), _authenticator(LeasedLogin(clock, make), clock)
    ask = Call("HEAD", "/v2/app/manifests/1", scopes=CALL.scopes)
    header = _with_a_header(auth, scope)
    auth.accepted(header)
    assert auth.learn(scope, ask, Reply(403, {}, "https://registry.test/v2/"), header)
    assert not auth.learn(scope, ask, Reply(403, {}, "https://registry.test/v2/"), auth.header(scope, ask))
    assert make.made == 2


def test_a_fixed_login_has_no_successor() -> None:
    clock = FakeClock()
    scope, auth = Scope(clock), _authenticator(FixedLogin(Login("u", Secret("p"))), clock)
    header = _with_a_header(auth, scope)
    auth.accepted(header)
    assert not auth.learn(scope, CALL, EXPIRED, header)


def test_a_call_sent_with_an_old_login_is_sent_again_with_the_one_in_use() -> None:
    clock, make = FakeClock(), Maker()
    scope, auth = Scope(clock), _authenticator(LeasedLogin(clock, make), clock)
    first = _with_a_header(auth, scope)
    auth.accepted(first)
    auth.learn(scope, CALL, BASIC, first)
    auth.header(scope, CALL)
    assert auth.learn(scope, CALL, BASIC, first)
    assert make.made == 2


def test_a_token_server_that_refuses_a_login_which_worked_gets_a_new_one_once() -> None:
    clock, make, asked = FakeClock(), Maker(), list[str]()

    def run(scope: Scope, flow: Flow[Token]) -> Token:
        asked.append(next(flow).headers["Authorization"])
        flow.close()
        if len(asked) == 2:
            raise CredentialsError("refused")
        return Token(Secret(f"bearer-{len(asked)}"), CALL.scopes, clock.monotonic() + 60)

    auth = Authenticator(Access("registry.test"), LeasedLogin(clock, make), ORIGIN, clock, run)
    scope = Scope(clock)
    auth.learn(scope, CALL, BEARER, None)
    assert auth.header(scope, CALL) == "Bearer bearer-1"
    clock.time += 60
    assert auth.header(scope, CALL) == "Bearer bearer-3"
    assert asked == [basic(Login("AWS", Secret(f"token-{n}"))) for n in (1, 1, 2)]
