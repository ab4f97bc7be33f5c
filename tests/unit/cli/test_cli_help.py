"""Help: headings, names of values, examples that run, and mistakes that are told with what is near."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import config_of, docker_archive, layer, make_layout
from program import program
from signingkeys import pair
from stores import StoreWriter

from oci_push.cli.app import COMMANDS, command_of
from oci_push.cli.describe import HEADINGS, describe
from oci_push.cli.examples import EXAMPLES
from oci_push.cli.man import page
from oci_push.cli.typed import every_command
from oci_push.cli.words import parameters, read
from oci_push.errors import CODES, link_of

LEAVES = {" ".join(path): place for path, place in every_command(COMMANDS)}
LINES = [(name, example.line) for name, examples in EXAMPLES.items() for example in examples]
NOT_RUN = {
    "sandbox": "it serves until it is stopped",
    "ecr replication show": "it asks a cloud",
    "ecr replication set": "it asks a cloud",
    "ecr replication wait": "it asks a cloud",
}
"""Commands whose examples are only read."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Sandbox]]:
    """Make what the examples name, and a registry."""
    folder = tmp_path_factory.mktemp("examples")
    with Sandbox() as sandbox:
        image = make_layout(folder / "image", layer(1))
        named = image.digest.removeprefix("sha256:")
        (folder / "manifest.json").write_bytes((image.path / "blobs/sha256" / named).read_bytes())
        archive = docker_archive(("l.tar", layer(2)), config=config_of(layer(2)), paths=["l.tar"])
        (folder / "image.tar").write_bytes(archive)
        StoreWriter(folder / "store").add(layer(3), names=("localhost/app:latest",))
        (folder / "storage.conf").write_text(f'[storage]\ngraphroot = "{folder}/store"\n')
        (folder / "oci-push.yaml").write_text(
            f"registries:\n- name: demo\n  domain: {sandbox.address}\n  default: true\n"
            "  username: me\n  password: right\ncandidates: {build: 'oci:image'}\n"
        )
        (folder / "pipeline.yml").write_text(
            "version: '1.0'\nsteps:\n  build: {type: build, image_name: demo/app}\n"
            "  push: {type: push, candidate: '${{build}}', registry: demo, tag: '1'}\n"
        )
        (folder / "mirror.yml").write_text(
            f"images:\n- {{from: '{sandbox.address}/team/*', to: '{sandbox.address}/copy/{{name}}', tags: '1.*'}}\n"
        )
        (folder / "sync.yml").write_text(f"{sandbox.address}: {{images: {{team/app: ['1.4']}}}}\n")
        (folder / "sbom.spdx.json").write_text('{"spdxVersion": "SPDX-2.3"}')
        (folder / "notes.md").write_text("notes")
        (folder / "manuals").mkdir()
        notes = f"{sandbox.address}/team/notes:1"
        program("artifact", "push", "notes.md", notes, "--type", "application/vnd.example", cwd=folder)
        pair(folder, "signing")
        program("push", "oci:image", f"{sandbox.address}/team/app:signed", "--sign", "signing.key", cwd=folder)
        program("plan", "pipeline.yml", "--units", "units.jsonl", cwd=folder)
        for shard in ("1", "2"):
            program("work", "units.jsonl", "--shard", f"{shard}/2", "--results", f"results-{shard}.jsonl", cwd=folder)
        (folder / "config.json").write_text(json.dumps({"auths": {"registry.example.com": {}}}))
        yield folder, sandbox


def words_of(line: str) -> list[str]:
    """Return what a line of shell hands to the program."""
    line = re.sub(r"^.* \| |^source <\((.*)\)$| > .*$", lambda match: match[1] or "", line)
    words = shlex.split(line)
    assert words[0] == "oci-push"
    return words[1:]


def test_every_command_has_examples_and_no_other() -> None:
    assert set(EXAMPLES) == set(LEAVES)


@pytest.mark.parametrize(("name", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_is_a_line_of_its_command(name: str, line: str) -> None:
    words = words_of(line)
    assert words[: len(name.split())] == name.split()
    assert read(parameters(command_of(LEAVES[name])), words[len(name.split()) :]) is not None


@pytest.mark.parametrize(("name", "line"), [(n, one) for n, one in LINES if n not in NOT_RUN], ids=lambda text: text)
def test_an_example_runs(name: str, line: str, place: tuple[Path, Sandbox]) -> None:
    folder, sandbox = place
    for leftover in ("registries.yaml", "ci"):
        shutil.rmtree(folder / leftover, ignore_errors=True)
        (folder / leftover).unlink(missing_ok=True)
    # The image that another registry gives is there before.
    program("push", "oci:image", f"{sandbox.address}/team/app:1.4", cwd=folder)
    both = ("oci:image", "oci:image=linux/arm64")
    program("index", "create", f"{sandbox.address}/team/app:all", *both, cwd=folder)
    other = sandbox.address.replace("127.0.0.1", "localhost")
    if name.startswith("blob "):
        program("blob", "put", f"{sandbox.address}/team/app", "-", stdin="{}", cwd=folder)
    words = [
        word.replace("registry.example.com", sandbox.address).replace("mirror.example.com", other)
        for word in words_of(line)
    ]
    env = {"HOME": str(folder), "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf")}
    program(*words, cwd=folder, stdin="secret", **env)


@pytest.mark.parametrize("name", LEAVES)
def test_help_has_summary_headings_and_examples_whole(name: str, tmp_path: Path) -> None:
    told = program(*name.split(), "--help", cwd=tmp_path).stdout
    described = describe(command_of(LEAVES[name]))
    assert " ".join(told.split()).startswith(f"Usage: oci-push {name} {described.usage}".strip())
    for paragraph in described.paragraphs:
        assert paragraph.replace("- ", "-") in " ".join(told.split()).replace("- ", "-")
    shown = [line.removesuffix(":") for line in told.splitlines() if re.fullmatch(r"[A-Z][\w ]+:", line)]
    assert shown == [*(heading for heading in HEADINGS if heading in described.headings), "Examples"]
    for example in EXAMPLES[name]:
        assert f"\n  # {example.text}\n  {example.line}\n" in told


@pytest.mark.parametrize("group", ["ecr", "ecr replication", "auth", "integrations", "index", "blob", "manifest"])
def test_a_group_shows_whole_summaries(group: str, tmp_path: Path) -> None:
    told = program(*group.split(), "--help", cwd=tmp_path).stdout
    table = COMMANDS
    for word in group.split():
        table = table[word][1]
    for name, (summary, _) in table.items():
        assert re.search(rf"^  {name}  +{re.escape(summary)}$", told, re.MULTILINE), told


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("push a b/c --compresion gzip", "no such option: --compresion", "did you mean --compression"),
        (
            "push a b/c --compression gzp",
            "--compression 'gzp' is not known",
            "did you mean gzip? known: gzip, zstd or none",
        ),
        ("push a b/c --format oic", "--format 'oic' is not known", "did you mean oci?"),
        ("push a b/c --jobs many", "--jobs 'many' is no whole number", "see oci-push push --help"),
        ("push a b/c --retries -1", "--retries -1 is less than 0", "see oci-push push --help"),
        ("sandbox --port 65536", "--port 65536 is more than 65535", "see oci-push sandbox --help"),
        ("push a b/c --timeout soon", "--timeout 'soon' is no number of seconds", "such as 90, 90s or 2m; 0 is none"),
        ("push a b/c --tag", "option '--tag' requires an argument", "see oci-push push --help"),
        ("push a b/c --plan=yes", "option '--plan' does not take a value", "see oci-push push --help"),
        ("push", "missing argument 'SOURCE'", "see oci-push push --help"),
        ("eval a b", "got unexpected extra argument", "see oci-push eval --help"),
        ("schema confg", "FORM 'confg' is not known", "did you mean config?"),
        ("completion powershell", "SHELL 'powershell' is not known", "bash, zsh or fish"),
        ("pussh a b", "no such command: 'pussh'", "did you mean push?"),
        ("ecr replication sho", "oci-push ecr replication has no command 'sho'", "did you mean show?"),
        ("ecr zzz", "oci-push ecr has no command 'zzz'", "see oci-push ecr --help"),
    ],
)
def test_a_mistake_is_told_with_what_is_near(words: str, error: str, hint: str, tmp_path: Path) -> None:
    done = program(*words.split(), cwd=tmp_path, code=2)
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"error: {error}")
    assert lines[1].startswith(f"  hint: {hint}")
    assert lines[2:] == [f"  help: OCP-USAGE {link_of('OCP-USAGE')}"]
    assert done.stdout == ""


def test_an_error_ends_with_its_code_and_link(tmp_path: Path) -> None:
    told = program("push", "nowhere.tar", "127.0.0.1:9/a:1", cwd=tmp_path, code=3).stderr
    assert told.splitlines() == [
        "error: nowhere.tar: no such file or folder",
        "  hint: check the path",
        f"  help: OCP-SOURCE {link_of('OCP-SOURCE')}",
    ]


def test_the_manual_page_has_everything_and_no_request_that_is_none(tmp_path: Path) -> None:
    told = program("man", cwd=tmp_path).stdout
    assert told == page()
    plain = told.replace("\\-", "-")
    assert all(f'.SS "oci-push {name}' in plain for name in LEAVES)
    assert all(f".B {code}\n" in plain for code in CODES)
    requests = {line.split(" ")[0] for line in told.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".nf", ".fi"}
