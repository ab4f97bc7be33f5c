"""Files of images to be mirrored: what each form means, and what is said, and where, of what is wrong in one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
import yaml

from oci_push.errors import ConfigError
from oci_push.language.mirror import load_mirror, mirror_schema
from oci_push.model.digest import Digest
from oci_push.model.mirroring import MirrorFile, MirrorJob, MirrorSource, Pattern, filled
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository

DIGEST = str(Digest.of(b"x"))


def load(text: str, destination: str = "", *, scoped: bool = False, env: Mapping[str, str] | None = None) -> MirrorFile:
    def read(path: Path) -> str:
        return {"/run/token": "from the file\n"}[str(path)]

    return load_mirror(text, "m.yml", env or {}, read, destination, scoped=scoped)


def only(found: MirrorFile) -> MirrorJob:
    (job,) = found.jobs
    return job


def problems(text: str, destination: str = "", **env: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(text, destination, env=env)
    return [str(one) for one in raised.value.problems] or [str(raised.value)]


def notes(found: MirrorFile) -> list[str]:
    return [str(one) for one in found.notes]


OWN = """\
defaults: {to: "mirror.example.com/{path}", referrers: false}
images:
- from: [registry.example.com/team/*, "docker.io/alpine"]
  tags: ["1.*", latest]
  exclude: "*-rc*"
  versions: ">=1 <2"
  newest: 3
  platforms: [linux/amd64, linux/arm64]
  sparse: true
  backup: "{tag}-before"
- {from: "${HOST}/app:1.2", to: "other.example.com/app:stable"}
"""


def test_our_own_form_is_read_and_its_schema_takes_it() -> None:
    first, second = load(OWN, env={"HOST": "registry.example.com"}).jobs
    assert first.sources == (
        MirrorSource("registry.example.com", "team/*"),
        MirrorSource("docker.io", "library/alpine"),
    )
    assert first.targets == ("mirror.example.com/{path}:{tag}",)
    assert first.wanted(["1.2", "1.3-rc1", "latest", "2.0", "1.x"]) == ["1.2"]
    assert (first.newest, first.is_sparse, first.referrers, first.backup) == (3, True, False, "{tag}-before")
    assert first.platforms == (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))
    assert second.sources == (MirrorSource("registry.example.com", "app", ("1.2",)),)
    assert second.targets == ("other.example.com/app:stable",)
    jsonschema.validate(yaml.safe_load(OWN), mirror_schema())


def test_a_schema_knows_no_other_keys() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"images": [{"from": "a.io/b", "too": "c.io/d"}]}, mirror_schema())


@pytest.mark.parametrize(
    ("template", "reference", "target"),
    [
        ("m.io/{path}:{tag}", "1", "m.io/team/app:1"),
        ("m.io/x/{name}:{tag}", "1", "m.io/x/app:1"),
        ("m.io/{host}/{path}:{tag}-copy", "1", "m.io/r.example/team/app:1-copy"),
        ("m.io/y:stable", "1", "m.io/y:stable"),
        ("m.io/{path}:{tag}", DIGEST, f"m.io/team/app@{DIGEST}"),
    ],
)
def test_a_target_is_filled_with_what_its_source_is(template: str, reference: str, target: str) -> None:
    assert str(filled(template, Repository.parse("r.example/team/app"), reference)) == target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images: []", 'm.yml:1:9: "images" must contain at least 1 items'),
        ("image: []", 'm.yml:1:1: "image" is not allowed. Did you mean "images"?'),
        ("images:\n- {from: r.io/a, too: m.io/a}", 'm.yml:2:18: "too" is not allowed. Did you mean "to"?'),
        ("images:\n- {from: r.io/a}", '"to" is required, here or in defaults'),
        ("images:\n- {from: alpine, to: m.io/a}", "'alpine': names no repository of a registry"),
        ("images:\n- {from: 'r.io/t/*:1', to: 'm.io/{name}'}", "a glob stands for repositories, and names no tag"),
        ("images:\n- {from: r.io/*, to: m.io/a}", "several repositories would go to this one"),
        ("images:\n- {from: [r.io/a, r.io/b], to: m.io/a}", "several repositories would go to this one"),
        ("images:\n- {from: r.io/a, to: 'm.io/{nam}'}", "only {host}, {path}, {name}, {tag} are known"),
        ("images:\n- {from: r.io/a, to: m.io}", "names no repository of a registry"),
        ("images:\n- {from: r.io/a, to: m.io/A}", "is not a repository name"),
        (f"images:\n- {{from: r.io/a, to: 'm.io/a@{DIGEST}'}}", "a target has no '@'"),
        ("images:\n- {from: 'r.io/a:1', to: m.io/a, tags: [x]}", 'm.yml:2:40: "tags" has no effect'),
        ("images:\n- {from: r.io/a, to: m.io/a, versions: new}", "m.yml:2:40: 'new' is no range of versions"),
        ("images:\n- {from: r.io/a, to: m.io/a, platforms: [amd64]}", "m.yml:2:42: "),
        ("images:\n- {from: r.io/a, to: m.io/a, sparse: true}", '"sparse" has no effect without platforms'),
        (
            "images:\n- {from: r.io/a, to: m.io/a, backup: '{tag}-b', platforms: [linux/amd64, linux/arm64]}",
            "does not go together with several platforms",
        ),
        ("images:\n- {from: r.io/a, to: m.io/a, backup: old}", "'old' is no tag of its own for every tag"),
        ("images:\n- {from: '${NO}/a', to: m.io/a}", "m.yml:2:10: environment variable NO is not set"),
        ("images:\n- {from: r.io/a, to: m.io/a, newest: 0}", '"newest" must be a positive number'),
        ("just text", "the file is a mapping with images"),
    ],
)
def test_what_is_wrong_in_our_form_is_told_with_its_place(text: str, expected: str) -> None:
    found = problems(text)
    assert any(expected in one for one in found), found


SKOPEO = """\
registry.example.com:
  images:
    busybox: []
    redis:
    - 1.0
    - "2.0"
    - DIGEST
  images-by-tag-regex:
    nginx: ^1\\.13\\.[12]-alpine-perl$
  images-by-semver:
    alpine: ">= 3.12"
  credentials:
    username: john
    password: this is a secret
  tls-verify: true
  cert-dir: /home/john/certs
quay.io:
  tls-verify: false
  images:
    coreos/etcd:
    - latest
""".replace("DIGEST", DIGEST)


def test_skopeos_form_is_read_as_its_manual_page_says() -> None:
    found = load(SKOPEO, "my-registry.local.lan/repo/")
    assert found.form == "skopeo"
    names = [str(job.sources[0]) for job in found.jobs]
    assert names == [f"registry.example.com/{one}" for one in ("busybox", "redis", "nginx", "alpine")] + [
        "quay.io/coreos/etcd"
    ]
    assert {job.targets for job in found.jobs} == {("my-registry.local.lan/repo/{name}:{tag}",)}
    assert [job.sources[0].references for job in found.jobs] == [(), ("1.0", "2.0", DIGEST), (), (), ("latest",)]
    nginx, alpine = found.jobs[2:4]
    assert nginx.wanted(["1.13.1-alpine-perl", "1.13.3-alpine-perl", "x1.13.1-alpine-perl"]) == ["1.13.1-alpine-perl"]
    assert alpine.wanted(["3.11", "3.12", "4", "edge", "4-rc1"]) == ["3.12", "4"]
    first, second = found.accesses
    assert (first.host, first.folder, first.skip_verify) == ("registry.example.com", "/home/john/certs", False)
    assert first.credential is not None
    assert first.credential.username == "john"
    assert first.credential.password is not None
    assert first.credential.password.reveal() == "this is a secret"
    assert "secret" not in repr(found)
    assert (second.host, second.skip_verify, second.credential) == ("quay.io", True, None)
    assert notes(found) == ["m.yml:18:15: quay.io: certificates are not checked; skopeo would try http as well"]


def test_scoped_keeps_the_whole_name_below_the_destination() -> None:
    found = load("docker.io: {images: {busybox: [latest]}}", "docker://mirror.example.com", scoped=True)
    (source,) = only(found).sources
    target = filled(only(found).targets[0], Repository(source.host, source.path), "latest")
    assert str(target) == "mirror.example.com/docker.io/library/busybox:latest"


def test_a_registry_of_this_machine_that_is_not_verified_is_asked_by_http() -> None:
    found = load("localhost:5000: {images: {a: []}, tls-verify: false}", "localhost:5001/x")
    assert found.accesses == ()
    assert notes(found) == []


def test_certificates_that_shall_be_checked_mean_tls_on_this_machine_too() -> None:
    (access,) = load("localhost:5000: {images: {a: []}, tls-verify: true}", "localhost:5001/x").accesses
    assert access.plain_http is False


def test_a_login_is_for_the_host_by_whatever_name_it_is_called() -> None:
    (access,) = load(
        "index.docker.io: {images: {a: []}, credentials: {username: u, password: p4ssword}}", "m.io"
    ).accesses
    assert access.host == "docker.io"
    (access,) = load("creds: [{registry: registry-1.docker.io, user: u, pass: p4ssword}]\nsync: []").accesses
    assert access.host == "docker.io"
    # A name without a dot is no registry, and above all not Docker Hub.
    (access,) = load("creds: [{registry: inner, user: u, pass: p4ssword}]\nsync: []").accesses
    assert access.host == "inner"


def test_a_pattern_is_searched_for_and_versions_need_no_quotes() -> None:
    job = only(load("r.io: {images-by-tag-regex: {a: rc}}", "m.io"))
    assert job.wanted(["1", "1-rc1"]) == ["1-rc1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r.io: {image: {a: []}, images: {}}", 'm.yml:1:8: "image" is not allowed. Did you mean "images"?'),
        ("r.io: {images: {a: latest}}", "m.yml:1:20: "),
        ("r.io: {images: {a: ['b c']}}", "m.yml:1:21: tag 'b c' contains ' '"),
        ("r.io: {images: {A: []}}", "m.yml:1:17: 'A' is not a repository name"),
        ("r.io: {images: {a: ['sha256:12']}}", "sha256 digest must be 64"),
        ("registry: {images: {a: []}}", "m.yml:1:1: 'registry' is no registry"),
        ("r.io: {images-by-tag-regex: {a: '(1'}}", "m.yml:1:33: '(1' is no regular expression that is understood"),
        ("r.io: {images-by-tag-regex: {a: '[[:alpha:]]'}}", "is no regular expression that is understood"),
        ("r.io: {images-by-semver: {a: new}}", "'new' is no range of versions"),
        ("r.io: {images: {a: []}, tls-verify: maybe}", '"tls-verify" must be true or false'),
        ("r.io: {images: {a: []}, credentials: {user: x}}", '"user" is not allowed. Did you mean "username"?'),
    ],
)
def test_what_is_wrong_in_skopeos_form_is_told_with_its_place(text: str, expected: str) -> None:
    found = problems(text, "m.io/x")
    assert any(expected in one for one in found), found


def test_a_secret_that_stands_in_the_wrong_place_is_not_repeated() -> None:
    for text in (
        "r.io: {images: {a: []}, credentials: 'john:hunter2'}",
        "r.io: {images: {a: []}, credentials: {password: [hunter2]}}",
        "r.io: {images: {a: 5}, credentials: {username: j, password: hunter2}}",
    ):
        assert "hunter2" not in "".join(problems(text, "m.io"))
    regsync = "creds: [{registry: r.io, pass: hunter2, hostname: x}, 'hunter2']\nsync: []"
    assert "hunter2" not in "".join(problems(regsync))


@pytest.mark.parametrize(
    ("text", "destination", "expected"),
    [
        (SKOPEO, "", "which does not say where images go"),
        (OWN, "m.io", "a destination is given, too"),
        ("sync: []", "m.io", "a destination is given, too"),
        (SKOPEO, "mirror", "names no registry"),
        (SKOPEO, "m.io/UP", "is not a repository name"),
        (SKOPEO, "dir:/tmp", "is not a registry host"),
    ],
)
def test_a_destination_is_for_skopeos_form_and_needed_there(text: str, destination: str, expected: str) -> None:
    assert expected in problems(text, destination, HOST="r.io")[0]


REGSYNC = r"""
x-sched-a: &sched-a "15 01 * * *"
version: 1
creds:
- registry: localhost:5000
  tls: disabled
- registry: docker.io
  user: "{{env \"HUB_USER\"}}"
  pass: "{{file \"/run/token\"}}"
  reqPerSec: 2
defaults:
  ratelimit: {min: 100, retry: 15m}
  parallel: 2
  referrers: true
  x-mine: {a: b}
sync:
- source: busybox:latest
  target: localhost:5000/library/busybox:latest
  type: image
  interval: 60m
  backup: "backup-{{.Ref.Tag}}"
- source: alpine
  target: localhost:5000/library/alpine
  type: repository
  tags:
    allow: ["latest", "edge", "3", "3.\\d+"]
    deny: ["3.0"]
  referrers: false
  schedule: *sched-a
- source: localreg:5000
  target: localcopy:5000/all
  type: registry
  repos: {allow: ["team/.*"], deny: [".*/secret"]}
  tags: {semverRange: [">=1", "<0.1"]}
  platforms: [linux/amd64, linux/arm64]
- {source: quay.io/a/b, target: localhost:5000/b, type: repository, tagSets: [{allow: [a]}, {allow: [b.*], deny: [bx]}]}
"""


def test_regsyncs_form_is_read_as_its_page_says() -> None:
    found = load(REGSYNC, env={"HUB_USER": "me"})
    assert found.form == "regsync"
    image, repository, registry, sets = found.jobs
    assert image.sources == (MirrorSource("docker.io", "library/busybox", ("latest",)),)
    assert image.targets == ("localhost:5000/library/busybox:latest",)
    assert (image.backup, image.referrers) == ("backup-{tag}", True)
    assert repository.targets == ("localhost:5000/library/alpine:{tag}",)
    tags = ["latest", "3", "3.0", "3.19", "3.19.1", "edgy", "edge"]
    assert repository.wanted(tags) == ["latest", "3", "3.19", "edge"]
    assert (repository.referrers, repository.backup) == (False, "")
    assert registry.sources == (MirrorSource("localreg:5000", "*"),)
    assert registry.targets == ("localcopy:5000/all/{path}:{tag}",)
    paths = ("team/a", "team/b/secret", "other")
    assert [path for path in paths if registry.repositories.matches(path)] == ["team/a"]
    assert registry.wanted(["1.2", "0.5", "0.0.9", "2-alpine", "edge"]) == ["1.2", "0.0.9", "2-alpine"]
    assert registry.is_sparse
    assert sets.wanted(["a", "ab", "bz", "bx"]) == ["a", "bz"]
    local, hub = found.accesses
    assert (local.host, local.plain_http, local.credential) == ("localhost:5000", True, None)
    assert hub.credential is not None
    assert hub.credential.username == "me"
    assert hub.credential.password is not None
    assert hub.credential.password.reveal() == "from the file"
    told = [one.partition('"')[2].partition('"')[0] for one in notes(found)]
    assert told == ["reqPerSec", "ratelimit", "parallel", "interval", "schedule"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("type: image, hoks: {}", '"hoks" is not allowed. Did you mean "hooks"?'),
        ("type: images", '"type" must be one of [registry, repository, image]'),
        ("type: repository, mediaTypes: [a/b]", '"mediaTypes" cannot be honoured: images of every type'),
        ("type: repository, referrerFilters: []", '"referrerFilters" cannot be honoured'),
        ("type: image, backup: 'old-{{.Step.Type}}'", "is not understood; known are {{.Ref.Tag}}, {{.Ref.Repository}}"),
        ("type: image, backup: 'other.io/x'", "is neither a tag nor HOST/REPO:TAG"),
        ("type: image, backup: 'other/x:{{.Ref.Tag}}'", "is neither a tag nor HOST/REPO:TAG"),
        ("type: image, backup: 'ocidir://old/x:{{.Ref.Tag}}'", "is neither a tag nor HOST/REPO:TAG"),
        ("type: image, backup: 'other.io/X:{{.Ref.Tag}}'", "is neither a tag nor HOST/REPO:TAG"),
        ("type: repository, tags: {allow: ['*']}", "is no regular expression that is understood"),
        ("type: registry", "'r.io/a' is not a registry host, for a step of type registry"),
        ("type: image, platform: linux/amd64, platforms: [linux/arm64]", "do not go together"),
    ],
)
def test_what_is_wrong_in_a_step_is_told_with_its_place(step: str, expected: str) -> None:
    found = problems(f"sync:\n- {{source: r.io/a, target: m.io/b, {step}}}")
    assert all(one.startswith("m.yml:2:") for one in found), found
    assert any(expected in one for one in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sync: [{source: 'ocidir://x', target: m.io/a, type: image}]", "is no registry, and only those are mirrored"),
        ("sync: [{source: 'r.io/a:1', target: m.io/a, type: repository}]", "names an image, and a repository is"),
        ("sync: [{source: '{{env \"NO\"}}/a', target: m.io/a, type: repository}]", "variable NO is not set"),
        ("sync: [{source: 'r.io/{{now}}', target: m.io/a, type: repository}]", "a template is not understood"),
        ("version: 2\nsync: []", '"version" must be 1'),
        ("creds: []", '"sync" is required'),
        ("creds: [{registry: r.io, hostname: x.io}]\nsync: []", '"hostname" cannot be honoured'),
        ("creds: [{registry: r.io, pas: x}]\nsync: []", '"pas" is not allowed. Did you mean "pass"?'),
        ("creds: [{registry: r.io, pass: '{{file \"/no\"}}'}]\nsync: []", "/no: cannot be read"),
    ],
)
def test_what_is_wrong_in_regsyncs_form_is_told(text: str, expected: str) -> None:
    def read(path: Path) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(ConfigError) as raised:
        load_mirror(text, "m.yml", {}, read)
    found = [str(one) for one in raised.value.problems]
    assert any(expected in one for one in found), found


def test_a_backup_may_lie_elsewhere_and_be_named_by_the_target() -> None:
    place = "other.io/old/{{ .Ref.Repository }}:{{.Ref.Registry}}-{{.Ref.Tag}}"
    found = load(f"sync: [{{source: r.io/a, target: m.io/a, type: image, backup: '{place}'}}]")
    assert only(found).backup == "other.io/old/{path}:{host}-{tag}"


def test_a_backup_that_is_the_same_for_every_tag_is_told_and_done() -> None:
    found = load("sync: [{source: r.io/a, target: m.io/a, type: image, backup: previous}]")
    assert only(found).backup == "previous"
    assert "is the same for every tag" in notes(found)[0]


@pytest.mark.parametrize("kind", ["whole", "search"])
def test_an_expression_that_would_take_years_is_given_up(kind: str) -> None:
    with pytest.raises(ConfigError, match="took longer than 1 s and was given up"):
        Pattern(kind, r"^(a|aa)+$").matches("a" * 100 + "_")


@pytest.mark.parametrize(
    "text",
    [
        "images: [{from: '${HELD}', to: mirror.example.com/x}]",
        "images: [{from: a.example/x, to: '${HELD}'}]",
        "version: 1\nsync: [{source: '{{env \"HELD\"}}', target: mirror.example.com/x, type: image}]",
        "version: 1\nsync: [{source: a.example/x, target: '{{env \"HELD\"}}', type: registry}]",
    ],
)
def test_what_a_variable_holds_is_not_shown_where_it_cannot_stand(text: str) -> None:
    (found,) = problems(text, HELD="Hidden Value")
    assert "Hidden" not in found
    assert "HELD" in found
