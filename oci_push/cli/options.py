"""Options that several commands share: declared once, with help, default and check, and what each becomes inside.

A command takes a group by its class (`command.takes`). An option that is added to `ConfigOptions`, `Connection` or
`Common` is one of every command that takes it; one of `Delivery` is one of `push`, `run` and `plan`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from oci_push.cli import traffic_options as traffic
from oci_push.cli.output import start_debug_log, tell
from oci_push.cli.words import LOGIN, OUTPUT, SAFETY, SOURCE, SPEED, TARGET, Option
from oci_push.errors import ConfigError
from oci_push.model.endpoint import Credential, TlsConfig
from oci_push.model.identity import RepositoryCreation
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.providers.families import FAMILY_NAMES, is_region
from oci_push.runtime.files import check_writable
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret

if TYPE_CHECKING:
    from oci_push.engine.pusher import Pusher
    from oci_push.events import Emit
    from oci_push.runtime.context import Context
    from oci_push.variables.exports import ExportForm
    from oci_push.variables.lookup import VariableSource

CONFIG_NAME = "oci-push.yaml"
_NAMED_BY = "OCI_PUSH_CONFIG"
_HERE = "in the working folder"
_PATIENCE_S = 15.0
"""How long a registry that went away is waited for, for each of ``--retries``."""
_PASSWORD_BYTES = 64 * 1024


def _debug(wanted: bool) -> None:
    if wanted:
        start_debug_log()


AsJson = Annotated[bool, Option("Print the result as JSON.", name="--json", under=OUTPUT)]
CaFile = Annotated[str, Option("Trust these CAs as well.", metavar="PEM", under=LOGIN)]
Debug = Annotated[bool, Option("Log every request (never a secret) to stderr.", acts=_debug, under=OUTPUT)]
Family = Annotated[
    str,
    Option(
        "What the registry is, where its host does not tell: harbor, …",
        metavar="NAME",
        choices=FAMILY_NAMES,
        under=TARGET,
    ),
]
Jobs = Annotated[int, Option("Requests at once to one registry; 0: by distance.", short="-j", min=0, under=SPEED)]
LimitRate = Annotated[str, Option("Bytes a second for the whole run: 500k, 10M, 1G.", metavar="RATE", under=SPEED)]
NoMemory = Annotated[bool, Option("Neither use nor keep facts from earlier runs.", under=SPEED)]
PasswordStdin = Annotated[bool, Option("Read the password from stdin.", under=LOGIN)]
Quiet = Annotated[bool, Option("Print only results and errors.", short="-q", under=OUTPUT)]
Retries = Annotated[int, Option("How often a request or upload is repeated.", min=0, under=SPEED)]
Timeout = Annotated[float, Option("Time for the whole command: 90, 90s, 2m; 0: no end.", min=0, under=SPEED)]
Username = Annotated[
    str, Option("Log in as this user, with --password-stdin.", short="-u", metavar="NAME", under=LOGIN)
]
Var = Annotated[list[str] | None, Option("Set a variable.", metavar="NAME=VALUE")]


class ConfigOptions(Struct, frozen=True):
    """Which oci-push.yaml is read, and what one that was found may use."""

    config: Annotated[
        Path | None, Option("oci-push.yaml that is trusted; also OCI_PUSH_CONFIG.", metavar="FILE", under=LOGIN)
    ] = None
    allow_env: Annotated[
        list[str] | None,
        Option(
            "Let an oci-push.yaml that was found, not named, use this environment variable (for this registry only).",
            metavar="NAME[@HOST]",
            under=LOGIN,
        ),
    ] = None

    def find(self, pipeline: Path | None, env: Mapping[str, str]) -> tuple[Path | None, str]:
        """Return where the configuration is, if anywhere, and where it was found: empty of one that is trusted."""
        named = self.config or (Path(env[_NAMED_BY]) if env.get(_NAMED_BY) else None)
        if named:
            return named, ""
        own = own_config(env)
        for place, where in ((pipeline.parent if pipeline else None, "beside the pipeline"), (Path(), _HERE)):
            found = place / CONFIG_NAME if place is not None else None
            if found is not None and _is_file(found) and not (own is not None and found.samefile(own)):
                return found, where
        return own, ""


class Connection(ConfigOptions, frozen=True):
    """How registries are reached that oci-push.yaml does not describe; for every command that asks one."""

    plain_http: Annotated[bool, Option("Talk http to every registry (loopback does so anyway).", under=LOGIN)] = False
    skip_verify: Annotated[bool, Option("Do not check certificates.", name="--skip-tls-verify", under=LOGIN)] = False
    ca_file: CaFile = ""
    cert_file: Annotated[str, Option("Client certificate.", metavar="PEM", under=LOGIN)] = ""
    key_file: Annotated[str, Option("Its key.", metavar="PEM", under=LOGIN)] = ""
    header: traffic.Headers = None
    user_agent: traffic.UserAgent = ""
    resolve: traffic.Resolve = None
    requests_per_second: traffic.RequestsPerSecond = ""
    debug: Debug = False

    def common(self, **more: Any) -> Common:
        """Return all options that a push has, with the usual values for those that are not given."""
        made = Common(**asdict(self), **more)
        made.check()
        return made

    def check(self) -> None:
        """Refuse options that take the effect from one another."""
        if self.key_file and not self.cert_file:
            raise ConfigError("--key-file needs --cert-file", hint="give both, or neither")
        tls = {"--ca-file": self.ca_file, "--cert-file": self.cert_file, "--key-file": self.key_file}
        given = [name for name, value in (*tls.items(), ("--skip-tls-verify", self.skip_verify)) if value]
        if self.plain_http and given:
            raise ConfigError(f"{given[0]} has no effect with --plain-http", hint="leave out one of them")
        if self.skip_verify and self.ca_file:
            raise ConfigError("--ca-file has no effect with --skip-tls-verify", hint="leave out --skip-tls-verify")

    def tls(self) -> TlsConfig:
        """Return the connection settings for registries that have none of their own."""
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
    compression: Annotated[
        str,
        Option("For layers stored uncompressed; gzip if not given.", choices=("gzip", "zstd", "none"), under=SOURCE),
    ] = ""
    compression_level: Annotated[int, Option("0: the algorithm's usual one.", metavar="LEVEL", under=SOURCE)] = 0
    format: Annotated[
        str, Option("Convert to this form; auto: as it is.", choices=("auto", "docker", "oci"), under=SOURCE)
    ] = "auto"
    tmpdir: Annotated[Path | None, Option("Folder for temporary files.", metavar="FOLDER", under=SOURCE)] = None
    no_mount: Annotated[bool, Option("Never mount blobs from other repositories.", under=SPEED)] = False
    mount: traffic.Mount = ""
    chunk_size: traffic.ChunkSize = ""
    no_memory: NoMemory = False
    jobs: Jobs = 0
    retries: Retries = 4
    foreign_layers: Annotated[bool, Option("Send layers marked as not to be distributed, too.", under=SOURCE)] = False
    verify: Annotated[bool, Option("Read back every tag, ask for every blob, send what is missing.", under=SAFETY)] = (
        False
    )
    all_or_nothing: Annotated[
        bool, Option("Move no tag unless all can; put back those that have moved.", under=SAFETY)
    ] = False
    limit_rate: LimitRate = ""
    create_repository: Annotated[bool, Option("ECR: create repositories that are missing.", under=TARGET)] = False
    wait_replication: Annotated[
        bool,
        Option(
            "ECR: push once, and end when every region of the registry's rules (or of --regions) serves it,"
            " copying if need be.",
            under=TARGET,
        ),
    ] = False
    report: Annotated[Path | None, Option("Write what was done; as JSON by default.", metavar="FILE", under=OUTPUT)] = (
        None
    )
    export: Annotated[
        Path | None, Option("Write what was pushed as variables, also to $GITHUB_OUTPUT.", metavar="FILE", under=OUTPUT)
    ] = None
    export_format: Annotated[
        str, Option("By default told by the file and the CI.", choices=("dotenv", "github", "gitlab"), under=OUTPUT)
    ] = ""
    timeout: Timeout = 0
    quiet: Quiet = False

    def check(self) -> None:
        """Refuse options that take the effect from one another."""
        Connection.check(self)
        if self.compression_level and self.compression == "none":
            raise ConfigError("--compression-level has no effect with --compression none", hint="leave out one of them")
        if self.compression_level:
            from oci_push.sources.compress import check_level

            check_level(self.compression or "gzip", self.compression_level)
        if self.format == "docker" and self.compression == "zstd":
            raise ConfigError(
                "--format docker has no effect with --compression zstd: docker's manifests do not know zstd",
                hint="leave out --format, or give --compression gzip",
            )
        if bool(self.username) != self.password_stdin:
            raise ConfigError("--username and --password-stdin go together", hint="give both, or neither")
        if self.export_format and not self.export:
            raise ConfigError("--export-format needs --export FILE", hint="give both, or neither")
        self._traffic.check()

    @contextmanager
    def pusher(
        self, context: Context, emit: Emit, *, hosts: Sequence[str] | None = None, **more: Any
    ) -> Iterator[Pusher]:
        """Return a pusher in this process's environment with these options; `more` are fields of `Options`.

        `hosts` are the registries that ``--header`` may be for.
        """
        from oci_push import __version__
        from oci_push.api import this_environment
        from oci_push.engine.push import PushOptions
        from oci_push.engine.pusher import Options, Pusher
        from oci_push.sources.settings import SourceSettings
        from oci_push.transport.settings import TransportSettings

        environment = this_environment()
        asked = {"compression": self.compression, "level": self.compression_level, "format": self.format != "auto"}
        retry = RetryPolicy(attempts=self.retries + 1, patience_s=_PATIENCE_S * self.retries)
        options = Options(
            tls=self.tls(),
            credential=self._credential(),
            sources=SourceSettings(
                temp_folder=self.tmpdir,
                compression=self.compression or "gzip",
                level=self.compression_level,
                format=self.format,
                asked=frozenset(name for name, is_given in asked.items() if is_given),
            ),
            transport=TransportSettings(
                near_requests=self.jobs or 4,
                far_requests=self.jobs or 32,
                call_retry=retry,
                spare_requests=0 if self.jobs else 1,
                limit_bytes_per_s=traffic.bytes_per_s(self.limit_rate),
                user_agent=f"oci-push/{__version__}",
                env=environment.env,
                pinned=self._traffic.pinned(),
            ),
            traffic=self._traffic.by_host(hosts),
            blob_retry=retry,
            push_options=PushOptions(self.verify, self.all_or_nothing),
            mount=self._traffic.may_mount,
            remember=not self.no_memory,
            foreign_layers=self.foreign_layers,
        )
        pusher = Pusher(context, replace(options, **more), environment, emit)
        try:
            yield pusher
        finally:
            pusher.close()

    @property
    def _traffic(self) -> traffic.TrafficWords:
        pace, pieces = self.requests_per_second, (self.chunk_size, self.mount, self.no_mount)
        return traffic.TrafficWords(self.header or (), self.user_agent, self.resolve or (), pace, *pieces)

    def creation(self) -> RepositoryCreation | None:
        """Return how repositories that are missing are created, if they are."""
        return RepositoryCreation() if self.create_repository else None

    def resolving(self) -> dict[str, Any]:
        """Return what these options say in a pipeline's `ResolveContext`."""
        return {"wait_replication": self.wait_replication, "creation": self.creation()}

    def export_form(self, env: Mapping[str, str]) -> ExportForm | None:
        """Choose the form of ``--export``, and see that both its file and the report's can be written."""
        check_writable(self.report, "--report")
        check_writable(self.export, "--export")
        if not self.export:
            return None
        from oci_push.variables.exports import choose_form

        return choose_form(str(self.export), self.export_format, env)

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

    def _credential(self) -> Credential | None:
        """Read the password, if one was announced."""
        if not self.username:
            return None
        return Credential(basic_user(self.username, "--username"), read_password(), source="--username")


class Delivery(Struct, frozen=True):
    """What `push`, `run` and `plan` can be told."""

    regions: Annotated[
        list[str] | None,
        Option(
            "ECR: push to these AWS regions, all at once; push keeps the destination's own.",
            metavar="A,B",
            under=TARGET,
        ),
    ] = None
    as_json: AsJson = False

    def resolving(self) -> dict[str, Any]:
        """Return what these options say in a pipeline's `ResolveContext`."""
        return {"regions": split_regions(self.regions)}


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


def split_regions(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Read ``a,b`` of ``--regions``, given once or often; repeated names count once. Raises `ConfigError`."""
    found = tuple(dict.fromkeys(part.strip() for part in ",".join(texts or ()).split(",") if part.strip()))
    for name in found:
        if not is_region(name):
            raise ConfigError(f"--regions: {name!r} is not an AWS region", hint="such as eu-west-1,us-east-1")
    return found


def pairs(texts: Sequence[str] | None, option: str, form: str) -> dict[str, str]:
    """Return the values of ``NAME=VALUE`` options by name; the last of one name wins."""
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{option} {text!r}: expected {form}")
        found[name.strip()] = value
    return found


def given_source(option: str, values: Mapping[str, str]) -> VariableSource:
    """Return what an option gave as a source: literal, as a CI puts strangers' words there; a note says so."""
    from oci_push.variables.lookup import VariableSource, names_in

    for name, value in values.items():
        if names_in(value) and not name.startswith("secrets."):
            tell(f"note: {option}: the ${{{{…}}}} in the value of {name} stays as it is written")
    return VariableSource(option, values, is_literal=True, is_own=True)


def own_config(env: Mapping[str, str]) -> Path | None:
    """Return the user's own configuration, if there is one."""
    user = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    place = Path(user) / "oci-push" / CONFIG_NAME
    return place if user and _is_file(place) else None


def _is_file(place: Path) -> bool:
    """Return whether a usual place holds a file; one that may not even be looked at holds none."""
    try:
        return place.is_file()
    except OSError:
        return False
