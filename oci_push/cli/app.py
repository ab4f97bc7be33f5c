"""The command line's entry: one table of commands, of which only the one that is called is imported.

What the root itself says (`--help`, `--version`, an unknown command) comes from the table, before Typer is imported: a
person who asks for the version waits for Python and nothing else.
"""

from __future__ import annotations

import gc
import os
import sys

from oci_push import __version__

TYPE_CHECKING = False  # importing `typing` to learn this would double the time of --version
if TYPE_CHECKING:
    from typing import Any, NoReturn

ABOUT = "Push container images to registries over HTTP: no daemon, no root."

GROUPS: dict[str, dict[str, tuple[str, Any]]] = {
    "Images": {
        "push": ("Push an image to one or several repositories.", "push:push"),
        "copy": ("Copy images of registries, with what refers to them.", "copy:copy_command"),
        "mirror": ("Copy many images from and to many places, as a file says.", "mirror:mirror"),
        "pull": ("Save images in an OCI layout or an archive.", "pull:pull"),
        "inspect": ("Show what an image consists of, and what refers to it.", "inspect:inspect"),
        "digest": ("Print the digest of what a reference names.", "digest:digest"),
        "exists": ("Tell by the exit code whether images exist.", "digest:exists"),
        "diff": ("Compare two images.", "diff:diff"),
        "check": ("Check every digest, size and diff_id of an image.", "check:check"),
        "attach": ("Attach files to an image: SBOMs, attestations, …", "attach:attach"),
        "sign": ("Sign images that are there.", "sign:sign"),
        "attest": ("Say something of images, signed: SBOM, provenance, …", "sign:attest"),
        "verify": ("See that images are signed, by whom, and with what.", "verify:verify"),
        "referrers": ("Show what refers to an image, as a tree.", "referrers:referrers"),
        "artifact": (
            "Files and folders in a registry, with names and types.",
            {
                "push": ("Push files and folders as one artifact.", "artifact:artifact_push"),
                "pull": ("Write an artifact's files to a folder.", "artifact:artifact_pull"),
            },
        ),
        "tag": ("Give more tags to an image that is there.", "tag:tag"),
        "delete": ("Delete tags or manifests, after a look at them.", "delete:delete"),
        "annotate": ("Change the annotations of an image.", "annotate:annotate"),
        "mutate": ("Change an image's config: labels, variables, command, …", "mutate:mutate"),
        "index": (
            "Make an index of several images, and change one.",
            {
                "create": ("Make an index of images, wherever they are.", "index:create"),
                "add": ("Add images to an index.", "index:add"),
                "remove": ("Take images out of an index.", "index:remove"),
                "annotate": ("Change an index's annotations and platforms.", "index:annotate"),
            },
        ),
    },
    "Pipelines": {
        "run": ("Run a pipeline's push steps.", "run:run"),
        "plan": ("Show what a pipeline would do, without a registry.", "plan:plan"),
        "work": ("Do units of work, or one shard of them.", "work:work"),
        "export": ("Write units as YAML for Kubernetes, Argo, GitLab, GitHub.", "export:export"),
        "report": (
            "What several workers have done, as one.",
            {"merge": ("Join the results of workers.", "report:merge")},
        ),
        "validate": ("Check pipeline files, with line and column.", "validate:validate"),
        "eval": ("Evaluate a condition, and say why.", "evaluate:evaluate_command"),
        "variables": ("List a pipeline's variables and where they are from.", "variables:variables_command"),
        "schema": ("Print JSON Schemas of pipelines and configurations, for editors.", "schema:schema"),
    },
    "Logins": {
        "login": ("Log in to a registry and keep the login.", "login:login"),
        "logout": ("Remove a login.", "login:logout"),
        "whoami": ("Show which user goes to which registry.", "whoami:whoami"),
        "auth": (
            "Explain how a repository's registry lets us in.",
            {"explain": ("Tell which login, which flow and which scope; never the secret.", "auth:explain")},
        ),
    },
    "Registries": {
        "tags": ("List a repository's tags.", "tags:tags"),
        "repos": ("List a registry's repositories, where it offers that.", "tags:repos"),
        "doctor": ("Examine this machine, or a registry with real requests.", "doctor:doctor"),
        "blob": (
            "Single blobs of a repository, by their digests.",
            {
                "get": ("Read a blob, checking its bytes.", "blob:get"),
                "put": ("Store a file as a blob.", "blob:put"),
                "head": ("Tell whether blobs exist, and their sizes.", "blob:head"),
                "delete": ("Delete blobs, after a look at them.", "blob:delete"),
            },
        ),
        "manifest": (
            "Single manifests, byte for byte.",
            {
                "get": ("Read a manifest.", "manifest:get"),
                "put": ("Store a file as a manifest.", "manifest:put"),
                "head": ("Tell what manifests are, without reading them.", "manifest:head"),
            },
        ),
        "sandbox": ("Serve a registry on loopback, to rehearse with.", "sandbox:sandbox"),
        "integrations": (
            "Take over registries that are described elsewhere.",
            {"import": ("Write them as oci-push.yaml.", "integrations:import_registries")},
        ),
        "ecr": (
            "Amazon ECR's own settings.",
            {
                "replication": (
                    "Copies of a registry in other regions.",
                    {
                        "show": ("Print the registry's replication rules.", "ecr:show"),
                        "set": ("Replace the rules by those of a file.", "ecr:set_rules"),
                        "wait": ("Wait until every region serves an image.", "ecr:wait"),
                    },
                )
            },
        ),
    },
    "Setting up": {
        "init": ("Write an oci-push.yaml and a pipeline from what lies here.", "init:init"),
        "completion": ("Print the script that completes words in a shell.", "completion:completion"),
        "man": ("Print the manual page.", "man:man"),
    },
}
"""What the root's help lists: of each command a summary of at most 62 characters, and its module and function or a
table of further commands."""

COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
COMPLETE = "__complete"
"""The word that shells ask with what may come next; see `cli.complete`."""
_HELP = ("-h", "--help")
_OPTIONS = (
    ("-h, --help", "Show this; `oci-push COMMAND --help` tells more."),
    ("--version", "Print the version."),
)


def start() -> None:
    """Run the program as a process of its own, which ends at once: taking it apart takes as long as half of a start.

    By then results are printed, files written and what was learnt is kept; nothing waits for the interpreter's end.
    """
    gc.disable()  # what is imported stays: looking for garbage in it takes a twentieth of a start
    try:
        main()
        code = 0
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        code = end.code or 0
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            code = code or 1
    os._exit(code)


def main() -> None:
    """Run the program; where all went well but stdout did not take the results, end with 1."""
    words = sys.argv[1:]
    if words[:1] == [COMPLETE]:
        from oci_push.cli.complete import answer

        _show(answer(words[1:], os.environ), 0)
    if words[:1] == ["--version"]:
        _show(f"oci-push {__version__}", 0)
    if not words or words[0] in _HELP:
        _show(root_help(), 0 if words else 2)
    _load_msgspec()
    from oci_push.cli.output import lost_results, open_doors, tell
    from oci_push.secret import learn_logins

    open_doors()
    for word in sys.argv:
        learn_logins(word)
    try:
        _call(words)
    except SystemExit as end:
        lost = lost_results()
        if lost is None:
            raise
        tell(f"error: the results could not be printed: {lost.strerror}")
        raise SystemExit(end.code or 1) from None


def _load_msgspec() -> None:
    """Load msgspec without typing_extensions, which it prefers where it is installed and works without.

    What it wants of it, `typing` has in every Python that we run on; loading it takes 3 % of a start. Whoever needs it
    later gets it.
    """
    name = "typing_extensions"
    if name in sys.modules:
        return
    # Importing it fails now: https://docs.python.org/3/reference/import.html#the-module-cache
    sys.modules[name] = None  # type: ignore[assignment]  # which is documented
    try:
        import msgspec  # noqa: F401  # for those that import it after us
    finally:
        del sys.modules[name]


def _show(text: str, code: int) -> NoReturn:
    """Print a text of ours alone, which needs no cleaning, and end."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    except OSError:
        os._exit(code or 1)
    sys.exit(code)


def _call(words: list[str]) -> None:
    """Read plain words here, and leave everything else to Typer."""
    place: Any = COMMANDS
    left = words
    while left and isinstance(place, dict) and left[0] in place:
        place, left = place[left[0]][1], left[1:]
    if isinstance(place, dict) and left and left[0] not in _HELP:
        _refuse(words[: len(words) - len(left)], left[0], place)
    if isinstance(place, str):
        from oci_push.cli.words import call, parameters, read

        command = command_of(place)
        takes = parameters(command)
        given = read(takes, left)
        if given is not None:
            gc.freeze()
            gc.enable()
            call(command, takes, given)
            return
    from oci_push.cli.typed import application, run

    gc.freeze()
    gc.enable()
    run(application(words, COMMANDS, command_of, about=ABOUT, help_names=_HELP))


def root_help() -> str:
    """Return what `--help` prints before any command."""
    width = max(map(len, COMMANDS))
    lines = ["Usage: oci-push COMMAND [ARGS]...", "", f"  {ABOUT}"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:{width}}  {summary}" for name, (summary, _) in group.items())]
    lines += ["", "Options:", *(f"  {name:20}  {text}" for name, text in _OPTIONS)]
    return "\n".join(lines)


def command_of(place: str) -> Any:
    """Return what a command calls, by its module and function, importing it now."""
    import importlib

    module, _, function = place.partition(":")
    return getattr(importlib.import_module(f"oci_push.cli.{module}"), function)


def _refuse(above: list[str], word: str, table: dict[str, Any]) -> NoReturn:
    """Tell that there is no such word in a table of commands, and which is near."""
    import difflib

    from oci_push.cli.output import tell
    from oci_push.errors import link_of

    known = (*table, *_HELP, *(() if above else ("--version",)))
    end = word.find("=") if word.startswith("--") else 2 if word.startswith("-") else -1
    name, value = (word[:end], word[end:].strip("=")) if end > 0 else (word, "")
    near = difflib.get_close_matches(name, known, n=1)
    kind = "option" if word.startswith("-") else "command"
    shown = repr(name + "***" * bool(value))  # the value may be a password
    whole = " ".join(["oci-push", *above])
    tell(f"error: {whole} has no {kind} {shown}" if above else f"error: no such {kind}: {shown}")
    tell(f"  hint: {f'did you mean {near[0]}?' if near else f'see {whole} --help'}")
    tell(f"  help: OCP-USAGE {link_of('OCP-USAGE')}")
    sys.exit(2)
