"""Options for how requests go: what they carry of ours, how many a second, where names lead, chunks and mounts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from oci_push.cli.words import LOGIN, SPEED, Option
from oci_push.errors import ConfigError
from oci_push.model.traffic import Header, Traffic

Headers = Annotated[
    list[str] | None,
    Option(
        "Send this with every request to the registry; @FILE has one in each line.",
        name="--header",
        short="-H",
        metavar="NAME[@HOST]: VALUE",
        under=LOGIN,
    ),
]
UserAgent = Annotated[str, Option("What requests say that they are sent by.", metavar="TEXT", under=LOGIN)]
Resolve = Annotated[
    list[str] | None,
    Option(
        "Connect there for this host and port; certificates stay its own.", metavar="HOST:PORT:ADDRESS", under=LOGIN
    ),
]
RequestsPerSecond = Annotated[
    str, Option("At most so many requests a second to one registry.", metavar="N", under=SPEED)
]
ChunkSize = Annotated[
    str, Option("At most so many bytes of a blob in one request: 16m, 100m.", metavar="SIZE", under=SPEED)
]
Mount = Annotated[
    str,
    Option(
        "From where blobs may be mounted: off, namespace, any, or repositories.",
        metavar="off|namespace|any|REPO,…",
        under=SPEED,
    ),
]
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")
_MOST_BYTES = 64 * 1024


class TrafficWords(Struct, frozen=True):
    """What these options were given; each is empty where it was not."""

    headers: Sequence[str] = ()
    user_agent: str = ""
    resolve: Sequence[str] = ()
    requests_per_s: str = ""
    chunk_size: str = ""
    mount: str = ""
    no_mount: bool = False

    def check(self) -> None:
        """Refuse what cannot be meant; raises `ConfigError`. Files that are named are not read yet."""
        if self.no_mount and self.mount not in ("", "off"):
            raise ConfigError(f"--mount {self.mount} has no effect with --no-mount", hint="leave out one of them")
        if self != TrafficWords(no_mount=self.no_mount):
            self._plain()
            list(self._headers([one for one in self.headers if not one.startswith("@")]))
            self.pinned()

    @property
    def may_mount(self) -> bool:
        """Return whether anything may be mounted."""
        return not self.no_mount and self.mount != "off"

    def pinned(self) -> Mapping[tuple[str, int], tuple[str, ...]]:
        """Return the addresses that stand for hosts and ports."""
        if not self.resolve:
            return {}
        from oci_push.model import traffic_words

        with _of("--resolve"):
            return traffic_words.pinned(self.resolve)

    def by_host(self, hosts: Sequence[str] | None) -> Mapping[str, Traffic]:
        """Return what is said of the requests to each registry, and under the empty name to all others.

        A header that names no host is for the only one of `hosts`; raises `ConfigError` where there are several.
        """
        if self == TrafficWords(no_mount=self.no_mount):
            return {}
        base = self._plain()
        found: dict[str, list[Header]] = {}
        for host, header in self._headers(self.headers):
            if not host and len(hosts or ()) != 1:
                are = f"{len(hosts)} registries are asked ({', '.join(hosts)})" if hosts else "no registry is named"
                raise ConfigError(
                    f"--header {header[0]}: {are}, and a header is for one", hint=f"write {header[0]}@HOST: VALUE"
                )
            found.setdefault(host or (hosts or ("",))[0], []).append(header)
        return {"": base, **{host: replace(base, headers=_single(headers)) for host, headers in found.items()}}

    def _plain(self) -> Traffic:
        from oci_push.model import traffic_words as words

        made = Traffic()
        if self.requests_per_s:
            with _of("--requests-per-second"):
                made = replace(made, requests_per_s=words.requests_per_s(self.requests_per_s))
        if self.chunk_size:
            with _of("--chunk-size"):
                made = replace(made, chunk_bytes=words.chunk_bytes(self.chunk_size))
        if self.mount:
            with _of("--mount"):
                made = replace(made, mounts=words.mount_rule(self.mount))
        if self.user_agent:
            with _of("--user-agent"):
                made = replace(made, user_agent=words.user_agent(self.user_agent))
        return made

    def _headers(self, given: Sequence[str]) -> Iterator[tuple[str, Header]]:
        from oci_push.model import traffic_words as words

        for text in given:
            for line in _lines(text) if text.startswith("@") else [text]:
                with _of(f"--header {text}" if text.startswith("@") else "--header"):
                    read = words.given_header(line)
                yield read.host, read.header


def bytes_per_s(text: str) -> float:
    """Read ``--limit-rate``, whose suffixes are curl's; 0 where there is none."""
    match = _RATE.fullmatch(text)
    rate = float(match[1]) * 1024 ** " kmg".index(match[2].lower() or " ") if match else 0.0
    if text and not rate:
        raise ConfigError(f"--limit-rate {text!r} is no rate", hint="give bytes a second, as in 500k, 10M or 1.5G")
    return rate


def _lines(text: str) -> list[str]:
    """Return the lines of the file that ``@FILE`` names, so that no list of processes shows them."""
    try:
        with Path(text[1:]).open("rb") as file:
            lines = file.read(_MOST_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
        raise ConfigError(f"--header {text}: cannot be read ({reason})", hint="check the file's name") from None
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _single(headers: Sequence[Header]) -> tuple[Header, ...]:
    from oci_push.model import traffic_words as words

    with _of("--header"):
        return words.no_header_twice(headers)


@contextmanager
def _of(option: str) -> Iterator[None]:
    try:
        yield
    except ValueError as problem:
        raise ConfigError(f"{option}: {problem}") from None
