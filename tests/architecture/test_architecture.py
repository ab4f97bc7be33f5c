"""Fixed properties of the code: who may import whom, where a dependency lives, what no file may do.

A rule that hurts is changed here and in `docs/architecture.md` in one commit, with the reason. Each test gives the
whole list of offenders, so that one run shows all there is to mend.
"""

from __future__ import annotations

import ast
import graphlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator

import pytest
from sourcecode import PROJECT, imports, modules, names, own_imports, uses

LADDER: tuple[tuple[str, ...], ...] = (
    ("secret",),
    ("errors",),
    ("model",),
    ("forms",),
    ("runtime",),
    ("protocol", "events"),
    ("transport", "signing"),
    ("credentials",),
    ("providers",),
    ("registry",),
    ("sources",),
    ("engine",),
    ("runner",),
    ("work",),
    ("api",),
    ("library",),
    ("aio",),
    ("",),  # the root `__init__`, which lists the public names
    ("cli",),
    ("__main__",),
)
"""Lowest first. Those on one rung do not see each other; `errors` stands on `secret`, as errors are told without them;
`runtime` stands on `model`, as its memory keeps digests."""

BESIDE = {
    "expressions": {"secret", "errors", "forms", "model", "runtime"},
    "variables": {"secret", "errors", "forms", "model", "runtime", "expressions"},
    "language": {
        "secret",
        "errors",
        "forms",
        "model",
        "runtime",
        "protocol",
        "events",
        "expressions",
        "variables",
        "providers",
    },
    "sandbox": {"secret", "errors", "forms", "model", "runtime", "protocol", "events"},
}
"""Rooms that stand beside the ladder: what they see. They are seen from `runner` upwards."""

HOMES = {
    "dask": ("oci_push/work/dask_",),
    "distributed": ("oci_push/work/dask_", "oci_push/cli/dask_worker.py"),
    "httpx": ("oci_push/transport/",),
    "httpcore": ("oci_push/transport/",),
    "boto3": ("oci_push/providers/ecr/aws.py",),
    "h11": ("oci_push/transport/connection.py",),
    "botocore": ("oci_push/providers/ecr/aws.py", "oci_push/providers/ecr/error_responses.py"),
    "yaml": ("oci_push/language/document.py",),
    "cryptography": (
        "oci_push/providers/google.py",
        "oci_push/registry/cipher.py",
        "oci_push/signing/",
        "oci_push/transport/tls.py",
    ),
    "msgspec": ("oci_push/",),
    "regex": ("oci_push/expressions/javascript/patterns.py", "oci_push/model/mirroring.py"),
    "typer": ("oci_push/cli/",),
    "rich": ("oci_push/cli/",),
    "isal": ("oci_push/sources/",),
    "sigstore": ("oci_push/signing/keyless.py", "oci_push/signing/roots.py"),
    "zstandard": ("oci_push/sources/",),
}
"""Where each dependency may be imported. One that is not named here may be imported nowhere."""

DISTRIBUTIONS = {"pyyaml": "yaml"}
"""Dependencies whose import name is another than their own."""

MOST_LINES = 400


def refuse(offenders: Iterable[str]) -> None:
    """Fail with every offender on a line of its own."""
    found = sorted(set(offenders))
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def sees(room: str) -> set[str]:
    """Give the rooms that one may import from, its own included."""
    if room in BESIDE:
        return BESIDE[room] | {room}
    rung = next(number for number, names in enumerate(LADDER) if room in names)
    lower = {name for names in LADDER[:rung] for name in names}
    above_engine = rung > next(number for number, names in enumerate(LADDER) if "engine" in names)
    return lower | {room} | (set(BESIDE) if above_engine else set())


def test_every_room_has_its_place_on_the_ladder() -> None:
    placed = {name for names in LADDER for name in names} | set(BESIDE)
    refuse(module.where for module in modules() if module.room not in placed)


def test_modules_import_only_from_lower_rungs_or_their_own_room() -> None:
    refuse(
        f"{module.where}:{line} imports {target}"
        for module in modules()
        for target, line in own_imports(module)
        if _room(target) not in sees(module.room)
    )


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {module.name: {target for target, _ in own_imports(module)} for module in modules()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_imports_are_absolute() -> None:
    refuse(
        f"{module.where}:{each.line} imports {each.target}"
        for module in modules()
        for each in imports(module.tree)
        if each.target.startswith(".")
    )


def test_dependencies_are_imported_only_at_home() -> None:
    refuse(
        f"{module.where}:{each.line} imports {name}"
        for module in modules()
        for each in imports(module.tree)
        if (name := each.target.split(".")[0]) not in sys.stdlib_module_names | {"oci_push", ""}
        and not module.where.startswith(HOMES.get(name, ()))
    )


def test_every_declared_dependency_has_a_home() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[^A-Za-z0-9_-]", requirement)[0].lower() for requirement in declared]
    refuse(name for name in names if DISTRIBUTIONS.get(name, name) not in HOMES)


def test_files_are_short() -> None:
    refuse(
        f"{module.where}: {count} lines"
        for module in modules()
        if (count := len(module.text.splitlines())) > MOST_LINES
    )


def test_init_files_are_empty_except_the_root() -> None:
    refuse(module.where for module in modules() if module.is_package and module.room != "" and module.text.strip())


def test_modules_have_a_docstring() -> None:
    refuse(module.where for module in modules() if module.text.strip() and not ast.get_docstring(module.tree))


def test_public_names_have_a_docstring() -> None:
    refuse(f"{module.where}:{node.lineno} {node.name}" for module in modules() for node in _undocumented(module.tree))


PROVIDERS_INTERFACE = {"base", "families", "replication", "job_logins", "job_tokens"}
"""The modules of `providers` that others see; the clouds' own are behind them."""

VENDORS = {"acr", "amazon", "artifactory", "aws", "azure", "bintray", "cloudflare", "dockerhub", "ecr", "gar", "gcr"}
VENDORS |= {"amazonaws", "digitalocean", "google", "googleapis", "harbor", "jfrog", "nexus", "quay"}
VENDORS_WORDS = {
    "oci_push/language/": "pipelines and oci-push.yaml have words of their own for some clouds",
    "oci_push/cli/ecr.py": "the command's name",
    "oci_push/cli/app.py": "the same",
    "oci_push/cli/examples.py": "the same",
    "oci_push/cli/complete_words.py": "made from the commands and their choices",
    "oci_push/cli/integrations.py": "other programs' words for registries",
    "oci_push/cli/ci.py": "CI services, one of which has the name of a cloud",
    "oci_push/variables/": "CI services, one of which has the name of a cloud",
    "oci_push/transport/redirects.py": "where clouds tell an instance of itself: no server may send us there",
    "oci_push/__init__.py": "the public names of values that only one cloud takes",
}
"""Where a vendor may be named outside of `providers`, and why. Sentences for people may do so anywhere."""


def test_clouds_are_seen_only_through_the_interface_of_the_providers() -> None:
    public = "oci_push.providers.ecr.identity"
    refuse(
        f"{module.where}:{line} imports {target}"
        for module in modules()
        for target, line in own_imports(module)
        if module.room != "providers" and target.startswith("oci_push.providers.")
        if target.split(".")[2] not in PROVIDERS_INTERFACE and (module.room, target) != ("", public)
    )


def test_nothing_outside_the_providers_knows_a_vendor_by_name() -> None:
    refuse(
        f"{module.where}:{line} {name}"
        for module in modules()
        if module.room != "providers" and not module.where.startswith(tuple(VENDORS_WORDS))
        for name, line in names(module.tree)
        if not VENDORS.isdisjoint(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    )


NOT_IN_THE_CORE = ("print", "input", "sys.exit", "sys.stdout", "sys.stderr", "sys.argv")
"""What only the command line does. Standard input may be a source."""


def test_core_neither_prints_nor_exits() -> None:
    refuse(_found(NOT_IN_THE_CORE, except_in=("oci_push/cli/", "oci_push/__main__.py")))


PRINTING = (
    "print",
    "sys.stdout",
    "sys.stderr",
    "sys.__stdout__",
    "sys.__stderr__",
    "typer.echo",
    "typer.secho",
    "click.echo",
    "click.secho",
    "logging.basicConfig",
    "logging.StreamHandler",
    "rich.print",
    "rich.console.Console",
    "warnings.showwarning",
)
"""What would print past the door that cleans."""


def test_everything_is_printed_through_one_door() -> None:
    # The entry prints its own help and version, before anything is imported that cleans.
    refuse(_found(PRINTING, except_in=("oci_push/cli/output.py", "oci_push/cli/app.py")))


def test_nothing_sleeps() -> None:
    refuse(_found(("time.sleep", "asyncio.sleep"), except_in=()))


THREADS = (
    "threading.Thread",
    "threading.Timer",
    "_thread.start_new_thread",
    "concurrent.futures",
    "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.ProcessPoolExecutor",
    "multiprocessing.Process",
    "socketserver.ThreadingMixIn",
    "http.server.ThreadingHTTPServer",
)


def test_threads_are_started_in_one_file_and_by_the_sandbox_server() -> None:
    refuse(_found(THREADS, except_in=("oci_push/runtime/tasks.py", "oci_push/sandbox/")))


def test_an_event_loop_is_used_by_the_layer_for_asyncio_alone() -> None:
    refuse(
        f"{module.where}:{each.line} imports {each.target}"
        for module in modules()
        for each in imports(module.tree)
        if module.room != "aio" and each.target.split(".")[0] in ("asyncio", "anyio", "trio")
    )


SURROUNDINGS = (
    "os.environ",
    "os.getenv",
    "os.environb",
    "os.path.expanduser",
    ".expanduser",
    "os.path.expandvars",
    "pathlib.Path.home",
    "pathlib.Path.cwd",
    "os.getcwd",
    "getpass.getuser",
)
CLOCKS = (
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
)
RANDOMNESS = (
    "random.random",
    "random.uniform",
    "random.randrange",
    "random.choice",
    "random.Random",
    "random.SystemRandom",
    "os.urandom",
    "secrets.token_hex",
    "secrets.token_bytes",
    "secrets.token_urlsafe",
    "uuid.uuid4",
)
COMPOSITION = ("oci_push/api.py", "oci_push/library/variables.py", "oci_push/cli/", "oci_push/__main__.py")
"""Where a run is put together: these hand the surroundings on as values."""


def test_environment_and_home_are_read_only_where_runs_are_put_together() -> None:
    refuse(_found(SURROUNDINGS, except_in=COMPOSITION))


def test_time_is_read_only_by_the_clock() -> None:
    refuse(_found(CLOCKS, except_in=("oci_push/runtime/clock.py",)))


def test_randomness_is_passed_in() -> None:
    # A server draws its own secrets: the sandbox is put together where it starts.
    refuse(_found(RANDOMNESS, except_in=(*COMPOSITION, "oci_push/sandbox/server.py")))


@pytest.mark.parametrize(("room", "table"), [("providers", "families"), ("sources", "table")])
def test_every_module_of_a_room_with_a_table_is_reached_from_it_or_used_outside(room: str, table: str) -> None:
    here = {module.name: module for module in modules() if module.room == room and not module.is_package}
    outside = {target for module in modules() if module.room != room for target, _ in own_imports(module)}
    waiting = [f"oci_push.{room}.{table}", *outside]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in here and name not in reached:
            reached.add(name)
            waiting.extend(target for target, _ in own_imports(here[name]))
    refuse(set(here) - reached)


def test_imports_are_seen_wherever_they_stand() -> None:
    tree = ast.parse(
        "import a.b\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from c.d import e\n"
        "def lazy():\n    from f import g as h\n"
        "from . import i\n"
    )
    targets = {each.target for each in imports(tree)}
    assert targets == {"a.b", "typing.TYPE_CHECKING", "c.d.e", "f.g", "..i"}


def test_uses_are_seen_under_any_name() -> None:
    tree = ast.parse(
        "import time\nimport time as t\nfrom time import sleep\nfrom time import sleep as nap\n"
        "time.sleep(1)\nt.sleep(1)\nsleep(1)\nnap(1)\nscope.sleep(1)\n"
    )
    assert sorted(line for _, line in uses(tree, "time.sleep")) == [5, 6, 7, 8]


def test_vendors_are_seen_in_names_and_in_single_words() -> None:
    tree = ast.parse("class AwsKeys: pass\ndef f(ecr_host): return x.is_ecr == 'ecr'\nsay('for ECR only')\n")
    assert {name for name, _ in names(tree)} >= {"AwsKeys", "ecr_host", "is_ecr", "ecr"}
    assert "for ECR only" not in {name for name, _ in names(tree)}


def _found(names: tuple[str, ...], *, except_in: tuple[str, ...]) -> Iterator[str]:
    return (
        f"{module.where}:{line} {name}"
        for module in modules()
        if not module.where.startswith(except_in)
        for name, line in uses(module.tree, *names)
    )


def _undocumented(tree: ast.Module) -> Iterable[ast.FunctionDef | ast.ClassDef]:
    """Give public classes, functions and methods without docstring; properties of a value count as functions."""
    holders: list[ast.Module | ast.ClassDef] = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    for holder in holders:
        if isinstance(holder, ast.ClassDef) and holder.name.startswith("_"):
            continue
        for node in holder.body:
            if (
                isinstance(node, ast.FunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and not _is_overload(node)
                and ast.get_docstring(node) is None
            ):
                yield node


def _is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).endswith(("overload", ".setter")) for decorator in node.decorator_list)


def _room(name: str) -> str:
    """Give the room of a dotted name; empty for the root."""
    return f"{name}.".split(".")[1]
