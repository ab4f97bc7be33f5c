"""`oci-push sign` and `oci-push attest`: images that are there get a signature, or something is said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from oci_push.cli import looking, signed
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import TransferAccess
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form
from oci_push.cli.words import SOURCE, Option
from oci_push.engine.signing.there import SignedThere, Signing, sign_there
from oci_push.errors import ConfigError, exit_code
from oci_push.forms import VERSION
from oci_push.library import naming
from oci_push.model.outcomes import ManifestOutcome
from oci_push.model.reference import Reference
from oci_push.model.trust import SignRule
from oci_push.runtime.context import Context


@takes(TransferAccess)
def sign(
    reference: signed.References,
    key: signed.Key = None,
    keyless: signed.NoKey = False,
    trust_root: signed.TrustRoot = None,
    sign_format: signed.SignFormat = "",
    annotation: signed.Along = None,
    platform: OnePlatform = "",
    recursive: Annotated[
        bool, Option("Of an index also each image that it lists: podman asks for that.", short="-r", under=SOURCE)
    ] = False,
    as_json: AsJson = False,
    *,
    access: TransferAccess,
) -> None:
    """Sign images that are there, by their digests. Nothing is sent where the same was signed before.

    Written are a Sigstore bundle that refers to the image, and with a key cosign's tag, which podman reads.
    """

    def rules() -> tuple[SignRule, ...]:
        no_key = signed.keyless_of(keyless, trust_root)
        return signed.rules(signed.given_keys(key, no_key, "sign"), no_key, sign_format, annotation, "--annotation")

    _sign("sign", reference, rules, platform, access, recursive=recursive, as_json=as_json)


@takes(TransferAccess)
def attest(
    reference: signed.References,
    predicate_type: Annotated[
        str,
        Option("slsaprovenance1, spdxjson, cyclonedx, vuln, or a URI.", name="--type", metavar="TYPE", under=SOURCE),
    ] = "",
    predicate: Annotated[
        Path | None, Option("What is said, as JSON; - is stdin.", metavar="FILE", under=SOURCE)
    ] = None,
    key: signed.Key = None,
    keyless: signed.NoKey = False,
    trust_root: signed.TrustRoot = None,
    annotation: signed.Along = None,
    platform: OnePlatform = "",
    as_json: AsJson = False,
    *,
    access: TransferAccess,
) -> None:
    """Say something of images that are there, signed: an SBOM, how they were built, what a scan has found.

    The file holds the predicate alone; the statement about the image's digest is made around it.
    """

    def rules() -> tuple[SignRule, ...]:
        from oci_push.cli.inputs import read_bytes
        from oci_push.signing.statement import Predicate

        if not predicate_type or predicate is None:
            raise ConfigError("attest needs --type TYPE and --predicate FILE", hint="see oci-push attest --help")
        if str(predicate) == "-" and access.password_stdin:
            raise ConfigError("--password-stdin and --predicate - cannot both read stdin")
        no_key = signed.keyless_of(keyless, trust_root)
        keys = signed.given_keys(key, no_key, "attest")
        kind = signed.type_of(predicate_type)
        found = Predicate.parse(kind, read_bytes(predicate), str(predicate))
        said = signed.along(annotation, "--annotation")
        by_keys = tuple(SignRule(one, (), said, (kind, found.raw)) for one in keys)
        return (*by_keys, SignRule("", (), said, (kind, found.raw), no_key)) if no_key else by_keys

    _sign("attest", reference, rules, platform, access, as_json=as_json)


def _sign(
    what: str,
    references: Sequence[str],
    rules: Callable[[], tuple[SignRule, ...]],
    platform: str,
    access: TransferAccess,
    *,
    recursive: bool = False,
    as_json: bool,
) -> None:
    def work(context: Context) -> int:
        named = [naming.reference(text) for text in dict.fromkeys(references)]
        wanted, asked = read_platform(platform), rules()
        done: list[tuple[Reference, SignedThere]] = []
        with looking.looking(context, access, repositories=[one.repository for one in named]) as look:
            look.pusher.signers.of(asked)  # a key that cannot be read is told once, before anything is asked
            for one in named:
                for result in sign_there(context, look.pusher, one, wanted, asked, recursive=recursive):
                    done.append((one, result))
                    for made in result.form.signed if not as_json else ():
                        was_there = "  (was there)" * (made.outcome is ManifestOutcome.EXISTS)
                        if made.error is None:
                            say(f"{one.repository}@{result.form.digest}  {made.file}  {made.digest}{was_there}")
        if as_json:
            say_form(Signing(VERSION, tuple(result.form for _, result in done)))
        for one, result in done:
            if result.failed is not None:
                show_error(result.failed, before=f"{one}: ")
        return exit_code([result.failed for _, result in done])

    run_command(work, what=what, timeout_s=access.timeout_s)
