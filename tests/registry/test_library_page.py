"""`docs/library.md`: every block of code runs as it stands, and the table of errors says what is so."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault
from equipment.sandbox import Sandbox
from images import layer, make_layout
from signingkeys import pair

import oci_push

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text()
BLOCKS = re.findall(r"^```python( notebook)?\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| (.+?) \| .+ \|$", re.MULTILINE)
PIPELINE = """
version: '1.0'
steps:
  build: {type: build, image_name: team/app, tag: '${{VERSION}}'}
  publish: {type: push, candidate: '${{build}}', registry: production, tag: '${{VERSION}}'}
"""
CONFIG = "registries: [{name: production, provider: other, domain: registry.example.com, username: a, password: b4Zq9}]"


@pytest.mark.usefixtures("own_home")
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_the_page_runs_as_it_stands(
    number: int, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_layout(tmp_path / "build" / "image", layer(1), layer(2))
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "oci-push.yaml").write_text(CONFIG)
    pair(tmp_path, "signing")
    sandbox.faults.add(Fault("PUT", "/v2/locked/", action=Answer(403, code="DENIED"), times=0))
    monkeypatch.chdir(tmp_path)
    _, text = BLOCKS[number]
    code = compile(
        text.replace("localhost:5000", sandbox.address), "library.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    given: dict[str, object] = {"__name__": "__main__"}
    if code.co_flags & inspect.CO_COROUTINE:  # a cell of a notebook, in which a loop runs already

        async def cell() -> None:
            await eval(code, given)

        asyncio.run(cell())
    else:
        exec(code, given)
    if "rehearse=True" not in text:
        assert sandbox.traffic.count(method="PUT", path_pattern="/manifests/", status=201) > 0


def test_a_type_checker_finds_nothing_wrong_with_the_blocks_and_sees_what_is(tmp_path: Path) -> None:
    for number, (kind, text) in enumerate(BLOCKS):
        if not kind:
            (tmp_path / f"block_{number}.py").write_text(text)
    wrong = "import oci_push\n\n\nasync def main() -> int:\n    return await oci_push.aio.push('a', tagz=1)\n"
    (tmp_path / "wrong.py").write_text(wrong)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "."]
    cache = Path(__file__).parents[2] / ".mypy_cache" / "library-page"
    done = subprocess.run([*command, f"--cache-dir={cache}"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert [line.split(" error: ")[1] for line in done.stdout.splitlines() if " error: " in line] == [
        'Incompatible return value type (got "PushReport", expected "int")  [return-value]',
        'Unexpected keyword argument "tagz"  [call-arg]',
    ], done.stdout + done.stderr


def test_the_page_has_blocks_and_one_of_them_is_a_notebooks() -> None:
    assert len(BLOCKS) >= 8
    assert [bool(kind) for kind, _ in BLOCKS].count(True) == 1


def test_the_table_has_every_error_with_its_exit_code_and_whether_it_may_pass() -> None:
    rows = {name: (int(code), may_pass) for name, code, may_pass in ROW.findall(PAGE)}
    public = {name: getattr(oci_push, name) for name in oci_push._HOME_OF}
    errors = {name: kind for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, BaseException)}
    assert rows.keys() == errors.keys()
    for name, kind in errors.items():
        error = kind("text")
        code, may_pass = rows[name]
        assert (name, error.exit_code) == (name, code)
        if may_pass in ("yes", "no"):
            assert (name, error.transient) == (name, may_pass == "yes")


def test_the_table_of_functions_names_them_all_with_what_they_return() -> None:
    told = dict(re.findall(r"^\| `(\w+)\(.*\)` \|.*\| `(\w+)` \|$", PAGE, flags=re.MULTILINE))
    functions = [name for name in oci_push._HOME_OF if name.islower() and name not in ("decode", "encode")]
    assert told == {name: typing.get_type_hints(getattr(oci_push, name))["return"].__name__ for name in functions}
