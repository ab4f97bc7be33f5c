"""Many images copied in one run: what is asked and sent, what goes on after a kill, and what becomes of each tag."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from around import two_platforms
from copying import many, one_image, referrer, rooted
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, layer
from program import program
from published import check_json
from pushing import Pushing

from oci_push.engine.copying.copy import copy
from oci_push.engine.copying.items import AT_ONCE, CopyItem, CopyOptions
from oci_push.engine.copying.report import CopyReport
from oci_push.engine.saving.pull import Pull
from oci_push.engine.unit import UnitTarget
from oci_push.errors import DeniedError, exit_code
from oci_push.events import TagCopied
from oci_push.forms import decode
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")


def copied(*words: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    return program("copy", *words, "--no-memory", cwd=folder, code=code)


def report(*words: str, folder: Path, code: int = 0) -> CopyReport:
    """Copy, and read what is published of it."""
    text = copied(*words, "--json", folder=folder, code=code).stdout
    check_json(text, CopyReport)
    return decode(text, CopyReport)


def asked(sandbox: Sandbox, method: str, pattern: str) -> int:
    return sandbox.traffic.count(method=method, path_pattern=pattern)


def test_each_tag_is_asked_for_once_and_no_blob_twice(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        digests = many(source, 40, tmp_path)
        done = report(f"{source.address}/src", f"{target.address}/dst", "--all-tags", folder=tmp_path)
        assert {one.tag: str(one.digest) for one in done.tags} == {f"1.{n}": one for n, one in enumerate(digests)}
        assert done.counts["copied"] == 40
        assert asked(source, "GET", "/tags/list") == asked(target, "GET", "/tags/list") == 1
        assert asked(source, "HEAD", "/manifests/1") == asked(source, "GET", "/manifests/sha256:") == 40
        assert asked(source, "GET", "/blobs/") == 42  # 40 configs, and layers once
        assert asked(target, "HEAD", "/manifests/1") == 0  # none of them is listed
        assert asked(target, "PUT", "/manifests/1") == 40
        assert asked(target, "PUT", "/blobs/uploads/") == 42
        assert asked(target, "HEAD", "/blobs/") == 0


def test_the_same_command_again_costs_one_question_for_each_tag_on_each_side(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 20, tmp_path)
        words = (f"{source.address}/src", f"{target.address}/dst", "--all-tags", "--no-referrers")
        copied(*words, folder=tmp_path)
        source.traffic.clear()
        target.traffic.clear()
        assert report(*words, folder=tmp_path).counts["unchanged"] == 20
        assert len(source.traffic.requests) == len(target.traffic.requests) == 21  # the list, and each tag
        assert {one.method for one in target.traffic.requests} == {"GET", "HEAD"}


def test_one_image_under_many_tags_is_read_and_sent_once(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        image = one_image(tmp_path / "image")
        rooted(source, image, *(f"{n}" for n in range(12)))
        done = report(f"{source.address}/src:*", f"{target.address}/dst", folder=tmp_path)
        assert done.counts["copied"] == 12
        assert asked(source, "GET", "/manifests/") == 1
        assert asked(source, "GET", "/blobs/") == len(image.blobs)
        assert asked(target, "PUT", r"/manifests/\d+$") == 12
        assert sum(one.bytes_sent for one in done.tags) == done.bytes_sent == sum(image.blobs.values())


def test_children_that_indexes_share_are_read_and_sent_once(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        writer = LayoutWriter(tmp_path / "image")
        child = writer.image(layer(1))
        for number in range(10):
            rooted(source, writer.close(writer.index(child, annotations={"n": str(number)})), f"{number}")
        words = (f"{source.address}/src:*", f"{target.address}/dst", "--jobs", "1", "--no-referrers")
        assert report(*words, folder=tmp_path).counts["copied"] == 10
        digest = str(child["digest"])
        assert asked(source, "GET", f"/manifests/{digest}") == 1
        assert asked(target, "PUT", f"/manifests/{digest}") == 1


def test_a_copy_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 120, tmp_path)
        words = ["copy", f"{source.address}/src", f"{target.address}/dst", "--all-tags", "--no-referrers"]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        with subprocess.Popen([PROGRAM, *words, "-q"], env=env, stderr=subprocess.DEVNULL) as child:
            assert target.traffic.wait_until(
                lambda traffic: traffic.count(method="PUT", path_pattern="/manifests/") > 30
            )
            child.kill()
        # What was under way at the kill may still be done.
        assert target.traffic.wait_until(lambda seen: all(one.done for one in seen.requests))
        before = len(target.store.tags("dst"))
        assert 30 <= before < 120
        source.traffic.clear()
        target.traffic.clear()
        done = report(*words[1:], folder=tmp_path)
        assert done.counts["unchanged"] == before
        assert done.counts["copied"] == 120 - before
        assert asked(source, "HEAD", "/manifests/1") == 120
        assert asked(source, "GET", "/manifests/") == asked(target, "PUT", "/manifests/") == 120 - before
        assert asked(target, "HEAD", "/manifests/1") == before  # those that are listed


def test_a_copy_that_is_stopped_tells_what_it_did_and_that_the_rest_can_follow(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 120, tmp_path)
        words = ["copy", f"{source.address}/src", f"{target.address}/dst", "--all-tags", "--no-referrers", "--json"]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        with subprocess.Popen([PROGRAM, *words], env=env, stdout=pipe, stderr=pipe, text=True) as child:
            assert target.traffic.wait_until(lambda seen: seen.count(method="PUT", path_pattern="/manifests/") > 10)
            child.send_signal(signal.SIGINT)
            out, said = child.communicate(timeout=300)
        done = decode(out, CopyReport)
        assert child.returncode == done.exit_code == 130
        copied = {one.tag for one in done.tags if one.outcome == "copied"}
        there = set(target.store.tags("dst"))
        assert copied <= there
        assert len(there - copied) <= AT_ONCE  # a PUT that was under way may be done after it was looked for
        assert done.counts["copied"] + done.counts["not reached"] == 120
        assert said.count("stopped by SIGINT") == 1
        assert "the same command goes on where this one stopped" in said


def test_of_many_failures_only_some_are_told_and_all_are_in_the_report(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 30, tmp_path)
        target.faults.add(Fault("PUT", "/manifests/", times=0, action=Answer(403)))
        words = (f"{source.address}/src", f"{target.address}/dst", "--all-tags", "--report", "report.json")
        said = copied(*words, folder=tmp_path, code=1).stderr
        assert said.count("error: ") == 20
        assert "and 10 more failed; --json and --report FILE have them all" in said
        written = json.loads((tmp_path / "report.json").read_text())
        assert sum(one["error"] is not None for one in written["tags"]) == 30


def test_tags_that_the_target_lists_are_not_asked_for(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 10, tmp_path)
        copied(f"{source.address}/src:1.[0-4]", f"{target.address}/dst", folder=tmp_path)
        source.traffic.clear()
        target.traffic.clear()
        words = (f"{source.address}/src:1.*", f"{target.address}/dst", "--only-missing", "--no-referrers")
        done = report(*words, folder=tmp_path)
        assert (done.counts["there"], done.counts["copied"]) == (5, 5)
        assert asked(source, "HEAD", "/manifests/1.[0-4]") == asked(target, "HEAD", "/manifests/1") == 0


def test_a_registry_that_lists_no_tags_cannot_say_what_is_missing(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 1, tmp_path)
        target.faults.add(Fault("GET", "/tags/list", times=0, action=Answer(403)))
        said = copied(f"{source.address}/src:1.*", f"{target.address}/dst", "--only-missing", folder=tmp_path, code=5)
        assert "/dst: tags" in said.stderr
        assert asked(target, "PUT", "") == 0


def test_images_made_before_a_date_stay(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 2, tmp_path, created="2020-05-01")
        rooted(source, two_platforms(tmp_path / "image", created="2026-01-02T03:04:05Z"), "2.0")
        rooted(source, one_image(tmp_path / "silent"), "silent")
        words = (f"{source.address}/src", f"{target.address}/dst", "--all-tags", "--newer-than", "2025-01-01")
        done = copied(*words, folder=tmp_path)
        assert target.store.tags("dst") == ("2.0", "silent")
        assert "4 tags: 2 copied, 2 left out as older" in done.stderr
        assert (
            copied(*words[:-1], "1w", "--exclude", "silent", folder=tmp_path).stderr.count("3 left out as older") == 1
        )


def test_the_rest_is_copied_after_a_failure(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 10, tmp_path)
        raw = source.store.manifest("src", "1.3")
        config = Manifest.parse(raw or b"").config
        assert config is not None
        source.store.remove_blob("src", config.digest)
        words = (f"{source.address}/src", f"{target.address}/dst", "--all-tags", "--retries", "0")
        done = report(*words, folder=tmp_path, code=1)
        assert (done.counts["copied"], done.counts["failed"], done.exit_code) == (9, 1, 1)
        (failed,) = (one for one in done.tags if one.error)
        assert failed.tag == "1.3"
        said = copied(*words, folder=tmp_path, code=1)
        assert f"error: {target.address}/dst:1.3: " in said.stderr
        assert str(config.digest) in said.stderr
        assert "10 tags: 9 unchanged, 1 failed" in said.stderr


def test_a_tag_that_is_gone_by_now_is_a_failure_of_its_own(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 3, tmp_path)
        words = (f"{source.address}/src:1.0", f"{source.address}/src:9", f"{target.address}/dst")
        done = report(*words, folder=tmp_path, code=1)
        assert [one.outcome for one in done.tags] == ["copied", "failed"]
        (alone,) = report(words[1], words[2], folder=tmp_path, code=5).tags
        assert alone.error is not None
        assert "/src:9: does not exist" in alone.error.message


def test_several_sources_keep_their_tags_and_a_digest_has_none(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        digests = many(source, 3, tmp_path)
        name, there = f"{source.address}/src", f"{target.address}/dst"
        done = copied(f"docker://{name}:1.0", f"{name}:1.1", f"{name}@{digests[2]}", there, folder=tmp_path)
        assert target.store.tags("dst") == ("1.0", "1.1")
        assert target.store.manifest("dst", digests[2]) is not None
        assert f"{there}@{digests[2]}" in done.stdout.splitlines()
        copied(f"{name}@{digests[2]}", f"{there}:x,y", folder=tmp_path)
        assert target.store.tags("dst") == ("1.0", "1.1", "x", "y")


def test_another_repository_of_the_registry_gets_blobs_without_their_bytes(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        many(sandbox, 5, tmp_path)
        done = report(f"{sandbox.address}/src:*", f"{sandbox.address}/dst", folder=tmp_path)
        assert (done.counts["copied"], done.bytes_sent) == (5, 0)
        assert asked(sandbox, "GET", "/blobs/") == 0


def test_a_registry_that_limits_the_pace_is_not_given_up_for_the_next_image(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 2, tmp_path)
        target.faults.add(Fault(method="PUT", path="/v2/dst/manifests/", action=Answer(429), times=2))
        target.faults.add(Fault(method="HEAD", path="/v2/dst/manifests/1.1", action=Answer(429)))
        words = (f"{source.address}/src:1.0", f"{source.address}/src:1.1", f"{target.address}/dst")
        done = copied(*words, "--jobs", "1", "--retries", "1", folder=tmp_path, code=1)
        assert "PUT answered 429; given up after 2 attempts" in done.stderr
        assert target.store.tags("dst") == ("1.1",)


def test_two_images_of_a_layout_whose_names_end_in_one_tag_are_told(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 2, tmp_path, "a")
        many(source, 2, tmp_path, "b", created="2025-01-02")
        names = [f"{source.address}/{one}" for one in ("a:1.0", "b:1.0", "a:1.1")]
        program("pull", *names, "oci:both", cwd=tmp_path)
        done = copied("oci:both", f"{target.address}/dst", "--all-tags", folder=tmp_path, code=2)
        assert "both go to the tag '1.0'" in done.stderr
        assert target.traffic.count() == 0
        copied("oci:both", f"{target.address}/dst", "--tags", "1.1", folder=tmp_path)
        assert target.store.tags("dst") == ("1.1",)


def test_all_images_of_a_layout_that_have_names(tmp_path: Path) -> None:
    with Sandbox() as target:
        writer = LayoutWriter(tmp_path / "image")
        images = [writer.image(layer(n)) for n in range(3)]
        writer.close(images[0])
        index = json.loads((tmp_path / "image/index.json").read_bytes())
        names = ("1.0", "registry.example.com/team/app:1.1", "2.0")
        index["manifests"] = [
            {**one, "annotations": {"org.opencontainers.image.ref.name": name}}
            for one, name in zip(images, names, strict=True)
        ]
        (tmp_path / "image/index.json").write_text(json.dumps(index))
        copied(f"oci:{tmp_path / 'image'}", f"{target.address}/dst", "--tags", "1.*", folder=tmp_path)
        assert target.store.tags("dst") == ("1.0", "1.1")
        copied(f"oci:{tmp_path / 'image'}:2.0", f"{target.address}/dst", folder=tmp_path)
        assert target.store.tags("dst") == ("1.0", "1.1", "2.0")


def test_two_platforms_make_a_new_index_and_its_digest_is_told(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        writer = LayoutWriter(tmp_path / "image")
        children = [
            {**writer.image(layer(n)), "platform": {"os": "linux", "architecture": name}}
            for n, name in enumerate(("amd64", "arm64", "s390x"))
        ]
        root = rooted(source, writer.close(writer.index(*children)), "1")
        words = (f"{source.address}/src:1", f"{target.address}/dst", "--platform", "linux/amd64,linux/s390x")
        done = copied(*words, folder=tmp_path)
        made = Manifest.parse(target.store.manifest("dst", "1") or b"")
        assert [one.digest for one in made.children] == [root.children[0].digest, root.children[2].digest]
        assert f"{target.address}/dst:1@{made.digest}" in done.stdout
        assert f"digest {root.digest} -> {made.digest}" in done.stderr
        assert "1 copied, 1 under another digest" in done.stderr
        (told,) = report(*words, folder=tmp_path).tags
        assert (told.outcome, told.before, told.digest) == ("unchanged", root.digest, made.digest)
        assert target.store.manifest("dst", root.children[1].digest) is None


@pytest.mark.parametrize("takes", [True, False])
def test_a_sparse_copy_keeps_the_index_where_the_registry_takes_it(takes: bool, tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox(options=SandboxOptions(require_manifest_blobs=not takes)) as target:
        root = rooted(source, two_platforms(tmp_path / "image"), "1")
        words = (f"{source.address}/src:1", f"{target.address}/dst", "--platform", "linux/amd64", "--sparse")
        done = copied(*words, folder=tmp_path, code=0 if takes else 5)
        assert (target.store.manifest("dst", "1") == root.raw) is takes
        assert target.store.manifest("dst", root.children[0].digest) is not None
        assert target.store.manifest("dst", root.children[1].digest) is None
        assert ("this registry wants all of an index" in done.stderr) is not takes


def test_copies_are_saved_in_a_layout_too(tmp_path: Path) -> None:
    with Sandbox() as source:
        digests = many(source, 3, tmp_path)
        referrer(source, Manifest.parse(source.store.manifest("src", "1.1") or b""), "text/about", tmp_path)
        layout = f"oci:{tmp_path / 'saved'}"
        done = copied(f"{source.address}/src:1.[01]", layout, folder=tmp_path)
        assert done.stdout.splitlines() == [f"{layout}:1.{n}  {digests[n]}" for n in (0, 1)]
        done = copied(f"{source.address}/src:1.1", f"{source.address}/src:1.2", layout, "--referrers", folder=tmp_path)
        assert "with 1 referrer" in done.stderr
        listed = json.loads((tmp_path / "saved/index.json").read_bytes())["manifests"]
        assert len(listed) == 4
        check_json(copied(f"{source.address}/src:1.1", layout, "--json", folder=tmp_path).stdout, Pull)


REFUSED = {
    "only what a layout lacks": (("HOST/src:1.0", "oci:dst", "--only-missing"), "--only-missing has no effect"),
    "a report of files": (("HOST/src:1.0", "oci:dst", "--report", "r.json"), "--report has no effect"),
    "stdout": (("HOST/src:1.0", "oci-archive:-"), "copy writes no archive to stdout"),
    "referrers for docker": (("HOST/src:1.0", "docker-archive:x.tar", "--referrers"), "--referrers has no effect"),
    "with and without": (("HOST/src:1.0", "HOST/dst", "--referrers", "--no-referrers"), "--referrers has no effect"),
    "nothing to save": (("oci:dst",), "nothing is named that would be copied"),
    "no destination": (("HOST/src:1",), "no DESTINATION"),
    "a tag for many": (("HOST/src:*", "HOST/dst:1"), "names a tag, and there may be many images"),
    "one tag for two": (("HOST/src:1.0", "HOST/src:1.1", "HOST/dst:1"), "both go to"),
    "a tag and all tags": (("HOST/src:1", "HOST/dst", "--all-tags"), "names one image, and --all-tags"),
    "a glob and tags": (("HOST/src:1*", "HOST/dst", "--tags", "2*"), "says which tags are meant, and so does --tags"),
    "exclude of one": (("HOST/src:1.0", "HOST/dst", "--exclude", "x"), "--exclude has no effect"),
    "no time": (("HOST/src:1.0", "HOST/dst", "--newer-than", "yesterday"), "neither a date nor an age"),
    "all or nothing of many": (("HOST/src:*", "HOST/dst", "--all-or-nothing"), "the tags of one image"),
    "export": (("HOST/src:*", "HOST/dst", "--export", "x.env"), "--export has no effect"),
    "junit": (("HOST/src:*", "HOST/dst", "--report", "r", "--report-format", "junit"), "junit has no effect"),
    "compression": (("HOST/src:*", "HOST/dst", "--compression", "zstd"), "--compression has no effect"),
    "sparse alone": (("HOST/src:*", "HOST/dst", "--sparse"), "--sparse needs --platform"),
    "no registry": (("HOST/src:*", "dst"), "names no registry"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_effect_or_no_meaning_is_refused_before_anything_is_sent(case: str, tmp_path: Path) -> None:
    words, message = REFUSED[case]
    with Sandbox() as sandbox:
        many(sandbox, 2, tmp_path)
        said = copied(*(one.replace("HOST", sandbox.address) for one in words), folder=tmp_path, code=None)
        assert said.returncode in (2, 3)
        assert message in said.stderr
        assert sandbox.store.tags("dst") == ()
        assert asked(sandbox, "PUT", "") == asked(sandbox, "POST", "") == 0


def test_a_glob_that_matches_nothing_says_so(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        many(sandbox, 2, tmp_path)
        said = copied(f"{sandbox.address}/src:9*", f"{sandbox.address}/dst", folder=tmp_path, code=5)
        assert "/src: has no tags that match 9*" in said.stderr
        said = copied(f"{sandbox.address}/none", f"{sandbox.address}/dst", "--all-tags", folder=tmp_path, code=5)
        assert "/none: has no tags" in said.stderr


def test_more_than_fifty_tags_are_told_as_a_sum_and_written_one_by_one(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        digests = many(source, 51, tmp_path)
        words = (
            f"{source.address}/src:*",
            f"{target.address}/dst",
            "--report",
            "report.json",
            "--digest-file",
            "digests",
        )
        done = copied(*words, folder=tmp_path)
        assert done.stdout.startswith("51 tags: 51 copied; ")
        assert done.stderr.splitlines() == ["Copying 51 tags"]
        written = json.loads((tmp_path / "report.json").read_text())
        assert len(written["tags"]) == 51
        assert set((tmp_path / "digests").read_text().split()) == set(digests)
        copied(*words[:3], "report.md", "--report-format", "markdown", folder=tmp_path)
        assert "| unchanged |" in (tmp_path / "report.md").read_text()


def test_the_display_counts_tags(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 3, tmp_path)
        done = copied(f"{source.address}/src:*", f"{target.address}/dst", "--progress", "json", folder=tmp_path)
        events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
        assert [one["tags"] for one in events if one["type"] == "copy_started"] == [3]
        assert sorted(one["tag"] for one in events if one["type"] == "tag_copied") == ["1.0", "1.1", "1.2"]


def test_a_program_copies_to_several_targets_of_which_one_fails(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as good, Sandbox() as bad:
        root = Manifest.parse(source.store.manifest("src", many(source, 1, tmp_path)[0]) or b"")
        about = referrer(source, root, "text/about", tmp_path)
        bad.faults.add(Fault("PUT", "/manifests/", times=0, action=Answer(403)))
        targets = tuple(
            UnitTarget(Repository(one.address, "dst"), tags) for one, tags in ((good, ("1", "2")), (bad, ("1",)))
        )
        pushing = Pushing()
        with pushing.pusher() as pusher:
            item = CopyItem(f"docker://{source.address}/src:1.0", targets)
            done = copy(pusher.context, pusher, [item], pushing.events.append)
        assert [row.outcome for row in done.rows] == ["copied", "copied", "failed"]
        assert isinstance(done.rows[2].error, DeniedError)
        assert exit_code(done.errors) == 1
        assert good.store.tags("dst") == ("1", "2")
        assert good.store.manifest("dst", about.digest) == about.raw
        assert done.referrers.counts == {"other": 1}
        assert asked(source, "GET", "/blobs/") == 3 + 2  # each once, for both targets


def test_a_row_is_told_in_the_order_of_the_items_whatever_ends_first(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        many(source, 6, tmp_path)
        names = [f"1.{number}" for number in (5, 0, 3)]
        repository = Repository(target.address, "dst")
        items = [CopyItem(f"docker://{source.address}/src:{one}", (UnitTarget(repository, (one,)),)) for one in names]
        pushing = Pushing()
        with pushing.pusher() as pusher:
            done = copy(pusher.context, pusher, items, pushing.events.append, CopyOptions(at_once=3))
        assert [row.tag for row in done.rows] == names
        told = [event.tag for event in pushing.events if isinstance(event, TagCopied)]
        assert sorted(told) == sorted(names)
