"""What is said of the requests to a registry: what they carry and to whom, how many, how large, and where they go."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from certificates import Authority
from equipment.faults import Answer, Fault, Redirect, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout, make_raw_layout, noise
from internet import Internet
from program import program, until
from pushing import LOGIN, Pushing, is_whole
from rawserver import RawServer
from wayproxy import WayProxy

from oci_push.errors import OciPushError, ProtocolViolationError
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.reference import Destination
from oci_push.model.traffic import MountRule, Traffic
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.secret import Secret

UPLOADS = "/blobs/uploads/"
TOKEN = "hidden-front-door"
MINE = Traffic(headers=(("X-Front-Door", Secret(TOKEN)),), user_agent="builder/7")


@pytest.fixture
def registry() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def described(sandbox: Sandbox, traffic: Traffic) -> Mapping[str, RegistryEndpoint]:
    return {sandbox.address: RegistryEndpoint(sandbox.address, traffic=traffic)}


def carried(sandbox: Sandbox) -> set[str | None]:
    """Give what requests had in our own header."""
    return {one.headers.get("x-front-door") for one in sandbox.traffic.requests}


class TestHeaders:
    """Our own headers go to the registry's origin with every request, and nowhere else."""

    def test_every_request_to_the_registry_has_them(self, image: Layout) -> None:
        with Sandbox(options=SandboxOptions(auth="bearer")) as registry:
            endpoints = {registry.address: RegistryEndpoint(registry.address, LOGIN, traffic=MINE)}
            (result,) = Pushing(endpoints=endpoints).push(image, f"{registry.address}/a:1")
            assert result.error is None
            assert carried(registry) == {TOKEN}  # its own token server is behind the same door
            assert registry.traffic.count(path_pattern="^/token") > 0
            assert {one.headers["user-agent"] for one in registry.traffic.requests} == {"builder/7"}

    @pytest.mark.parametrize("status", [307, 303])
    def test_a_place_that_uploads_are_sent_to_gets_none(self, status: int, image: Layout, registry: Sandbox) -> None:
        with Sandbox() as storage:
            registry.faults.add(Fault("POST", UPLOADS, times=0, action=Redirect(status, f"{storage.url}{{path}}")))
            Pushing(endpoints=described(registry, MINE), at_once=1).push(image, f"{registry.address}/a:1")
            assert carried(registry) == {TOKEN}
            assert carried(storage) == {None}

    def test_a_location_elsewhere_gets_none(self, image: Layout, registry: Sandbox) -> None:
        with Sandbox() as storage:
            there = Answer(202, {"Location": f"{storage.url}/v2/a/blobs/uploads/x"})
            registry.faults.add(Fault("POST", UPLOADS, times=0, action=there))
            Pushing(endpoints=described(registry, MINE), at_once=1).push(image, f"{registry.address}/a:1")
            assert storage.traffic.count() > 0
            assert carried(storage) == {None}

    def test_a_token_server_elsewhere_gets_none(self, image: Layout, registry: Sandbox) -> None:
        def answer(head: bytes, connection: object) -> None:
            body = b'{"token":"theirs"}'
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))  # type: ignore[attr-defined]

        with RawServer(answer) as tokens:
            challenge = f'Bearer realm="http://{tokens.host}/token",service="s"'
            asking = Answer(401, {"WWW-Authenticate": challenge})
            registry.faults.add(Fault("HEAD", "/manifests/", times=1, action=asking))
            registry.faults.add(Fault("POST", UPLOADS, times=1, action=asking))
            endpoints = {registry.address: RegistryEndpoint(registry.address, LOGIN, traffic=MINE)}
            Pushing(endpoints=endpoints, at_once=1).push(image, f"{registry.address}/a:1")
            assert tokens.heads
            assert not [head for head in tokens.heads if b"front-door" in head.lower()]
        assert carried(registry) == {TOKEN}

    def test_the_header_of_one_registry_does_not_go_to_the_source(self, image: Layout, registry: Sandbox) -> None:
        with Sandbox() as target:
            Pushing().push(image, f"{registry.address}/a:1")
            registry.traffic.clear()
            pushing = Pushing(endpoints=described(target, MINE))
            pushing.push(f"docker://{registry.address}/a:1", f"{target.address}/a:1")
            assert (carried(registry), carried(target)) == ({None}, {TOKEN})

    def test_the_option_is_for_the_only_registry_or_the_one_it_names(self, image: Layout, registry: Sandbox) -> None:
        folder = image.path.parent
        with Sandbox() as other:
            places = (f"{registry.address}/a:1", f"{other.address}/a:1")
            done = program("push", "oci:image", *places, "-H", f"X-Front-Door: {TOKEN}", cwd=folder, code=2)
            assert "write X-Front-Door@HOST: VALUE" in done.stderr
            assert TOKEN not in done.stderr
            assert registry.traffic.count() + other.traffic.count() == 0
            header = f"X-Front-Door@{registry.address}: {TOKEN}"
            program("push", "oci:image", *places, "--header", header, "--debug", cwd=folder)
            assert (carried(registry), carried(other)) == ({TOKEN}, {None})
        registry.traffic.clear()
        (folder / "headers").write_text(f"# of the front door\nX-Front-Door: {TOKEN}\n")
        program("inspect", places[0], "--header", "@headers", cwd=folder)
        assert carried(registry) == {TOKEN}

    def test_a_run_has_them_too(self, image: Layout, registry: Sandbox) -> None:
        step = f"{{type: push, candidate: 'oci:image', image_name: app, registry: '{registry.address}', tag: x}}"
        (image.path.parent / "p.yml").write_text(f"version: '1.0'\nsteps:\n  p: {step}\n")
        words = ("run", "p.yml", "-H", f"X-Front-Door: {TOKEN}", "--debug")
        done = program(*words, cwd=image.path.parent)
        assert carried(registry) == {TOKEN}
        assert TOKEN not in done.stdout + done.stderr

    @pytest.mark.parametrize("line", ["X-A: a\nHost: b", "Authorization: Bearer hidden", "Host: other", "nonsense"])
    def test_what_cannot_be_sent_is_refused_before_anything_is(
        self, line: str, image: Layout, registry: Sandbox
    ) -> None:
        place = f"{registry.address}/a:1"
        done = program("push", "oci:image", place, "-H", line, cwd=image.path.parent, code=2)
        assert done.stderr.startswith("error: --header: ")
        assert "hidden" not in done.stderr
        assert registry.traffic.count() == 0


class TestPace:
    """So many requests a second, and no more, by whatever thread."""

    def test_requests_to_one_registry_are_spread_out(self, image: Layout, registry: Sandbox) -> None:
        clock = FakeClock()
        began = clock.monotonic()
        pushing = Pushing(clock=clock, endpoints=described(registry, Traffic(requests_per_s=2.0)))
        pushing.push(image, f"{registry.address}/a:1")
        count = registry.traffic.count()
        assert count > 4
        assert clock.monotonic() - began >= (count - 1) // 2

    def test_a_token_server_elsewhere_and_other_registries_do_not_count(self, image: Layout, registry: Sandbox) -> None:
        clock = FakeClock()
        with Sandbox() as other:
            pushing = Pushing(clock=clock, endpoints=described(other, Traffic(requests_per_s=0.01)))
            pushing.push(image, f"{registry.address}/a:1")
            assert clock.waits == []


def test_a_small_image_does_not_wait_for_large_ones_that_hold_every_place(tmp_path: Path, registry: Sandbox) -> None:
    large = make_raw_layout(tmp_path / "large", *[noise(200_000, number) for number in range(4)])
    small = make_raw_layout(tmp_path / "small", noise(2000, 9))
    registry.faults.add(Fault("PUT", "/v2/large/blobs/", times=0, action=Stall(60, after=100_000)))
    context = Context(SystemClock())
    ended: list[str] = []

    def push(image: Layout, name: str, context: Context) -> None:
        with pusher.open(f"oci:{image.path}", context) as source:
            pusher.push(source, pusher.targets([Destination.parse(f"{registry.address}/{name}:1")]), context)
        ended.append(name)

    def push_large() -> None:
        with suppress(OciPushError):
            push(large, "large", context)

    def under_way() -> int:
        return len([one for one in registry.traffic.select(method="PUT", path_pattern="^/v2/large/") if not one.done])

    with Pushing(spare=1).pusher() as pusher:
        working = threading.Thread(target=push_large)
        working.start()
        until(lambda: under_way() == 4)
        push(small, "small", Context(SystemClock(), deadline=SystemClock().monotonic() + 30))
        context.cancel()
        working.join()
    assert ended[0] == "small"


class TestChunks:
    """No request carries more of a blob than was asked for, unless the registry demands more."""

    @pytest.fixture
    def large(self, tmp_path: Path) -> Layout:
        return make_layout(tmp_path / "large", noise(300_000))

    def test_a_blob_goes_in_chunks_of_that_size(self, large: Layout, registry: Sandbox) -> None:
        words = ("push", "oci:large", f"{registry.address}/a:1", "--chunk-size", "64k")
        program(*words, cwd=large.path.parent)
        assert is_whole(registry, "a", "1", large)
        sent = [one.received_bytes for one in registry.traffic.select(path_pattern=UPLOADS)]
        assert max(sent) == 64 * 1024
        assert sent.count(64 * 1024) == 300_000 // (64 * 1024)

    def test_a_registry_that_wants_larger_ones_gets_them(self, large: Layout) -> None:
        with Sandbox(options=SandboxOptions(chunk_min=100_000)) as registry:
            pushing = Pushing(endpoints=described(registry, Traffic(chunk_bytes=64 * 1024)))
            pushing.push(large, f"{registry.address}/a:1")
            assert is_whole(registry, "a", "1", large)
            sent = [one.received_bytes for one in registry.traffic.select(method="PATCH")]
            assert set(sent) == {100_000}

    def test_one_that_wants_smaller_ones_gets_those(self, large: Layout) -> None:
        with Sandbox(options=SandboxOptions(chunk_max=70_000)) as registry:
            pushing = Pushing(endpoints=described(registry, Traffic(chunk_bytes=200_000)))
            pushing.push(large, f"{registry.address}/a:1")
            assert is_whole(registry, "a", "1", large)
            assert max(one.received_bytes for one in registry.traffic.select(path_pattern=UPLOADS)) == 70_000


class TestMounts:
    """Blobs are mounted from where they may be, and no right to read anything else is asked for."""

    @pytest.mark.parametrize(
        ("rule", "mounted"),
        [
            (None, True),
            (MountRule(), False),
            (MountRule(in_namespace=True), False),
            (MountRule(listed=("other/base",)), True),
            (MountRule(listed=("other/b",)), False),
        ],
    )
    def test_a_repository_of_another_namespace(
        self, rule: MountRule | None, mounted: bool, image: Layout, tmp_path: Path
    ) -> None:
        with Sandbox(options=SandboxOptions(auth="bearer", anonymous_mount=True)) as registry:
            traffic = Traffic(mounts=rule)
            endpoints = {registry.address: RegistryEndpoint(registry.address, LOGIN, traffic=traffic)}
            pushing = Pushing(endpoints=endpoints, home=tmp_path, at_once=1)
            pushing.push(image, f"{registry.address}/other/base:1")
            (result,) = pushing.push(image, f"{registry.address}/team/app:1")
            assert result.error is None
            asked = registry.traffic.select(method="POST", path_pattern="^/v2/team/app/.*mount=")
            assert bool(asked) == mounted
            scopes = {scope for one in registry.traffic.tokens for scope in one.scopes}
            assert ("repository:other/base:pull" in scopes) == mounted

    def test_one_of_the_same_namespace_is_mounted_from(self, image: Layout, registry: Sandbox) -> None:
        places = (f"{registry.address}/team/base:1", f"{registry.address}/team/app:1")
        program("push", "oci:image", *places, "--mount", "namespace", cwd=image.path.parent)
        assert len(registry.traffic.select(method="POST", path_pattern="/team/app/.*from=team/base")) == len(
            image.blobs
        )

    def test_off_is_no_mount(self, image: Layout, registry: Sandbox) -> None:
        places = (f"{registry.address}/team/base:1", f"{registry.address}/team/app:1")
        program("push", "oci:image", *places, "--mount", "off", cwd=image.path.parent)
        assert registry.traffic.count(path_pattern="mount=") == 0
        done = program("push", "oci:image", *places, "--mount", "any", "--no-mount", cwd=image.path.parent, code=2)
        assert "--mount any has no effect with --no-mount" in done.stderr


class TestResolve:
    """Another place is connected to, and nothing else changes: who is meant, who must prove it, who may be reached."""

    def test_the_name_stays_in_the_request_and_in_what_the_certificate_must_prove(
        self, image: Layout, tmp_path: Path
    ) -> None:
        authority = Authority(tmp_path / "ca")
        options = SandboxOptions(ssl_context=authority.issue("r", hosts=("registry.example",)).server_context())
        with Sandbox(options=options) as registry:
            port = registry.address.rpartition(":")[2]
            place = f"registry.example:{port}"
            words = ("--resolve", f"{place}:127.0.0.1", "--ca-file", str(authority.path))
            program("push", "oci:image", f"{place}/a:1", *words, cwd=tmp_path)
            assert is_whole(registry, "a", "1", image)
            assert {one.headers["host"] for one in registry.traffic.requests} == {place}
            registry.traffic.clear()
            words = ("--resolve", f"other.example:{port}:127.0.0.1", "--ca-file", str(authority.path), "--retries=0")
            done = program("push", "oci:image", f"other.example:{port}/a:1", *words, cwd=tmp_path, code=6)
            assert "certificate" in done.stderr
            assert registry.traffic.count() == 0

    @pytest.mark.parametrize(("place", "is_reached"), [("10.1.2.3", False), ("8.8.4.4", True)])
    def test_a_pinned_address_of_a_place_that_a_server_named_is_judged(
        self, place: str, is_reached: bool, image: Layout, registry: Sandbox
    ) -> None:
        with Sandbox() as storage:
            network = Internet({}, {"8.8.8.8": registry.address, "8.8.4.4": storage.address})
            there = Redirect(307, "http://storage.example{path}")
            registry.faults.add(Fault("POST", UPLOADS, times=0, action=there))
            endpoints = {"registry.example": RegistryEndpoint("registry.example", tls=TlsConfig(plain_http=True))}
            pinned = {("registry.example", 80): ("8.8.8.8",), ("storage.example", 80): (place,)}
            pushing = Pushing(endpoints=endpoints, network=network, pinned=pinned, at_once=1)
            (result,) = pushing.push(image, "registry.example/a:1")
            assert network.resolved == []
            assert (storage.traffic.count() > 0) == is_reached
            assert is_reached or isinstance(result.error, ProtocolViolationError)

    def test_what_is_given_goes_before_the_address_of_a_description(self, image: Layout, registry: Sandbox) -> None:
        endpoint = RegistryEndpoint("registry.example", tls=TlsConfig(plain_http=True), address="127.0.0.1:9")
        network = Internet({}, {"8.8.8.8": registry.address})
        pinned = {("registry.example", 80): ("8.8.8.8",)}
        pushing = Pushing(endpoints={"registry.example": endpoint}, network=network, pinned=pinned)
        (result,) = pushing.push(image, "registry.example/a:1")
        assert result.error is None
        assert set(network.connected) == {"8.8.8.8"}

    @pytest.mark.parametrize(
        ("proxy_is", "asked"),
        [("http://proxy:3128", "8.8.4.4:443"), ("socks5h://proxy:1080", "8.8.4.4"), ("socks5://proxy:1080", "8.8.4.4")],
    )
    def test_a_tunnel_leads_to_the_address_and_the_certificate_is_the_hosts(
        self, proxy_is: str, asked: str, image: Layout, tmp_path: Path
    ) -> None:
        authority = Authority(tmp_path / "ca")
        options = SandboxOptions(ssl_context=authority.issue("r", hosts=("registry.example",)).server_context())
        with Sandbox(options=options) as registry, WayProxy(registry.address) as proxy:
            network = Internet({"proxy": "10.0.0.1"}, {"10.0.0.1": proxy.host})
            tls = TlsConfig(ca_file=str(authority.path))
            endpoints = {"registry.example": RegistryEndpoint("registry.example", tls=tls, traffic=MINE)}
            pinned = {("registry.example", 443): ("8.8.4.4",)}
            pushing = Pushing(endpoints=endpoints, env={"https_proxy": proxy_is}, network=network, pinned=pinned)
            (result,) = pushing.push(image, "registry.example/a:1")
            assert result.error is None
            assert set(proxy.asked) == {asked}
            assert not [head for head in proxy.heads if TOKEN.encode() in head]
            assert carried(registry) == {TOKEN}

    def test_http_through_a_proxy_is_refused_as_the_proxy_resolves(self, image: Layout, registry: Sandbox) -> None:
        words = ("push", "oci:image", "registry.example:80/a:1", "--plain-http", "--resolve")
        env = {"http_proxy": f"http://{registry.address}"}
        done = program(*words, "registry.example:80:127.0.0.1", cwd=image.path.parent, code=2, **env)
        assert "--resolve has no effect on http that goes through a proxy" in done.stderr
        assert "NO_PROXY=registry.example" in done.stderr
        assert registry.traffic.count() == 0


class TestDescribed:
    """Each setting is a key of a registry in oci-push.yaml, and an option goes before it."""

    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[[dict[str, object]], None]:
        def write(registry: dict[str, object]) -> None:
            (tmp_path / "oci-push.yaml").write_text(json.dumps({"registries": [{"name": "inner", **registry}]}))

        return write

    def test_they_apply_to_every_command(
        self, write: Callable[[dict[str, object]], None], tmp_path: Path, registry: Sandbox
    ) -> None:
        image = make_layout(tmp_path / "image", noise(200_000))
        headers = {"X-Front-Door": "${DOOR}"}
        settings = {"user_agent": "builder/7", "chunk_size": "64k", "requestsPerSecond": 1000, "headers": headers}
        write({"domain": registry.address, **settings})
        place, trusted = f"{registry.address}/a:1", ("--config", "oci-push.yaml")
        program("push", "oci:image", place, *trusted, cwd=tmp_path, DOOR=TOKEN)
        assert is_whole(registry, "a", "1", image)
        assert max(one.received_bytes for one in registry.traffic.select(path_pattern=UPLOADS)) == 64 * 1024
        repository = f"{registry.address}/a"
        for words in (
            *(("inspect", place), ("exists", place), ("tag", place, "2"), ("tags", repository)),
            *(
                ("pull", place, "oci:saved"),
                ("copy", "oci:image", f"{repository}:3"),
                ("copy", place, f"{repository}:4"),
            ),
        ):
            program(*words, *trusted, cwd=tmp_path, DOOR=TOKEN)
        assert carried(registry) == {TOKEN}
        assert {one.headers["user-agent"] for one in registry.traffic.requests} == {"builder/7"}
        registry.traffic.clear()
        given = ("--user-agent", "me/1", "-H", "x-front-door: other-door", "-u", "me", "--password-stdin")
        program("inspect", place, *trusted, *given, cwd=tmp_path, stdin="a-password", DOOR=TOKEN)
        assert carried(registry) == {"other-door"}
        assert {one.headers["user-agent"] for one in registry.traffic.requests} == {"me/1"}

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("requests_per_second", "many", '"requests_per_second" must be a number'),
            ("requests_per_second", 0, "'0' is no number of requests a second"),
            ("chunk_size", "1k", "'1k' is no size of a chunk"),
            ("mount", "Team", "'Team' is no repository"),
            ("user_agent", "a\nb", '"user_agent": is empty, or holds what no header can carry'),
            ("headers", {"Authorization": "hidden"}, '"headers": Authorization is made of the login'),
            ("headers", {"X-A": "1", "x-a": "2"}, '"headers": x-a is given twice'),
            ("headers", ["X-A: 1"], "map names of headers to values"),
        ],
    )
    def test_a_mistake_is_told_with_its_place(
        self, key: str, value: object, message: str, write: Callable[[dict[str, object]], None], tmp_path: Path
    ) -> None:
        write({"domain": "reg.example", key: value})
        make_layout(tmp_path / "image", layer(1))
        done = program(
            "push", "oci:image", "reg.example/a:1", "--config", "oci-push.yaml", "--plan", cwd=tmp_path, code=2
        )
        assert "oci-push.yaml:1:" in done.stderr
        assert message in done.stderr
        assert "hidden" not in done.stderr

    def test_a_secret_with_a_line_end_is_refused_when_it_is_used(
        self, write: Callable[[dict[str, object]], None], image: Layout, tmp_path: Path, registry: Sandbox
    ) -> None:
        write({"domain": registry.address, "headers": {"X-Front-Door": "${DOOR}"}})
        words = ("push", "oci:image", f"{registry.address}/a:1", "--config", "oci-push.yaml")
        done = program(*words, cwd=tmp_path, code=2, DOOR=f"{TOKEN}\r\nHost: other")
        assert "registry 'inner': headers: the value of X-Front-Door" in done.stderr
        assert TOKEN not in done.stderr
        assert registry.traffic.count() == 0


class TestFound:
    """A file that was found, not named, may be a stranger's."""

    @pytest.fixture
    def asking(self) -> Iterator[Sandbox]:
        with Sandbox(options=SandboxOptions(auth="basic")) as sandbox:
            yield sandbox

    def write(self, folder: Path, registry: Sandbox, value: str, name: str = "X-Front-Door") -> None:
        headers = {name: value}
        entry = {"name": "inner", "domain": registry.address, "headers": headers}
        (folder / "oci-push.yaml").write_text(json.dumps({"registries": [entry]}))
        (folder / "home" / ".docker").mkdir(parents=True, exist_ok=True)
        auths = {"auths": {registry.address: {"auth": "c2FuZGJveDpzYW5kYm94"}}}
        (folder / "home" / ".docker" / "config.json").write_text(json.dumps(auths))

    def test_a_header_with_a_variable_that_is_not_allowed_keeps_it_from_being_used(
        self, asking: Sandbox, image: Layout
    ) -> None:
        folder = image.path.parent
        self.write(folder, asking, "${DOOR}")
        done = program("push", "oci:image", f"{asking.address}/a:1", cwd=folder, DOOR=TOKEN, code=None)
        assert "environment variable DOOR is not allowed here" in done.stderr
        assert TOKEN not in {value for one in asking.traffic.requests for value in one.headers.values()}

    def test_one_that_is_allowed_for_this_registry_goes_there_with_the_users_login(
        self, asking: Sandbox, image: Layout
    ) -> None:
        folder = image.path.parent
        self.write(folder, asking, "${DOOR}")
        allowed = ("--allow-env", f"DOOR@{asking.address}")
        program("push", "oci:image", f"{asking.address}/a:1", *allowed, cwd=folder, DOOR=TOKEN)
        assert carried(asking) == {TOKEN}

    @pytest.mark.parametrize("way", ["push", "run"])
    def test_what_the_user_typed_does_not_go_where_the_file_leads(
        self, way: str, asking: Sandbox, image: Layout
    ) -> None:
        folder = image.path.parent
        entry = {"name": "inner", "domain": "registry.invalid", "address": asking.address, "plain_http": True}
        (folder / "oci-push.yaml").write_text(json.dumps({"registries": [entry]}))
        step = "{type: push, candidate: 'oci:image', image_name: app, registry: inner, tag: x}"
        (folder / "p.yml").write_text(f"version: '1.0'\nsteps:\n  p: {step}\n")
        words = ("push", "oci:image", "registry.invalid/a:1") if way == "push" else ("run", "p.yml")
        for given in (("-u", "sandbox", "--password-stdin"), ("-H", f"X-Front-Door@registry.invalid: {TOKEN}")):
            done = program(*words, *given, "--retries=0", cwd=folder, code=None, stdin="sandbox")
            assert done.returncode != 0
        assert carried(asking) <= {None}
        assert not [one for one in asking.traffic.requests if "authorization" in one.headers]

    def test_a_header_of_the_files_own_gets_no_login_of_the_users(self, asking: Sandbox, image: Layout) -> None:
        folder = image.path.parent
        self.write(folder, asking, "their-own-words")
        done = program("push", "oci:image", f"{asking.address}/a:1", cwd=folder, code=None)
        assert done.returncode != 0
        assert "gets no login from elsewhere" in done.stderr
        assert not [one for one in asking.traffic.requests if "authorization" in one.headers]


def test_a_host_that_a_step_names_is_reached_as_it_is_described(image: Layout, registry: Sandbox) -> None:
    folder = image.path.parent
    entry = {"name": "inner", "domain": "registry.example", "address": registry.address, "plain_http": True}
    (folder / "c.yaml").write_text(json.dumps({"registries": [{**entry, "user_agent": "builder/7"}]}))
    step = "{type: push, candidate: 'oci:image', image_name: app, registry: registry.example, tag: x}"
    (folder / "p.yml").write_text(f"version: '1.0'\nsteps:\n  p: {step}\n")
    program("run", "p.yml", "--config", "c.yaml", cwd=folder)
    assert is_whole(registry, "app", "x", image)
    assert {one.headers["user-agent"] for one in registry.traffic.requests} == {"builder/7"}


def test_a_host_that_is_looked_into_or_logged_in_to_is_reached_as_it_is_described(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(auth="basic")) as registry:
        entry = {"name": "inner", "domain": "registry.example", "address": registry.address, "plain_http": True}
        more = {"username": "sandbox", "password": "sandbox", "headers": {"X-Front-Door": TOKEN}}
        (tmp_path / "c.yaml").write_text(json.dumps({"registries": [{**entry, **more}]}))
        trusted = ("--config", "c.yaml")
        explained = program("auth", "explain", "registry.example/team/app", *trusted, cwd=tmp_path)
        assert "registry 'inner'" in explained.stdout
        program("doctor", "registry.example/team/app", *trusted, cwd=tmp_path)
        login = ("-u", "sandbox", "--password-stdin")
        program("login", "registry.example", *login, *trusted, cwd=tmp_path, stdin="sandbox")
        assert carried(registry) == {TOKEN}
        registry.traffic.clear()
        (tmp_path / "c.yaml").rename(tmp_path / "oci-push.yaml")
        done = program("login", "registry.example", *login, cwd=tmp_path, code=None, stdin="sandbox")
        assert done.returncode != 0
        assert registry.traffic.count() == 0
