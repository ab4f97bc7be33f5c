"""tags and repos: pages by Link, globs, order, and no more requests than the answer takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from around import asked, pushed, two_platforms
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program
from published import check_json

from oci_push.engine.looking.listing import RepositoryList, TagList
from oci_push.secret import Secret

MANY = tuple(f"1.0.{number}" for number in range(2000))


def lines(*words: str, cwd: Path) -> list[str]:
    return program(*words, cwd=cwd).stdout.splitlines()


def tagged(sandbox: Sandbox, cwd: Path, tags: Sequence[str]) -> str:
    """Push an image and point all tags at it."""
    layout = make_layout(cwd / "image", layer(1))
    name = pushed(sandbox, layout, tags[0])
    stored = sandbox.store.find_manifest("team/app", tags[0])
    raw = sandbox.store.manifest("team/app", tags[0])
    assert stored is not None
    assert raw is not None
    sandbox.store.add_manifest("team/app", stored, raw, tuple(tags))
    return name


def test_2000_tags_come_in_pages_by_link_and_none_twice(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(page_size=100)) as sandbox:
        name = tagged(sandbox, tmp_path, MANY)
        assert lines("tags", name, cwd=tmp_path) == sorted(MANY)
        requests = asked(sandbox)
    assert requests[0] == "GET team/app/tags/list?n=1000"
    assert len(requests) == len(set(requests)) == 20


def test_two_pages_are_enough_where_the_registry_gives_a_thousand(sandbox: Sandbox, tmp_path: Path) -> None:
    name = tagged(sandbox, tmp_path, MANY)
    assert lines("tags", name, "--sort", "semver", "--limit", "2", cwd=tmp_path) == ["1.0.1999", "1.0.1998"]
    assert len(asked(sandbox)) == 2


def test_a_limit_asks_for_no_page_beyond_it(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(page_size=100)) as sandbox:
        name = tagged(sandbox, tmp_path, MANY)
        assert lines("tags", name, "--limit", "5", cwd=tmp_path) == sorted(MANY)[:5]
        assert asked(sandbox) == ["GET team/app/tags/list?n=5"]
        sandbox.traffic.clear()
        found = lines("tags", name, "--filter", "1.0.11*", "--limit", "3", cwd=tmp_path)
        assert found == ["1.0.11", "1.0.110", "1.0.1100"]
        assert len(asked(sandbox)) < 4
        last = lines("tags", name, "--reverse", "--limit", "1", cwd=tmp_path)
    assert last == [max(MANY)]


def test_a_registry_that_refuses_the_number_is_asked_without_one(sandbox: Sandbox, tmp_path: Path) -> None:
    name = tagged(sandbox, tmp_path, ["a", "b"])
    sandbox.faults.add(Fault(path=r"n=1000", action=Answer(400, code="PAGINATION_NUMBER_INVALID")))
    assert lines("tags", name, cwd=tmp_path) == ["a", "b"]
    assert asked(sandbox) == ["GET team/app/tags/list?n=1000", "GET team/app/tags/list"]


def test_versions_are_sorted_by_the_rules_of_versions(sandbox: Sandbox, tmp_path: Path) -> None:
    tags = ["latest", "1.10.0", "1.9.0", "v2.0.0-rc.2", "v2.0.0-rc.10", "v2.0.0", "1", "main"]
    name = tagged(sandbox, tmp_path, tags)
    ordered = ["v2.0.0", "v2.0.0-rc.10", "v2.0.0-rc.2", "1.10.0", "1.9.0", "1", "latest", "main"]
    assert lines("tags", name, "--sort", "semver", cwd=tmp_path) == ordered
    assert lines("tags", name, "--filter", "v*", "--filter", "1", cwd=tmp_path) == [
        "1",
        "v2.0.0",
        "v2.0.0-rc.10",
        "v2.0.0-rc.2",
    ]


def test_by_date_each_manifest_and_config_is_read_once(sandbox: Sandbox, tmp_path: Path) -> None:
    old = two_platforms(tmp_path / "old", created="2025-12-31T23:00:00-05:00")
    new = two_platforms(tmp_path / "new", seed=2, created="2026-01-01T03:30:00Z")
    none = make_layout(tmp_path / "none", layer(3))
    pushed(sandbox, none, "plain")
    pushed(sandbox, new, "a")
    name = pushed(sandbox, old, "b", "c", "d")
    found = lines("tags", name, "--sort", "date", cwd=tmp_path)
    # 23:00 in New York is 04:00 of the next day, after half past three.
    assert [line.split()[0] for line in found] == ["TAG", "b", "c", "d", "a", "plain"]
    requests = asked(sandbox)
    assert len(requests) == len(set(requests))
    assert len([one for one in requests if "/blobs/" in one]) == 3
    printed = program("tags", name, "--sort", "date", "--json", cwd=tmp_path).stdout
    check_json(printed, TagList)
    assert json.loads(printed)["tags"][-1]["created"] is None


def test_repositories_are_listed_with_globs(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    for repository in ("team/app", "team/web", "other"):
        pushed(sandbox, layout, "1", repository=repository)
    assert lines("repos", sandbox.address, cwd=tmp_path) == ["other", "team/app", "team/web"]
    assert asked(sandbox) == ["GET _catalog?n=1000"]
    assert lines("repos", sandbox.address, "--filter", "team/*", "--limit", "1", cwd=tmp_path) == ["team/app"]
    check_json(program("repos", sandbox.address, "--json", cwd=tmp_path).stdout, RepositoryList)


def test_a_registry_of_the_configuration_lists_what_is_below_its_prefix(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    for repository in ("team/app", "other"):
        pushed(sandbox, layout, "1", repository=repository)
    settings = {"registries": [{"name": "ours", "domain": sandbox.address, "repository_prefix": "team"}]}
    (tmp_path / "own.yaml").write_text(json.dumps(settings))
    assert lines("repos", "ours", "--config", "own.yaml", cwd=tmp_path) == ["team/app"]


@pytest.mark.parametrize(("status", "code"), [(404, ""), (405, "UNSUPPORTED"), (401, "UNAUTHORIZED")])
def test_a_registry_without_a_list_of_repositories_is_told_of(
    sandbox: Sandbox, status: int, code: str, tmp_path: Path
) -> None:
    sandbox.faults.add(Fault(path="_catalog", action=Answer(status, code=code), times=0))
    failed = program("repos", sandbox.address, cwd=tmp_path, code=5).stderr
    assert str(status) in failed
    assert "offers no list of its repositories" in failed
    assert "web page" in failed


def test_lists_ask_for_the_rights_that_they_take(tmp_path: Path) -> None:
    options = SandboxOptions(auth="bearer", username="robot", password=Secret("secret-word"))
    with Sandbox(options=options) as sandbox:
        words = ("-u", "robot", "--password-stdin")
        layout = make_layout(tmp_path / "image", layer(1))
        where = f"{sandbox.address}/team/app"
        program("push", f"oci:{layout.path}", f"{where}:1", *words, cwd=tmp_path, stdin="secret-word")
        for command in (
            ("tags", where),
            ("repos", sandbox.address),
            ("inspect", f"{where}:1"),
            ("check", f"{where}:1"),
        ):
            sandbox.traffic.clear()
            program(*command, *words, cwd=tmp_path, stdin="secret-word")
            wanted = "registry:catalog:*" if command[0] == "repos" else "repository:team/app:pull"
            assert {scope for one in sandbox.traffic.tokens for scope in one.scopes} == {wanted}
