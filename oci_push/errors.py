"""Every expected failure of oci_push, as one tree.

::

    OciPushError                    exit 1    message, hint, transient=False
    ├─ ConfigError                  exit 2    problems, each with file, line and column
    ├─ SourceError                  exit 3
    │   └─ ContentMismatchError               the source's bytes are not what its manifest says
    ├─ CredentialsError             exit 4
    ├─ RegistryError                exit 5    method, url (redacted), status, codes
    │   ├─ DeniedError                        403, or 401 with a fresh token
    │   ├─ NotFoundError                      404
    │   ├─ UploadRejectedError                the registry will not take these bytes this way
    │   ├─ ImmutableTagError                  the tag exists with another digest and may not move
    │   ├─ RateLimitedError                   429, transient
    │   ├─ UnavailableError                   408, 425, 499, most of 5xx, transient
    │   └─ ProtocolViolationError             the registry broke the specification
    ├─ NetworkError                 exit 6    transient unless it is about trust
    ├─ DeadlineError                exit 7    a step or command ran out of time
    ├─ UntrustedError               exit 8    an image is not signed as it must be
    ├─ IncompleteError              exit 1    of several things, some failed; `report` tells each
    └─ Cancelled                    exit 130  asked to stop (143 for SIGTERM)

Each has a code that is stable and can be searched for; `CODES` says what it means. Where one class has several, the
one who raises it says which (`OciPushError.with_code`).

A message starts with its object in lower case and has no full stop; the hint says what to do next. Much of what a
message holds was written by others, so secrets are taken out here, for whoever reads it: a program of a user's that
catches one of these sees no more than the command line prints.
Misuse of our own functions is ``ValueError``, ``TypeError`` or ``RuntimeError``, never one of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from oci_push.secret import masked

PAGE = "https://oci-push.readthedocs.io/en/stable/errors.html"
"""Where `docs/errors.md` is read; each code is an anchor of it."""


class Meaning(Struct, frozen=True):
    """What a code stands for, and what to do where the error itself has no hint: empty where only it can say that."""

    title: str
    hint: str = ""


CODES: Mapping[str, Meaning] = MappingProxyType(
    {
        "OCP-USAGE": Meaning("The command line is wrong", "see oci-push COMMAND --help"),
        "OCP-CONFIG": Meaning("A file, variable or option is wrong"),
        "OCP-SOURCE": Meaning("The image cannot be read"),
        "OCP-CONTENT": Meaning("The image is not what its manifest says", "build or copy it again"),
        "OCP-LOGIN": Meaning("A login is missing or cannot be used", "see which one is used: oci-push whoami HOST"),
        "OCP-REGISTRY": Meaning("The registry refused", "see what it can do: oci-push doctor HOST/REPO"),
        "OCP-DENIED": Meaning("The login may not do this", "see what it was granted: oci-push auth explain HOST/REPO"),
        "OCP-NOT-FOUND": Meaning(
            "It is not there", "check the name; to push, some registries want a repository made first"
        ),
        "OCP-REJECTED": Meaning("The registry does not take these bytes", "is a proxy limiting the size of requests?"),
        "OCP-IMMUTABLE": Meaning(
            "The tag may not be moved", "push under another tag, or make the repository's mutable"
        ),
        "OCP-MOVED": Meaning(
            "Somebody else has moved the tag meanwhile", "the same command again works on what is there now"
        ),
        "OCP-RATE-LIMIT": Meaning("The registry wants less haste", "log in, wait, or give smaller --jobs"),
        "OCP-UNAVAILABLE": Meaning("The registry has a failure of its own", "try again later, with larger --retries"),
        "OCP-PROTOCOL": Meaning("The registry broke the specification", "is it a registry, and no web page or proxy?"),
        "OCP-NET": Meaning("The connection broke", "try again; --retries says how often"),
        "OCP-NET-NAME": Meaning("The host's name cannot be resolved", "check the name and this machine's DNS"),
        "OCP-NET-CONNECT": Meaning("Nothing answers at the address", "is the registry up and reachable?"),
        "OCP-NET-PROXY": Meaning("The proxy does not let us through", "see the proxies in use: oci-push doctor"),
        "OCP-TLS-UNKNOWN-CA": Meaning("The certificate's authority is not known", "name its file with --ca-file"),
        "OCP-TLS-CERTIFICATE": Meaning("The certificate cannot be accepted", "have the registry's certificate renewed"),
        "OCP-TLS-NONE": Meaning("The server does not speak TLS", "if it is plain http, say --plain-http"),
        "OCP-TIMEOUT": Meaning("A time limit ended the work", "give it more time"),
        "OCP-UNTRUSTED": Meaning(
            "The image is not signed as it must be",
            "see what is there: oci-push referrers IMAGE",
        ),
        "OCP-STOPPED": Meaning("The work was asked to stop"),
        "OCP-OTHER": Meaning("Something else went wrong"),
    }
)
"""Every code; a new one gets its section in `docs/errors.md`."""


class OciPushError(Exception):
    """Base of all expected failures; `str()` is the message a user reads.

    `attempts` is how often the thing was tried when it was given up. `in_doubt` says that what failed may have been
    done all the same, in full or otherwise; `is_stored` that it has, and something that belongs to it has not.
    `report` is what the library's functions would have returned: what was done before, and beside, the failure;
    ``None`` where nothing was begun.
    """

    exit_code = 1
    code = "OCP-OTHER"
    transient = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = masked(message)
        super().__init__(self.message)
        self.hint = hint and masked(hint)
        self.attempts = 1
        self.in_doubt = False
        self.is_stored = False
        self.report: Any = None

    @property
    def advice(self) -> str:
        """Return what to do: the error's own hint, or that of its code; empty where neither has one."""
        return self.hint or CODES[self.code].hint

    @property
    def link(self) -> str:
        """Return where its code is explained."""
        return link_of(self.code)

    def with_code(self, code: str) -> Self:
        """Return the same error with a code that says more than its class's."""
        return self._changed(code=code)

    def with_more(self, text: str) -> Self:
        """Return the same error with `text` after its message."""
        return self._changed(message=masked(f"{self.message}{text}"))

    def with_hint(self, hint: str | None) -> Self:
        """Return the same error with another hint."""
        return self._changed(hint=hint and masked(hint))

    def with_attempts(self, attempts: int) -> Self:
        """Return the same error, saying how often the thing was tried."""
        return self._changed(attempts=attempts)

    def with_exit_code(self, exit_code: int) -> Self:
        """Return the same error, ending a command with another code."""
        return self._changed(exit_code=exit_code)

    def with_doubt(self, in_doubt: bool, *, is_stored: bool = False) -> Self:
        """Return the same error, saying whether what failed may have been done all the same."""
        return self._changed(in_doubt=in_doubt, is_stored=is_stored)

    def with_report(self, report: object) -> Self:
        """Return the same error with the report of what was done all the same."""
        return self._changed(report=report)

    def _changed(self, **changes: object) -> Self:
        """Return a new error: the old one may be raised elsewhere too, as the reason of a cancel is."""
        new = type(self).__new__(type(self), self.message)
        new.__dict__.update(self.__dict__, **changes)
        new.__cause__, new.__suppress_context__ = self.__cause__, self.__suppress_context__
        return new.with_traceback(self.__traceback__)

    def __str__(self) -> str:
        message = masked(self.message)  # a secret in it may have become known since
        return message if self.attempts == 1 else f"{message}; given up after {self.attempts} attempts"


def link_of(code: str) -> str:
    """Return where a code is explained."""
    return f"{PAGE}#{code.lower()}"


class Diagnostic(Struct, frozen=True):
    """One thing wrong in an input file.

    `line` and `column` count from 1 and are 0 where the file has no such place. `path` is the dotted way to
    the value (``steps.p.tag``), `code` the vendor's numeric code or 0.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    code: int = 0
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place = f"{place}:{self.line}:{self.column}"
        return masked(f"{place}: {self.message}" if place else self.message)


class ConfigError(OciPushError):
    """Refuse a pipeline, a configuration file, a variable or an argument; carries every problem found."""

    exit_code = 2
    code = "OCP-CONFIG"

    def __init__(self, message: str = "", *, problems: Iterable[Diagnostic] = (), hint: str | None = None) -> None:
        found = tuple(problems) or (Diagnostic(message, hint=hint),)
        self.problems = tuple(replace(p, message=masked(p.message), hint=p.hint and masked(p.hint)) for p in found)
        super().__init__(message or "\n".join(str(p) for p in self.problems), hint=hint or self.problems[0].hint)


class SourceError(OciPushError):
    """Report that an image could not be read where the user said it is."""

    exit_code = 3
    code = "OCP-SOURCE"


class ContentMismatchError(SourceError):
    """Report bytes whose size or digest is not what the manifest naming them says."""

    code = "OCP-CONTENT"


class CredentialsError(OciPushError):
    """Report that a login could not be found, read or used."""

    exit_code = 4
    code = "OCP-LOGIN"


class RegistryError(OciPushError):
    """Report a registry's answer that ends an operation.

    `url` has no query (upload state and tokens live there). `codes` are the OCI error codes of the body,
    `retry_after_s` what the registry asked us to wait, in seconds, `named` the digests its body names. `transient` is
    the class's, where nothing else is said.
    """

    exit_code = 5
    code = "OCP-REGISTRY"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        method: str = "",
        url: str = "",
        status: int = 0,
        codes: tuple[str, ...] = (),
        retry_after_s: float | None = None,
        named: tuple[str, ...] = (),
        transient: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        if transient is not None:
            self.transient = transient
        self.method = method
        self.url = masked(url)
        self.status = status
        self.codes = codes
        self.retry_after_s = retry_after_s
        self.named = named


class DeniedError(RegistryError):
    """Report that the registry knows who we are, or that we are nobody, and says no."""

    code = "OCP-DENIED"


class NotFoundError(RegistryError):
    """Report that the repository, manifest, blob or upload does not exist there."""

    code = "OCP-NOT-FOUND"


class UploadRejectedError(RegistryError):
    """Report that the registry refused bytes in the form in which they were sent (400, 413, 416)."""

    code = "OCP-REJECTED"


class ImmutableTagError(RegistryError):
    """Report a tag that exists with another digest and may not be moved."""

    code = "OCP-IMMUTABLE"


class RateLimitedError(RegistryError):
    """Report that the registry asked us to slow down (429)."""

    transient = True
    code = "OCP-RATE-LIMIT"


class UnavailableError(RegistryError):
    """Report a failure on the registry's side that may pass: 408, 425, 499, and 5xx but for what lasts (501, 505)."""

    transient = True
    code = "OCP-UNAVAILABLE"


class ProtocolViolationError(RegistryError):
    """Report an answer that the distribution specification does not allow."""

    code = "OCP-PROTOCOL"


class NetworkError(OciPushError):
    """Report that no answer came: refused, reset, timed out, or the peer is not to be trusted.

    `is_away` says that it was the registry itself that did not answer, not another place on the way.
    """

    exit_code = 6
    code = "OCP-NET"

    def __init__(self, message: str, *, hint: str | None = None, transient: bool = True, is_away: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient
        self.is_away = is_away


class DeadlineError(OciPushError):
    """Report that a time limit given by the user ended the work."""

    exit_code = 7
    code = "OCP-TIMEOUT"


class UntrustedError(OciPushError):
    """Report an image that does not have the signatures or attestations that are required of it."""

    exit_code = 8
    code = "OCP-UNTRUSTED"


class Cancelled(OciPushError):
    """Report that the work was asked to stop; `exit_code` is 128 plus the signal's number."""

    code = "OCP-STOPPED"

    def __init__(self, message: str = "cancelled", *, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class IncompleteError(OciPushError):
    """Report that not all of several things was done; transient when each failure of them is."""

    @classmethod
    def of(cls, what: str, errors: Sequence[OciPushError]) -> Self:
        """Return the error of several; text, hint and code are the first one's, after `what` was done of them."""
        made = cls(f"{what}: {errors[0]}" if errors else what, hint=errors[0].hint if errors else None)
        made = made.with_code(errors[0].code) if errors else made
        return made._changed(transient=bool(errors) and all(error.transient for error in errors))


def exit_code(errors: Sequence[OciPushError | None]) -> int:
    """Choose a command's exit code: the one failure's own, 1 for several targets of which some failed."""
    failed = [error for error in errors if error is not None]
    if not failed:
        return 0
    stopped = next((error.exit_code for error in failed if error.exit_code > 128), 0)
    if stopped:
        return stopped
    return failed[0].exit_code if len(errors) == 1 else 1
