"""`oci-push verify`: whether images are signed as they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from oci_push.cli import looking, signed
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form
from oci_push.cli.words import SOURCE, Option
from oci_push.engine.signing.trust import ImageVerified, Verification, read_identities
from oci_push.errors import ConfigError, OciPushError, exit_code
from oci_push.forms import VERSION
from oci_push.library import naming
from oci_push.library.signing import verify_there
from oci_push.model.trust import Policy, Requirement, TrustedIdentity, TrustedKey
from oci_push.runtime.context import Context


@takes(Access)
def verify(
    reference: signed.References,
    key: Annotated[
        list[str] | None, Option("Public key: PEM, or env://NAME; any of several.", metavar="KEY", under=SOURCE)
    ] = None,
    identity: Annotated[
        str, Option("Who signed without a key, such as a workflow's URL; wants --issuer.", metavar="ID", under=SOURCE)
    ] = "",
    issuer: Annotated[str, Option("Who vouches for the identity.", metavar="URL", under=SOURCE)] = "",
    trust_root: Annotated[
        Path | None,
        Option("Sigstore's trusted_root.json, if not the public one that comes along.", metavar="FILE", under=SOURCE),
    ] = None,
    policy: Annotated[
        Path | None, Option("What is required of which repositories, as YAML.", metavar="FILE", under=SOURCE)
    ] = None,
    predicate_type: Annotated[
        list[str] | None,
        Option("An attestation of this type, in place of a signature.", name="--type", metavar="TYPE", under=SOURCE),
    ] = None,
    annotation: Annotated[
        list[str] | None,
        Option("Must be signed along.", name="--annotation", short="-a", metavar="NAME=VALUE", under=SOURCE),
    ] = None,
    platform: OnePlatform = "",
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """See that images are signed, and print their digests; the exit code is 8 where one is not.

    A tag is asked for once: push or deploy the digest that is printed.
    """

    def work(context: Context) -> int:
        named = [naming.reference(text) for text in dict.fromkeys(reference)]
        wanted = read_platform(platform)
        found = _policy(key, _identity(identity, issuer, trust_root), policy, predicate_type, annotation)
        rows: list[ImageVerified] = []
        errors: list[OciPushError | None] = []
        with looking.looking(context, access, repositories=[one.repository for one in named]) as look:
            for one in named:
                done = verify_there(look, one, found, wanted)
                rows.append(done.form)
                errors.append(done.failed)
                if not as_json and done.failed is None:
                    say(f"{one.repository}@{done.form.digest}")
                    for each in done.form.accepted:
                        said = "".join(f"  {name}={value}" for name, value in each.annotations.items())
                        say(f"  {each.what}  by {each.key}  ({each.form}){said}")
        if as_json:
            say_form(Verification(VERSION, tuple(rows)))
        for one, failed in zip(named, errors, strict=True):
            if failed is not None:
                show_error(failed, before=f"{one}: ")
        return exit_code(errors)

    run_command(work, what="verify", timeout_s=access.timeout_s)


def _identity(identity: str, issuer: str, trust_root: Path | None) -> TrustedIdentity | None:
    """Return the identity that must have signed; raises `ConfigError` where it is half of one."""
    if not (identity or issuer or trust_root):
        return None
    if not (identity and issuer):
        raise ConfigError(
            "--identity ID and --issuer URL go together",
            hint="an identity counts for nothing without its issuer, and --trust-root FILE without both",
        )
    if trust_root is None:
        return TrustedIdentity(identity, issuer)
    from oci_push.cli.inputs import read_bytes

    root = read_bytes(trust_root).decode("utf-8", "replace")
    return TrustedIdentity(identity, issuer, root, str(trust_root))


def _policy(
    keys: list[str] | None,
    identity: TrustedIdentity | None,
    policy: Path | None,
    types: list[str] | None,
    annotations: list[str] | None,
) -> Policy:
    """Return what is required, by the options or by a file; raises `ConfigError`."""
    from oci_push.api import this_environment
    from oci_push.engine.signing.signer import read_public

    if (keys is None and identity is None) == (policy is None):
        raise ConfigError(
            "verify needs --key KEY or --policy FILE, and not both",
            hint="or --identity and --issuer in place of a key; see oci-push verify --help",
        )
    env = this_environment().env
    if policy is not None:
        if types or annotations:
            option = "--type" if types else "--annotation"
            raise ConfigError(f"{option} has no effect with --policy: the file says that", hint="leave it out")
        from oci_push.cli.inputs import read_bytes
        from oci_push.language.trust_rules import load_policy

        return load_policy(read_bytes(policy), str(policy), env, lambda file: file.read_text(encoding="utf-8"))
    trusted = tuple(TrustedKey(one, read_public(one, env)) for one in dict.fromkeys(keys or ()))
    wanted = tuple(signed.type_of(one) for one in types or ())
    along = signed.along(annotations, "--annotation")
    identities = (identity,) if identity is not None else ()
    required = Requirement(trusted, False, wanted, along, signature=not wanted, identities=identities)
    read_identities(required)  # what is wrong with it is told once, before anything is asked
    return Policy.for_all(required)
