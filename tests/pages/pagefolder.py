"""The folder, the registry and the home that the commands of a page find: what its reader would have.

The hosts that pages speak of are one sandbox, to which an oci-push.yaml leads.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import images
from program import program
from signingkeys import pair
from stores import StoreWriter

from oci_push.sandbox.server import RehearsalRegistry

DEMO = Path(__file__).parents[2] / "fixtures" / "demo"
HOSTS = ("localhost:5000", "registry.example.com", "other.example.com", "registry.inner.example:5000")
PIPELINE = """\
version: '1.0'
steps:
  build: {type: build, image_name: team/app}
  publish: {type: push, candidate: "${{build}}", registry: registry.example.com, tag: "${{VERSION}}"}
"""
_COMMENT = re.compile(r"\s+# .*$")
_STREAMS = re.compile(r"^(?:(?P<left>[^|<>]+)\|)?(?P<call>[^|<>]+)(?:<(?P<read>[^|<>]+))?(?:>(?P<write>[^|<>]+))?$")


class PageFolder:
    """A folder in which commands are run one after the other; `code` is the last one's exit code."""

    def __init__(self, folder: Path, registry: RehearsalRegistry) -> None:
        self.folder = folder
        self.address = registry.address
        self.code = 0
        shutil.copytree(DEMO / "image", folder / "build" / "image")
        layer = images.layer(1)
        archive = images.docker_archive(("layer.tar", layer), config=images.config_of(layer), paths=["layer.tar"])
        (folder / "image.tar").write_bytes(archive)
        StoreWriter(folder / "store").add(layer, names=("localhost/app:latest",))
        self.storage = folder / "storage.conf"
        self.storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/store"\n')
        (folder / "pipeline.yml").write_text(PIPELINE)
        pair(folder, "signing")
        described = "".join(
            f"  - {{name: {host!r}, domain: {host!r}, address: {registry.address!r}, plain_http: true}}\n"
            for host in HOSTS
        )
        self.config = folder / "oci-push.yaml"
        self.config.write_text(
            f"registries:\n{described}variables: {{VERSION: 1.4.2}}\ncandidates: {{build: oci:build/image}}\n"
        )

    def run(self, command: str) -> tuple[str, str]:
        """Run one line as a shell would; return what it printed on stdout and stderr."""
        if command == "echo $?":
            return f"{self.code}\n", ""
        match = _STREAMS.match(_COMMENT.sub("", command))
        assert match, f"{command}: not understood; mark the block as not run"
        words = shlex.split(match["call"])
        assert words[0] == "oci-push", f"{command}: not a command of ours; mark the block as not run"
        assert "…" not in command, f"{command}: cannot be run; mark the block as not run"
        if words[1] == "sandbox":
            return self._sandbox(words[1:]), ""
        if match["left"] and match["left"].startswith("docker save"):
            done = self._piped(words[1:])
        else:
            stdin = self._stdin(match["left"] or "", match["read"] or "")
            env = {"OCI_PUSH_CONFIG": str(self.config), "CONTAINERS_STORAGE_CONF": str(self.storage)}
            done = program(*words[1:], cwd=self.folder, code=None, stdin=stdin, **env)
        self.code = done.returncode
        if match["write"]:
            (self.folder / match["write"].strip()).write_text(done.stdout)
            return "", done.stderr
        return done.stdout, done.stderr

    def python(self, text: str) -> None:
        """Run a program in a process of its own, its registries replaced by the sandbox."""
        for host in HOSTS:
            text = text.replace(host, self.address)
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "PYTHONPATH": str(DEMO.parents[1])}
        done = subprocess.run([sys.executable, "-c", text], cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def _piped(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run it with an archive on stdin, which is a pipe that only a process has."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "OCI_PUSH_CONFIG": str(self.config)}
        with (self.folder / "image.tar").open("rb") as archive:
            command = [sys.executable, "-m", "oci_push", *words]
            return subprocess.run(command, cwd=self.folder, env=env, stdin=archive, capture_output=True, text=True)

    def _stdin(self, left: str, read: str) -> str:
        assert not left, f"{left}: not known; mark the block as not run"
        return (self.folder / read.strip()).read_text() if read else ""

    def _sandbox(self, words: list[str]) -> str:
        """Start what would go on for ever, at any free port; return its first line as if it were at the one wanted."""
        at = words.index("--port") + 1
        wanted, words[at] = words[at], "0"
        command = [sys.executable, "-m", "oci_push", *words]
        with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.terminate()
        return re.sub(r":\d+$", f":{wanted}", line, flags=re.MULTILINE)
