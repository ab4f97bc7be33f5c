"""Options that several commands share: each is declared once, as a field of a group that commands take by its class."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from msgspec import Struct
from msgspec.structs import asdict

from oci_push.errors import ConfigError
from oci_push.model.endpoint import Credential, TlsConfig
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.providers.families import is_region
from oci_push.runtime.files import check_writable
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret

if TYPE_CHECKING:
    from oci_push.variables.exports import ExportForm

PlainHttp = Annotated[bool, typer.Option("--plain-http", help="Talk http to every registry (loopback does so anyway).")]
SkipVerify = Annotated[bool, typer.Option("--skip-tls-verify", help="Do not check certificates.")]
CaFile = Annotated[str, typer.Option("--ca-file", metavar="PEM", help="Trust these CAs as well.")]
CertFile = Annotated[str, typer.Option("--cert-file", metavar="PEM", help="Client certificate.")]
KeyFile = Annotated[str, typer.Option("--key-file", metavar="PEM", help="Its key.")]
Username = Annotated[str, typer.Option("--username", "-u", help="Log in as this user, with --password-stdin.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]
Family = Annotated[
    str,
    typer.Option("--family", metavar="NAME", help="What the registry is, where its host does not tell: harbor, …"),
]
Report = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write what was done as JSON.")]
Compression = Annotated[
    str, typer.Option(metavar="gzip|zstd|none", help="For layers stored uncompressed; gzip if not given.")
]
Level = Annotated[int, typer.Option("--compression-level", help="0: the algorithm's usual one.")]
Format = Annotated[
    str, typer.Option("--format", metavar="auto|docker|oci", help="Of manifests built for a docker-archive.")
]
TmpDir = Annotated[Path | None, typer.Option("--tmpdir", help="Folder for temporary files.")]
NoMount = Annotated[bool, typer.Option("--no-mount", help="Never mount blobs from other repositories.")]
NoCache = Annotated[bool, typer.Option("--no-memory", help="Neither use nor keep facts from earlier runs.")]
ForeignLayers = Annotated[
    bool, typer.Option("--foreign-layers", help="Send layers marked as not to be distributed, too.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read back every tag, ask for every blob, send what is missing.")
]
AllOrNothing = Annotated[
    bool, typer.Option("--all-or-nothing", help="Move no tag unless all can; put back those that have moved.")
]
LimitRate = Annotated[
    str, typer.Option("--limit-rate", metavar="RATE", help="Bytes a second for the whole run: 500k, 10M, 1G.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Requests at once to one registry; 0: by distance.")]
Retries = Annotated[int, typer.Option("--retries", min=0, help="How often a request or upload is repeated.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="oci-push.yaml that is trusted; also OCI_PUSH_CONFIG.")
]
AllowEnv = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-env",
        metavar="NAME[@HOST]",
        help="Let an oci-push.yaml that was found, not named, use this environment variable (for this registry only).",
    ),
]
CreateRepository = Annotated[
    bool, typer.Option("--create-repository", help="ECR: create repositories that are missing.")
]
Export = Annotated[
    Path | None,
    typer.Option("--export", metavar="FILE", help="Write what was pushed as variables, also to $GITHUB_OUTPUT."),
]
ExportFormat = Annotated[
    str, typer.Option("--export-format", metavar="dotenv|github|gitlab", help="By default told by the file and the CI.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0, help="Seconds for the whole command; 0: none.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Log every request (never a secret) to stderr.")]

_PATIENCE_S = 15.0
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")


_PASSWORD_BYTES = 64 * 1024


def read_password() -> Secret:
    """Read stdin to its end, as a password may be a key of many lines."""
    raw = read_stdin("--password-stdin", _PASSWORD_BYTES)
    try:
        password = basic_password(raw.decode("utf-8-sig"), "--password-stdin")
    except UnicodeDecodeError:
        # Not chained: the decoder's error carries the text.
        raise ConfigError("--password-stdin: stdin held no UTF-8 text", hint="write the password as UTF-8") from None
    if not password:
        raise ConfigError("--password-stdin: stdin held no password")
    return password


def read_stdin(what: str, most_bytes: int) -> bytes:
    """Read stdin to its end; raises `ConfigError` where there is none, or more of it than `most_bytes`."""
    try:
        raw = sys.stdin.buffer.read(most_bytes + 1) if sys.stdin else None
    except OSError as problem:
        raise ConfigError(f"{what}: stdin cannot be read ({problem.strerror})") from problem
    if raw is None:
        raise ConfigError(f"{what}: stdin is closed")
    if len(raw) > most_bytes:
        raise ConfigError(f"{what}: stdin held more than {most_bytes} bytes")
    return raw


def split_regions(texts: str | Sequence[str] | None) -> tuple[str, ...]:
    """Read ``a,b`` of ``--regions``, given once or often; repeated names count once. Raises `ConfigError`."""
    text = texts if isinstance(texts, str) else ",".join(texts or ())
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in found:
        if not is_region(name):
            raise ConfigError(f"--regions: {name!r} is not an AWS region", hint="such as eu-west-1,us-east-1")
    return found


class ConfigOptions(Struct, frozen=True):
    """Which oci-push.yaml is read, and what one that was found may use."""

    config: ConfigFile = None
    allow_env: AllowEnv = None


class Connection(ConfigOptions, frozen=True):
    """How registries are reached that oci-push.yaml does not describe; for every command that asks one."""

    plain_http: PlainHttp = False
    skip_verify: SkipVerify = False
    ca_file: CaFile = ""
    cert_file: CertFile = ""
    key_file: KeyFile = ""
    debug: Debug = False

    def common(self, **more: Any) -> Common:
        """Return all options that a push has, with the usual values for those that are not given."""
        return Common(**asdict(self), **more)

    def tls(self) -> TlsConfig:
        """Return the connection settings for registries that have none of their own."""
        if self.key_file and not self.cert_file:
            raise ConfigError("--key-file needs --cert-file")
        return TlsConfig(
            plain_http=True if self.plain_http else None,
            skip_verify=self.skip_verify,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
        )


class Common(Connection, frozen=True):
    """What `push` and `run` can be told."""

    username: Username = ""
    password_stdin: PasswordStdin = False
    compression: Compression = ""
    level: Level = 0
    format: Format = "auto"
    tmpdir: TmpDir = None
    no_mount: NoMount = False
    no_memory: NoCache = False
    jobs: Jobs = 0
    retries: Retries = 4
    foreign_layers: ForeignLayers = False
    verify: Verify = False
    all_or_nothing: AllOrNothing = False
    limit_rate: LimitRate = ""
    create_repository: CreateRepository = False
    report: Report = None
    export: Export = None
    export_format: ExportFormat = ""
    as_json: AsJson = False
    timeout: Timeout = 0
    quiet: Quiet = False

    def credential(self) -> Credential | None:
        """Read the password, if one was announced."""
        if not self.password_stdin and not self.username:
            return None
        if not (self.password_stdin and self.username):
            raise ConfigError("--username and --password-stdin go together")
        return Credential(basic_user(self.username, "--username"), read_password(), source="--username")

    def login_host(self, hosts: Sequence[str]) -> str:
        """Return the one host that ``--username`` is for; raises `ConfigError` where there are several, or none."""
        if not self.username or len(hosts) == 1:
            return next(iter(hosts), "") if self.username else ""
        if not hosts:
            raise ConfigError("--username: every registry has a login of its own", hint="leave it out")
        raise ConfigError(
            f"--username: {len(hosts)} registries want a login ({', '.join(hosts)}), and one password is for one",
            hint="log in to them: oci-push login HOST; or describe them in oci-push.yaml",
        )

    def export_form(self, env: Mapping[str, str]) -> ExportForm | None:
        """Choose the form of ``--export``, and see that both its file and the report's can be written."""
        if self.export_format and not self.export:
            raise ConfigError("--export-format needs --export FILE")
        check_writable(self.report, "--report")
        check_writable(self.export, "--export")
        if not self.export:
            return None
        from oci_push.variables.exports import choose_form

        return choose_form(str(self.export), self.export_format, env)

    def retry(self) -> RetryPolicy:
        """Return the policy of requests and uploads; a registry that goes away is waited for, in proportion."""
        return RetryPolicy(attempts=self.retries + 1, patience_s=_PATIENCE_S * self.retries)

    def limit_bytes_per_s(self) -> float:
        """Read ``--limit-rate``, whose suffixes are curl's; 0 where there is none."""
        match = _RATE.fullmatch(self.limit_rate)
        rate = float(match[1]) * 1024 ** " kmg".index(match[2].lower() or " ") if match else 0.0
        if self.limit_rate and not rate:
            raise ConfigError(
                f"--limit-rate {self.limit_rate!r} is no rate", hint="give bytes a second, as in 500k, 10M or 1.5G"
            )
        return rate

    def check(self) -> None:
        """Refuse values outside the closed lists, and options that take the effect from one another."""
        if self.compression not in ("", "gzip", "zstd", "none"):
            raise ConfigError(f"--compression {self.compression!r} is not known", hint="gzip, zstd or none")
        if self.format not in ("auto", "docker", "oci"):
            raise ConfigError(f"--format {self.format!r} is not known", hint="auto, docker or oci")
        if self.level and self.compression == "none":
            raise ConfigError("--compression-level has no effect with --compression none", hint="leave out one of them")
        if self.level:
            from oci_push.sources.compress import check_level

            check_level(self.compression or "gzip", self.level)
        if self.format == "docker" and self.compression == "zstd":
            raise ConfigError(
                "--format docker has no effect with --compression zstd: docker's manifests do not know zstd",
                hint="leave out --format, or give --compression gzip",
            )
        tls = {"--ca-file": self.ca_file, "--cert-file": self.cert_file, "--key-file": self.key_file}
        given = [name for name, value in (*tls.items(), ("--skip-tls-verify", self.skip_verify)) if value]
        if self.plain_http and given:
            raise ConfigError(f"{given[0]} has no effect with --plain-http", hint="leave out one of them")
        if self.skip_verify and self.ca_file:
            raise ConfigError("--ca-file has no effect with --skip-tls-verify", hint="leave out --skip-tls-verify")

    def asked(self) -> frozenset[str]:
        """Say which of the options about making an image were given."""
        values = {"compression": self.compression, "level": self.level, "format": self.format != "auto"}
        return frozenset(name for name, value in values.items() if value)


def takes(*groups: type[Struct]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command's last parameters, one for each of `groups`, into options: one for each of their fields."""
    options = [
        {
            name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
            for name, default in zip(group.__struct_fields__, group.__struct_defaults__, strict=True)
        }
        for group in groups
        for hints in [get_type_hints(group, include_extras=True)]
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = list(inspect.signature(command, eval_str=True).parameters.values())
        own, last = parameters[: -len(groups)], parameters[-len(groups) :]
        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]

        def taking(**given: Any) -> None:
            for parameter, group, names in zip(last, groups, options, strict=True):
                given[parameter.name] = group(**{name: given.pop(name) for name in names if name in given})
            command(**given)

        every = [*own, *(option for names in options for option in names.values())]
        taking.__signature__ = inspect.Signature(every, return_annotation=None)  # type: ignore[attr-defined]  # for typer
        taking.__annotations__ = {one.name: one.annotation for one in every}
        taking.__name__, taking.__doc__ = command.__name__, command.__doc__
        return taking

    return decorate
