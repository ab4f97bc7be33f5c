"""`oci-push export`: has Kubernetes, Argo, GitLab or GitHub do the units of a file, by YAML to look at and edit."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated

from oci_push.cli.command import run_command
from oci_push.cli.inputs import read_bytes
from oci_push.cli.on import HostLimit, read_limits
from oci_push.cli.options import AsJson
from oci_push.cli.output import say_bytes, say_form, tell, warn
from oci_push.cli.wording import counted
from oci_push.cli.words import LOGIN, OUTPUT, SPEED, TARGET, Argument, Option, listed
from oci_push.errors import ConfigError
from oci_push.forms import VERSION
from oci_push.runtime.context import Context
from oci_push.runtime.files import check_writable, write_result
from oci_push.secret import masked
from oci_push.work.clusters import argo_workflow, carried_by_config_map, indexed_job
from oci_push.work.export import (
    Export,
    Exported,
    Volume,
    check_files,
    check_project,
    limits_of_shards,
    registries_named,
)
from oci_push.work.matrices import check_matrix, github_workflow, gitlab_jobs
from oci_push.work.units import hosts_of, plain, read_units

USUAL_SHARDS = 4
_LONGEST_NAME = 50
"""Of a Job, whose pods are called after it and their index, in 63 characters."""
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_IMAGE = re.compile(r"[A-Za-z0-9][\w.-]*(:[0-9]+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII)
_FILE = re.compile(r"\w[\w./+@-]*", re.ASCII)
_PLACE = re.compile(r"(/[\w.+@-]+)+", re.ASCII)
_TOKENS = ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "dckr_pat_", "dckr_oat_")
"""How tokens begin that might be taken for the name of what holds them."""
_TAKEN = (
    *("/units", "/scratch", "/registry-login", "/config"),
    *("/opt/oci-push", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/dev", "/proc", "/sys", "/var/run"),
)
"""Folders of pods: those that are mounted, and those in which the program and what it needs are."""
_ENGINES = ("kubernetes-job", "argo", "gitlab-matrix", "github-matrix")


def export(
    file: Annotated[Path, Argument(metavar="FILE", help="Units, as plan, copy and mirror --units write them.")],
    kubernetes_job: Annotated[bool, Option("Write an Indexed Job.", under=TARGET)] = False,
    argo: Annotated[bool, Option("Write a Workflow of Argo.", under=TARGET)] = False,
    gitlab_matrix: Annotated[bool, Option("Write a parallel job of GitLab CI.", under=TARGET)] = False,
    github_matrix: Annotated[bool, Option("Write a workflow of GitHub Actions.", under=TARGET)] = False,
    image: Annotated[
        str, Option("An image of oci-push, made from its Containerfile.", metavar="IMAGE", under=TARGET)
    ] = "",
    shards: Annotated[
        int, Option("How many parts; 0: 4, or fewer for fewer units.", min=0, max=100_000, under=SPEED)
    ] = 0,
    at_once: Annotated[int, Option("How many parts at once; 0: all.", min=0, under=SPEED)] = 0,
    host_limit: HostLimit = None,
    secret: Annotated[
        str,
        Option("The Secret, or the CI's variable, that holds docker's config.json.", metavar="NAME", under=LOGIN),
    ] = "",
    config_secret: Annotated[str, Option("The Secret that holds oci-push.yaml.", metavar="NAME", under=LOGIN)] = "",
    service_account: Annotated[
        str, Option("Who pods are, for a cloud's own logins.", metavar="NAME", under=LOGIN)
    ] = "",
    volume: Annotated[
        str,
        Option("A claim with the images, which keeps results; at /data.", metavar="CLAIM[:PATH]", under=TARGET),
    ] = "",
    name: Annotated[str, Option("What it is called; else after the units.", metavar="NAME", under=TARGET)] = "",
    namespace: Annotated[str, Option("Where it runs; else where kubectl says.", metavar="NAME", under=TARGET)] = "",
    output: Annotated[
        Path | None, Option("File to write to; - is stdout.", short="-o", metavar="FILE", under=OUTPUT)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write YAML that has others do units of work: a cluster, or a CI with several jobs.

    Each pod or job does one shard by `oci-push work FILE --shard env`. Logins are named and never written.
    """

    def act(context: Context) -> int:
        chosen = dict(zip(_ENGINES, (kubernetes_job, argo, gitlab_matrix, github_matrix), strict=True))
        engines = [one for one in _ENGINES if chosen[one]]
        if len(engines) != 1:
            wanted = listed([f"--{one}" for one in _ENGINES])
            raise ConfigError(f"export wants one of {wanted}", hint="say for whom it is")
        engine = engines[0]
        is_cluster = engine in _ENGINES[:2]
        if not is_cluster:
            given = {"--namespace": namespace, "--service-account": service_account}
            _refuse_others(engine, given | {"--config-secret": config_secret, "--volume": volume})
            if engine == "gitlab-matrix" and at_once:
                raise ConfigError(
                    "--at-once has no effect with --gitlab-matrix", hint="GitLab's runners say how many jobs they take"
                )
        to = None if output is None or str(output) == "-" else output
        check_writable(to, "--output")
        if to is not None and to.exists() and file.exists() and to.samefile(file):
            raise ConfigError(f"--output {to}: is the file of units", hint="name another file")
        _check_names(is_cluster, name, namespace, secret, service_account, config_secret, image)
        data = read_bytes(file)
        units = read_units(data, str(file))
        if not units:
            raise ConfigError(f"{file}: holds no unit", hint="there is nothing to be done")
        text = plain(data, str(file)).decode("utf-8")
        if masked(text) != text:
            raise ConfigError(f"{file}: holds what looks like a secret", hint="look at its sources and annotations")
        count = shards or min(USUAL_SHARDS, len(units))
        together = min(at_once or count, count)
        made = Export(
            name=name or f"oci-push-{hashlib.sha256(text.encode()).hexdigest()[:8]}",
            file=file.name if is_cluster else _in_project(file),
            units=units,
            image=image,
            shards=count,
            at_once=together,
            namespace=namespace,
            secret=secret,
            account=service_account,
            config=config_secret,
            volume=_volume(volume),
            limits=limits_of_shards(read_limits(host_limit), together, units),
            carried=carried_by_config_map(text) if is_cluster else None,
        )
        if is_cluster:
            _check_cluster(made, file)
        else:
            check_matrix(engine, made.name, count, secret)
            check_project(units)
        if count > len(units):
            idle = counted(count - len(units), "shard")
            warn(f"nothing to do for {idle} of {count}: {file} has {counted(len(units), 'unit')}")
        write = {"kubernetes-job": indexed_job, "argo": argo_workflow, "gitlab-matrix": gitlab_jobs}
        yaml = write.get(engine, github_workflow)(made)
        if to is not None:
            write_result(to, yaml, "what was made")
        if as_json:
            shown = str(to) if to is not None else None
            say_form(Exported(VERSION, engine, made.name, len(units), count, hosts_of(units), shown, yaml))  # type: ignore[arg-type]  # one of the four
        elif to is None:
            say_bytes(yaml.encode())
        else:
            tell(f"{to}: {counted(len(units), 'unit')} in {counted(count, 'shard')}; {_next(engine, to, made)}")
        if is_cluster and made.carried is None and made.volume is not None:
            tell(f"the units are too large for a ConfigMap: copy {file} to {made.volume.path}/{made.file}")
        return 0

    run_command(act, what="export")


def _refuse_others(engine: str, given: dict[str, str]) -> None:
    for option, value in given.items():
        if value:
            raise ConfigError(f"{option} has no effect with --{engine}", hint="leave it out")


def _check_names(
    is_cluster: bool, name: str, namespace: str, secret: str, account: str, config: str, image: str
) -> None:
    """Refuse what is no name. What was given for a Secret's name is not shown: it may be the secret."""
    if not image:
        raise ConfigError("--image is missing", hint="make one: podman build -t IMAGE . in oci-push's repository")
    if not _IMAGE.fullmatch(image):
        raise ConfigError(f"--image {image!r} is no image", hint="such as registry.example.com/ci/oci-push:0.2")
    for option, text in (("--name", name), ("--namespace", namespace)):
        if text and not (_LABEL.fullmatch(text) and (option != "--name" or len(text) <= _LONGEST_NAME)):
            most = _LONGEST_NAME if option == "--name" else 63
            raise ConfigError(
                f"{option} {text!r} is no name", hint=f"a-z, 0-9 and -, at most {most}, beginning with a letter"
            )
    for option, text in (("--secret", secret), ("--config-secret", config), ("--service-account", account)):
        is_name = (_SUBDOMAIN if is_cluster else _VARIABLE).fullmatch(text) and not text.startswith(_TOKENS)
        if text and not is_name:
            hint = "a-z, 0-9, - and . are in names of Secrets" if is_cluster else "letters, digits and _"
            raise ConfigError(f"what {option} was given is no name", hint=f"give the name, never the secret: {hint}")


def _volume(text: str) -> Volume | None:
    if not text:
        return None
    claim, colon, path = text.partition(":")
    if not _SUBDOMAIN.fullmatch(claim) or (colon and (not _PLACE.fullmatch(path) or ".." in path)):
        raise ConfigError(f"--volume {text!r} is no claim", hint="write CLAIM or CLAIM:/PATH, such as images:/data")
    place = PurePosixPath(path or "/data")
    if any(place.is_relative_to(one) or PurePosixPath(one).is_relative_to(place) for one in _TAKEN):
        raise ConfigError(f"--volume {text!r}: the pods need {path} themselves", hint="such as images:/data")
    return Volume(claim, path) if path else Volume(claim)


def _in_project(file: Path) -> str:
    """Return the path by which jobs find the file."""
    text = str(file)
    if not _FILE.fullmatch(text) or ".." in file.parts:
        raise ConfigError(
            f"{file}: jobs look for the file in their project",
            hint="name it by a path in there, of letters, digits and . _ - / + @",
        )
    return text


def _check_cluster(export: Export, file: Path) -> None:
    check_files(export.units, export.volume)
    if (names := registries_named(export.units)) and not export.config:
        raise ConfigError(
            f"{file}: the units name {listed(names)}, which an oci-push.yaml describes",
            hint="put it into a Secret and name that: --config-secret NAME",
        )
    if export.is_signed and not export.config:
        raise ConfigError(
            f"{file}: the units are to be signed, as an oci-push.yaml says",
            hint="put it into a Secret, with its keys beside it, and name that: --config-secret NAME",
        )
    if export.carried is None:
        if export.volume is None:
            raise ConfigError(
                f"{file}: is too large for a ConfigMap, which holds 1 MiB, by gzip as well",
                hint="put it into a volume and name that: --volume CLAIM; or write several files of units",
            )
        if not _FILE.fullmatch(export.file):
            raise ConfigError(f"{file}: the name is no good in a volume", hint="letters, digits and . _ - + @")


def _next(engine: str, to: Path, export: Export) -> str:
    if engine in _ENGINES[:2]:
        return f"kubectl create -f {to}"
    if engine == "gitlab-matrix":
        return f"include it in .gitlab-ci.yml; its jobs read {export.file}"
    return f"keep it in .github/workflows; its jobs read {export.file}"
