"""Units and results as files, and shards of them."""

from __future__ import annotations

import gzip
import json
import os
import resource
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget
from oci_push.errors import Cancelled, ConfigError, CredentialsError, NetworkError
from oci_push.language.config import load_config
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.work.planning import in_waves
from oci_push.work.results import ResultsFile, WorkResult, read_results, together, worst
from oci_push.work.shards import SERVICES, Shard, read_shard, share
from oci_push.work.units import WorkUnit, hosts_asked, read_units, write_units
from oci_push.work.worker import described_by, reach

ROOT = Digest.of(b"root")


def unit(name: str, host: str = "a.example", large: Sequence[str] = ()) -> WorkUnit:
    push = PushUnit(f"oci:{name}", (UnitTarget(Repository(host, name), ("1",)),))
    return WorkUnit.of(push, ROOT, large=[Digest.of(one.encode()) for one in large])


def written(folder: Path, *units: WorkUnit) -> bytes:
    write_units(folder / "units.jsonl", "test", units)
    return (folder / "units.jsonl").read_bytes()


def test_units_are_read_as_they_were_written(tmp_path: Path) -> None:
    units = in_waves([unit("one", large=["base"]), unit("two", large=["base"]), unit("three", "b.example", ["base"])])
    assert read_units(written(tmp_path, *units), "units.jsonl") == units
    assert [one.after for one in units] == [(), (units[0].key,), ()]


def test_a_key_says_what_is_to_be_done_and_no_more() -> None:
    one = unit("one", large=["base"])
    hinted = WorkUnit.of(one.push, ROOT, mounts={Digest.of(b"base"): (Repository("a.example", "two"),)})
    assert hinted.key == one.key
    assert WorkUnit.of(one.push, Digest.of(b"other")).key != one.key
    assert WorkUnit.of(one.push, ROOT, referrers=True).key != one.key
    now = replace(one.push, targets=(replace(one.push.targets[0], before={"1": ROOT}),))
    assert WorkUnit.of(now, ROOT).key == one.key


def test_a_unit_that_was_changed_is_refused_with_its_line(tmp_path: Path) -> None:
    data = written(tmp_path, unit("one"), unit("two")).replace(b"oci:two", b"oci:xxx")
    with pytest.raises(ConfigError, match=r"units\.jsonl:3:1: the unit was changed after it was written"):
        read_units(data, "units.jsonl")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: b"", "this is no file of units"),
        (lambda data: b'{"version":1}\n', "this is no file of units"),
        (lambda data: b"version: '1.0'\nsteps: {}\n", "this is no file of units"),
        (lambda data: data.replace(b'{"version":1', b'{"version":2', 1), "version 2 is not known here"),
        (lambda data: data.rsplit(b"\n", 2)[0] + b"\n", "holds 1 units of 2"),
        (lambda data: data[:-40] + b"\n", "3:1: this is no unit"),
        (lambda data: data + data.splitlines()[1] + b"\n", "holds 3 units of 2"),
        (lambda data: data.splitlines()[0] + b"\n" + b"[" * 100_000, "2:1: this is no unit .it is nested too deeply"),
        (lambda data: b"[" * 100_000, "this is no file of units"),
        (lambda data: data.replace(b'"units":2', b'"units":3') + data.splitlines()[1], "the same as that of line 2"),
    ],
)
def test_what_is_no_whole_file_of_units_is_refused(tmp_path: Path, spoil, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_units(spoil(written(tmp_path, unit("one"), unit("two"))), "units.jsonl")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-20], "is cut off"),
        (lambda data: data[:30] + b"xxxx" + data[34:], "is damaged gzip"),
    ],
)
def test_units_may_be_compressed_and_must_be_whole(tmp_path: Path, spoil, message: str) -> None:
    data = gzip.compress(written(tmp_path, unit("one"), unit("two")))
    assert read_units(data, "units.jsonl.gz") == (unit("one"), unit("two"))
    with pytest.raises(ConfigError, match=message):
        read_units(spoil(data), "units.jsonl.gz")


@pytest.mark.parametrize(
    "change",
    [lambda data: b"\xef\xbb\xbf" + data, lambda data: data.replace(b"\n", b"\r\n"), lambda data: data + b"\n\n"],
)
def test_what_editors_and_mails_do_to_a_file_changes_no_unit(tmp_path: Path, change) -> None:
    units = (unit("one"), unit("two"))
    assert read_units(change(written(tmp_path, *units)), "units.jsonl") == units


def test_a_line_is_told_by_its_number_also_after_blank_ones(tmp_path: Path) -> None:
    head, first, *_ = written(tmp_path, unit("one"), unit("two")).splitlines()
    with pytest.raises(ConfigError, match=r"units\.jsonl:5:1: unit .* is the same as that of line 3"):
        read_units(b"\n".join([head, b"", first, b"", first]), "units.jsonl")


def made(source: str = "oci:one", tag: str = "1", root: Digest | None = ROOT, registry: str = "") -> WorkUnit:
    return WorkUnit.of(PushUnit(source, (UnitTarget(Repository("a.example", "x"), (tag,), registry),)), root)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (made(tag="../../x"), "'../../x' is no tag"),
        (made(root=None), "the unit does not say which digest goes out"),
        (made(source="-"), "the unit reads stdin"),
    ],
)
def test_a_unit_that_was_made_up_is_refused_although_its_key_is_right(
    tmp_path: Path, wrong: WorkUnit, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"units.jsonl:2:1: {message}"):
        read_units(written(tmp_path, wrong), "units.jsonl")


def test_a_source_that_nobody_can_read_is_a_matter_of_its_unit_alone() -> None:
    units = [made("nothing-here"), made("docker://me:word@b.example/x"), made("b.example/x:1")]
    assert hosts_asked(units) == ("a.example", "b.example")


REGION = "123456789012.dkr.ecr.{}.amazonaws.com"
KNOWN = {
    "push inner@a.example": RegistryEndpoint("a.example"),
    "push inner@b.example": RegistryEndpoint("a.example"),
    "push @b.example": RegistryEndpoint("b.example"),
}


@pytest.mark.parametrize("name", list(KNOWN)[1:])
def test_a_login_for_one_registry_is_not_led_to_another(name: str) -> None:
    assert reach(KNOWN.__getitem__, "push inner@a.example", "A.example:443") == KNOWN["push inner@a.example"]
    with pytest.raises(ConfigError, match=r"a unit for [ab]\.example names the registry"):
        reach(KNOWN.__getitem__, name, "b.example" if "inner" in name else "a.example")


def test_only_another_region_of_the_same_account_is_the_same_registry() -> None:
    text = (
        "registries: [{name: e, provider: ecr, domain: "
        f"{REGION.format('eu-west-1')}, access_key_id: KEY, secret_access_key: word}}]"
    )
    describe = described_by(load_config(text.encode(), "c.yaml", {}, lambda file: ""))
    other = describe(f"push e@{REGION.format('eu-central-1')}")
    assert (other.host, getattr(other.identity, "region", "")) == (REGION.format("eu-central-1"), "eu-central-1")
    for host in (
        "evil.example.com",
        "evil.dkr.ecr.eu-west-1.amazonaws.com",
        REGION.format("eu-west-1").replace("1234", "9999"),
        REGION.format("eu-west-1") + ".evil.example.com",
        "registry.eu-west-1.evil.com",
    ):
        with pytest.raises(ConfigError, match=f"is {REGION.format('eu-west-1')} here, and {host} is meant"):
            describe(f"push e@{host}")


def result(key: str, error: Exception | None = None) -> WorkResult:
    return WorkResult(key, f"unit {key}", UnitResult(error=error))  # type: ignore[arg-type]


def test_a_line_that_was_cut_off_is_passed_over_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    file = ResultsFile(path)
    file.add(result("a"))
    file.add(result("b"))
    file.close()
    path.write_bytes(path.read_bytes()[:-7])
    assert [one.key for one in read_results(path)] == ["a"]
    again = ResultsFile(path)
    again.add(result("c"))
    again.close()
    assert [one.key for one in read_results(path)] == ["a", "c"]


def test_a_line_that_the_disk_had_no_room_for_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    file = ResultsFile(path)
    file.add(result("a"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
        with pytest.raises(ConfigError, match="the result cannot be written"):
            file.add(result("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    file.add(result("c"))
    file.close()
    assert [one.key for one in read_results(path)] == ["a", "c"]


def test_two_processes_that_write_one_file_spoil_no_line(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    files = [ResultsFile(path), ResultsFile(path)]
    jobs = [
        partial(lambda _, each, number: each.add(result(f"{number}")), each=files[number % 2], number=number)
        for number in range(200)
    ]
    run_all(Context(SystemClock()), jobs, limit=4)
    for one in files:
        one.close()
    assert len(path.read_bytes().splitlines()) == 200
    assert len(read_results(path)) == 200


def test_what_is_no_file_keeps_no_results(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe: is no file, and what is done must be read again"):
        read_results(tmp_path / "pipe", must=False)


def test_what_was_done_once_stays_done(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    file = ResultsFile(path)
    for one in (result("a", NetworkError("gone")), result("a"), result("a", NetworkError("gone again"))):
        file.add(one)
    file.close()
    assert [one.error for one in read_results(path)] == [None]
    joined = together([[result("a", NetworkError("x")), result("b")], [result("a"), result("b", NetworkError("x"))]])
    assert [(one.key, one.error) for one in joined] == [("a", None), ("b", None)]


def test_a_file_that_holds_no_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("what is this\n")
    with pytest.raises(ConfigError, match="x:1: this is no result"):
        read_results(tmp_path / "x")
    with pytest.raises(ConfigError, match="there is no such file"):
        read_results(tmp_path / "y")
    assert read_results(tmp_path / "y", must=False) == ()


@pytest.mark.parametrize(
    ("errors", "missing", "code"),
    [
        ([None, None], 0, 0),
        ([None, CredentialsError("x")], 0, 4),
        ([CredentialsError("x"), CredentialsError("y")], 0, 4),
        ([CredentialsError("x"), NetworkError("y")], 0, 1),
        ([None], 1, 1),
        ([CredentialsError("x"), Cancelled("stop", signal_number=15)], 0, 143),
    ],
)
def test_the_exit_code_is_that_of_the_failures_where_they_agree(errors, missing: int, code: int) -> None:
    assert worst(errors, missing) == code


@given(
    st.lists(st.tuples(st.sampled_from(["", "x", "y", "z"]), st.sampled_from(["a.example", "b.example"])), max_size=40),
    st.integers(1, 60),
)
@settings(max_examples=60)
def test_shards_have_every_unit_once_and_are_of_like_size(kinds, count: int) -> None:
    units = [unit(f"n{n}", host, [base] if base else []) for n, (base, host) in enumerate(kinds)]
    parts = [share(units, Shard(number, count)) for number in range(1, count + 1)]
    assert sorted(one.key for part in parts for one in part) == sorted(one.key for one in units)
    assert all(len(part) < 2 * -(-len(units) // count) or len(part) <= 1 for part in parts)


def test_units_with_the_same_largest_layer_stay_in_one_shard() -> None:
    units = [unit(f"n{n}", large=[f"base{n % 4}", "small"]) for n in range(40)]
    parts = [share(units, Shard(number, 4)) for number in range(1, 5)]
    assert [len({one.large[0] for one in part}) for part in parts] == [1, 1, 1, 1]


def test_a_group_over_a_fair_part_is_cut() -> None:
    units = [unit(f"n{n}", large=["base"]) for n in range(10)]
    assert [len(share(units, Shard(number, 3))) for number in range(1, 4)] == [4, 4, 2]


ENVIRONMENTS = {
    "a Kubernetes Indexed Job": {"JOB_COMPLETION_INDEX": "1", "OCI_PUSH_SHARDS": "5"},
    "GitLab CI": {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "5"},
    "Buildkite": {"BUILDKITE_PARALLEL_JOB": "1", "BUILDKITE_PARALLEL_JOB_COUNT": "5"},
    "CircleCI": {"CIRCLE_NODE_INDEX": "1", "CIRCLE_NODE_TOTAL": "5"},
    "Azure Pipelines": {"SYSTEM_JOBPOSITIONINPHASE": "2", "SYSTEM_TOTALJOBSINPHASE": "5"},
    "Cloud Run jobs": {"CLOUD_RUN_TASK_INDEX": "1", "CLOUD_RUN_TASK_COUNT": "5"},
    "a matrix": {"OCI_PUSH_SHARD": "2", "OCI_PUSH_SHARDS": "5"},
}


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.name)
def test_env_is_what_each_service_says(service) -> None:
    assert read_shard("env", ENVIRONMENTS[service.name]) == Shard(2, 5)


@pytest.mark.parametrize(
    ("text", "env", "message"),
    [
        ("0/3", {}, "there is no shard 0 of 3"),
        ("4/3", {}, "there is no shard 4 of 3"),
        ("1", {}, "is no shard"),
        ("env", {}, "none of JOB_COMPLETION_INDEX"),
        ("env", {"JOB_COMPLETION_INDEX": "0"}, "OCI_PUSH_SHARDS is not set"),
        ("env", {"CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "2"}, "CI_NODE_INDEX is 'x'"),
        ("env", {"JOB_COMPLETION_INDEX": "3", "OCI_PUSH_SHARDS": "3"}, "there is no shard 4 of 3"),
    ],
)
def test_what_is_no_shard_is_refused(text: str, env: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_shard(text, env)


def test_a_result_is_a_line_of_json(tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "r")
    file.add(result("a", CredentialsError("no\nlogin")))
    file.close()
    [line] = (tmp_path / "r").read_text().splitlines()
    assert json.loads(line)["result"]["error"]["exit_code"] == 4
