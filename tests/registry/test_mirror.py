"""mirror: many sources and targets in one run, what is asked and what is left alone, and going on after failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from around import asked, children_of, pushed, two_platforms
from certificates import Authority
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program
from published import check_json

from oci_push.engine.copying.mirror_report import MirrorReport
from oci_push.model.digest import Digest
from oci_push.runner.copy_plan import MirrorPlan
from oci_push.secret import Secret


@pytest.fixture
def target() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def filled(sandbox: Sandbox, folder: Path) -> str:
    """Push three images under some tags; give the host."""
    for number, (name, tags) in enumerate((("team/app", "1.0 1.1 2.0"), ("team/tool", "3"), ("other/x", "1.0"))):
        pushed(sandbox, make_layout(folder / f"image{number}", layer(number + 1)), *tags.split(), repository=name)
    return sandbox.address


def written(folder: Path, text: str) -> str:
    (folder / "mirror.yml").write_text(text)
    return "mirror.yml"


def mirror(folder: Path, text: str, *words: str, code: int = 0, **env: str) -> tuple[str, str]:
    done = program("mirror", written(folder, text), *words, cwd=folder, code=code, **env)
    return done.stdout, done.stderr


def named(sandbox: Sandbox, repository: str, tag: str) -> str:
    return str(Digest.of(sandbox.store.manifest(repository, tag) or b""))


def outcomes(printed: str) -> dict[str, str]:
    found = json.loads(printed)["tags"]
    return {f"{one['repository'].partition('/')[2]}:{one['tag']}": one["outcome"] for one in found}


def test_globs_and_several_targets_are_one_run_that_asks_once(
    sandbox: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    host, there = filled(sandbox, tmp_path), target.address
    text = f"""
images:
- from: ["{host}/team/*", "{host}/other/x"]
  to: ["{there}/a/{{path}}", "{there}/b/{{name}}-copy:v{{tag}}"]
  tags: ["1.*", "3"]
- {{from: "{host}/team/app:2.0", to: "{there}/stable/app:now"}}
"""
    printed, told = mirror(tmp_path, text, "--json")
    check_json(printed, MirrorReport)
    assert set(outcomes(printed).values()) == {"copied"}
    assert target.store.tags("a/team/app") == ("1.0", "1.1")
    assert target.store.tags("b/app-copy") == ("v1.0", "v1.1")
    assert target.store.tags("b/x-copy") == ("v1.0",)
    assert target.store.tags("a/team/tool") == ("3",)
    assert target.store.tags("stable/app") == ("now",)
    requests = [one for one in asked(sandbox) if "/referrers/" not in one]
    assert len(requests) == len(set(requests)), requests
    assert "8 tags" not in told  # with --json stderr holds nothing but errors
    assert sandbox.traffic.count(path_pattern="_catalog") == 1
    target.traffic.clear()
    again, summary = mirror(tmp_path, text)
    assert again == ""
    assert "9 tags: 9 unchanged; 0 B sent" in summary
    assert not target.traffic.count(method="PUT")
    assert not target.traffic.count(method="POST")


def test_what_fails_is_told_and_the_rest_goes_on(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    host, there = filled(sandbox, tmp_path), target.address
    sandbox.faults.add(Fault(path="team/app/manifests/1.1$", action=Answer(403, code="DENIED"), times=0))
    text = f"""
images:
- {{from: "{host}/nowhere", to: "{there}/nowhere"}}
- {{from: "{host}/team/app", to: "{there}/app"}}
- {{from: "{host}/team/tool", to: "{there}/app:1.0"}}
- {{from: "{host}/team/tool:4", to: "{there}/tool"}}
- {{from: "{host}/other/x", to: "{there}/x", tags: none}}
- {{from: "127.0.0.1:1/x:1", to: "{there}/away"}}
"""
    printed, told = mirror(tmp_path, text, "--json", "--retries", "0", code=1)
    check_json(printed, MirrorReport)
    assert outcomes(printed) == {
        "app:1.0": "copied",
        "app:1.1": "failed",
        "app:2.0": "copied",
        "tool:4": "failed",
        "away:1": "failed",
    }
    found = json.loads(printed)
    assert [one["place"] for one in found["failures"]] == ["mirror.yml:3", "mirror.yml:5"]
    assert (found["status"], found["exit_code"]) == ("failure", 1)
    assert f"{host}/nowhere: has no tags" in told
    assert f"{there}/app:1.0: {host}/team/app:1.0 goes there already, and {host}/team/tool:3 cannot" in told
    assert f"{host}/other/x: no tag is wanted of what is there" in told
    assert "403 DENIED" in told
    _, summary = mirror(tmp_path, text, "--retries", "0", code=1)
    assert "5 tags: 2 unchanged, 3 failed, 2 sources failed; 0 B sent" in summary


def test_a_plan_writes_nothing_and_tells_what_would_move(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    host, there = filled(sandbox, tmp_path), target.address
    text = f"images: [{{from: '{host}/team/app', to: '{there}/app'}}]"
    pushed(target, make_layout(tmp_path / "old", layer(9)), "1.1", repository="app")
    pushed(target, make_layout(tmp_path / "same", layer(1)), "2.0", repository="app")
    for option in ("--plan", "--dry-run"):
        printed, _ = mirror(tmp_path, text, option)
        assert f"{there}/app\n" in printed
        assert [line.split()[:6] for line in printed.splitlines()][2] == ["1.0,", "1.1", "1", "new,", "1", "moves"]
        assert "3 tags: 2 to set, 1 unchanged" in printed
    printed, _ = mirror(tmp_path, text, "--plan", "--only-missing", "--json")
    check_json(printed, MirrorPlan)
    plan = json.loads(printed)["plan"]
    assert {outcome: count for outcome, count in plan["counts"].items() if count} == {"copy": 1, "there": 2}
    assert [move["tag"] for image in plan["images"] for one in image["targets"] for move in one["moves"]] == ["1.0"]
    assert not target.traffic.count(method="PUT")
    mirror(tmp_path, text.replace(f"{host}/team/app", f"{host}/team/app:5"), "--plan", code=5)


def test_only_missing_leaves_tags_alone_that_are_there(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    host, there = filled(sandbox, tmp_path), target.address
    old = make_layout(tmp_path / "old", layer(9))
    pushed(target, old, "1.1", repository="app")
    text = f"images: [{{from: '{host}/team/app', to: '{there}/app', backup: '{{tag}}-old'}}]"
    printed, _ = mirror(tmp_path, text, "--only-missing", "--json")
    assert outcomes(printed) == {"app:1.0": "copied", "app:1.1": "there", "app:2.0": "copied"}
    assert target.store.tags("app") == ("1.0", "1.1", "2.0")
    assert asked(sandbox).count("HEAD team/app/manifests/1.1") == 0


def test_what_is_overwritten_is_kept_where_that_is_wanted(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    host, there = filled(sandbox, tmp_path), target.address
    old = make_layout(tmp_path / "old", layer(9))
    pushed(target, old, "1.1", repository="app")
    text = f"images: [{{from: '{host}/team/app', to: '{there}/app', backup: '{{tag}}-old'}}]"
    mirror(tmp_path, text)
    assert target.store.tags("app") == ("1.0", "1.1", "1.1-old", "2.0")
    assert named(target, "app", "1.1-old") == old.digest
    target.traffic.clear()
    mirror(tmp_path, text)  # it is the same now: nothing is kept again
    assert not target.traffic.count(method="PUT")


def test_what_cannot_be_kept_is_not_overwritten(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    host, there = filled(sandbox, tmp_path), target.address
    old = make_layout(tmp_path / "old", layer(9))
    pushed(target, old, "1.1", repository="app")
    target.faults.add(Fault(method="PUT", path="manifests/1.1-old$", action=Answer(403, code="DENIED"), times=0))
    text = f"images: [{{from: '{host}/team/app', to: '{there}/app', backup: '{{tag}}-old'}}]"
    printed, told = mirror(tmp_path, text, "--json", code=1)
    assert outcomes(printed) == {"app:1.0": "copied", "app:1.1": "failed", "app:2.0": "copied"}
    assert "nothing was overwritten, as it could not be kept" in told
    assert named(target, "app", "1.1") == old.digest


def test_the_newest_are_those_by_version_and_words_are_none(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    tags = ("1.9", "1.10", "1.2", "latest", "1.11-rc1")
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), *tags)
    mirror(tmp_path, f"images: [{{from: '{name}', to: '{target.address}/app', newest: 2, exclude: '*-rc*'}}]")
    assert target.store.tags("app") == ("1.10", "1.9")


def test_platforms_are_chosen_one_alone_several_as_an_index_or_sparse(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    with Sandbox(options=SandboxOptions(require_manifest_blobs=False)) as target:
        text = f"""
defaults: {{platforms: linux/arm64}}
images:
- {{from: "{name}:1", to: "{target.address}/one"}}
- {{from: "{name}:1", to: "{target.address}/sparse", sparse: true}}
"""
        planned, _ = mirror(tmp_path, text, "--plan", "--json")
        mirror(tmp_path, text)
        child = str(children_of(layout)[1]["digest"])
        found = [named(target, one, "1") for one in ("one", "sparse")]
    assert found == [child, layout.digest]
    assert [one["digest"] for one in json.loads(planned)["plan"]["images"]] == [child, layout.digest]


def test_what_refers_to_an_image_comes_along_unless_it_is_not_wanted(
    sandbox: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    signature = f"{layout.digest.replace(':', '-')}.sig"
    pushed(sandbox, make_layout(tmp_path / "signature", layer(2)), signature)
    there = target.address
    text = f"""
images:
- {{from: "{name}", to: "{there}/with"}}
- {{from: "{name}", to: "{there}/without", referrers: false}}
"""
    _, told = mirror(tmp_path, text)
    assert target.store.tags("with") == ("1", signature)
    assert target.store.tags("without") == ("1",)
    assert "with 1 referrer: 1 signature" in told
    mirror(tmp_path, f"images: [{{from: '{name}', to: '{there}/none'}}]", "--no-referrers")
    assert target.store.tags("none") == ("1",)


def test_an_image_by_its_digest_gets_no_tag(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    text = f"images: [{{from: '{name}@{layout.digest}', to: '{target.address}/{{path}}'}}]"
    printed, _ = mirror(tmp_path, text)
    assert printed == f"{target.address}/team/app@{layout.digest}\n"
    assert target.store.manifest("team/app", layout.digest) is not None
    assert target.store.tags("team/app") == ()


def test_a_login_of_a_file_is_used_for_its_host_alone_and_never_shown(target: Sandbox, tmp_path: Path) -> None:
    password = "correct-horse-battery"
    options = SandboxOptions(auth="basic", username="john", password=Secret(password))
    with Sandbox() as filling:
        host = filled(filling, tmp_path)
        with Sandbox(options=options) as source:
            login = ("-u", "john", "--password-stdin", "-q")
            line = ("push", f"docker://{host}/team/app:1.0", f"{source.address}/app:1.0", *login)
            # The password is for one host, and the first of the two needs none.
            program(*line, cwd=tmp_path, stdin=password)
            text = (
                f"{source.address}:\n  credentials: {{username: john, password: {password}}}\n  images: {{app: []}}\n"
                f"{host}:\n  images: {{team/tool: []}}\n"
            )
            for traffic in (source.traffic, filling.traffic, target.traffic):
                traffic.clear()
            shown = [
                *mirror(tmp_path, text, target.address, "--debug"),
                *mirror(tmp_path, text, target.address, "--json"),
            ]
            rs = f"sync: [{{source: {source.address}/app, target: {target.address}/rs, type: repository}}]\n"
            creds = (
                f"creds: [{{registry: '{source.address}', user: john, pass: '{{{{env \"PW\"}}}}', tls: disabled}}]\n"
            )
            shown += mirror(tmp_path, creds + rs, PW=password)
            assert target.store.tags("app") == target.store.tags("rs") == ("1.0",)
            assert target.store.tags("tool") == ("3",)
            assert any("authorization" in one.headers for one in source.traffic.requests)
            others = [*filling.traffic.requests, *target.traffic.requests]
            assert not any("authorization" in one.headers for one in others)
    assert password not in "".join(shown)


def test_the_file_may_come_from_stdin_and_its_mistakes_have_places(target: Sandbox, tmp_path: Path) -> None:
    failed = program("mirror", "-", cwd=tmp_path, code=2, stdin="images:\n- {from: r.io/a, too: x}\n").stderr
    assert "-:2:18: " in failed
    assert "Did you mean" in failed
    program("mirror", "missing.yml", cwd=tmp_path, code=2)
    both = program("mirror", "-", "-u", "a", "--password-stdin", cwd=tmp_path, code=2, stdin="x").stderr
    assert "cannot both read stdin" in both


def test_certificates_of_a_file_are_trusted_and_no_others(target: Sandbox, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    with Sandbox(options=SandboxOptions(ssl_context=authority.issue("registry").server_context())) as source:
        layout = make_layout(tmp_path / "image", layer(1))
        program("push", f"oci:{layout.path}", f"{source.address}/app:1", "-q", "--skip-tls-verify", cwd=tmp_path)
        skopeo = f"{source.address}: {{images: {{app: []}}, cert-dir: {authority.folder}}}"
        mirror(tmp_path, skopeo, target.address)
        pem = json.dumps(authority.path.read_text())
        regsync = f"""
creds: [{{registry: "{source.address}", regcert: {pem}}}]
sync: [{{source: "{source.address}/app", target: "{target.address}/rs", type: repository}}]
"""
        mirror(tmp_path, regsync)
        assert target.store.tags("app") == target.store.tags("rs") == ("1",)
        other = skopeo.replace(str(authority.folder), str(Authority(tmp_path / "other").folder))
        _, told = mirror(tmp_path, other, target.address, code=6)
        assert "certificate" in told
        mirror(tmp_path, skopeo.replace(str(authority.folder), str(tmp_path / "nowhere")), target.address, code=2)


def test_a_target_that_is_down_is_told_once_and_the_other_gets_all(
    sandbox: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), *(f"1.{number}" for number in range(12)))
    pushed(sandbox, make_layout(tmp_path / "tool", layer(2)), "3", repository="team/tool")
    text = f"""
defaults: {{to: ["127.0.0.1:1/{{name}}", "{target.address}/{{name}}"]}}
images: [{{from: "{name}"}}, {{from: "{sandbox.address}/team/tool"}}]
"""
    _, told = mirror(tmp_path, text, "--retries", "0", code=1)
    assert len(target.store.tags("app")) == 12
    assert target.store.tags("tool") == ("3",)
    assert told.count("error: ") == 2
    assert "error: 127.0.0.1:1/app:1.0 and 11 more tags: " in told
    assert "26 tags: 13 copied, 13 failed" in told


def test_a_repository_that_may_not_be_read_fails_alone_of_a_glob(
    sandbox: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    host = filled(sandbox, tmp_path)
    sandbox.faults.add(Fault(path="team/app/tags/list", action=Answer(403, code="DENIED"), times=0))
    text = f"images: [{{from: '{host}/*', to: '{target.address}/{{path}}'}}]"
    printed, told = mirror(tmp_path, text, "--json", code=1)
    assert outcomes(printed) == {"other/x:1.0": "copied", "team/tool:3": "copied"}
    assert [one["name"] for one in json.loads(printed)["failures"]] == [f"{host}/team/app"]
    assert "403 DENIED" in told


def test_sources_that_cannot_be_meant_are_told(sandbox: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    host, there = filled(sandbox, tmp_path), target.address
    text = f"""
images:
- {{from: "{host}/none/*", to: "{there}/{{path}}"}}
- {{from: "{host}/team/tool", to: "{host}/team/{{name}}"}}
- {{from: "{host}/team/tool", to: "{there}/{{host}}/{{name}}"}}
"""
    printed, told = mirror(tmp_path, text, code=1)
    assert printed == ""
    assert f"{host}/none/*: no repository matches" in told
    assert f"{host}/team/tool:3: would be copied to itself" in told
    assert "a host with a port cannot be a part of a name" in told
    assert "0 tags: 2 sources failed" in told


def test_a_registry_without_a_list_of_repositories_is_told_of(
    sandbox: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    host = filled(sandbox, tmp_path)
    sandbox.faults.add(Fault(path="_catalog", action=Answer(404, code="UNSUPPORTED"), times=0))
    text = f"images: [{{from: '{host}/*', to: '{target.address}/{{path}}'}}]"
    assert "it offers no list of its repositories" in mirror(tmp_path, text, code=5)[1]
    assert "it offers no list of its repositories" in mirror(tmp_path, text, "--plan", code=5)[1]
