"""What is signed with which key and whose signatures are required: in ``oci-push.yaml``, and in policies of ``verify``.

::

    policies:
      - repository: registry.example.com/team/*    # the first that names a repository decides
        require:
          keys: [release.pub]                      # files beside this one
          identities:                              # who signed without a key
            - identity: https://github.com/team/app/.github/workflows/release.yml@refs/heads/main
              issuer: https://token.actions.githubusercontent.com
              trust_root: trusted_root.json
          match: all                               # each of them must have signed; left out: any
          attestations: [slsaprovenance1]
          annotations: {env: prod}                 # signed along
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from oci_push.language.config_values import NAMED, ReadText, ValueReader
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, Scalar, YamlMapping, YamlSequence, load
from oci_push.language.scalar_rules import Boolean, Choice, PlainText
from oci_push.language.scalars import child, entries, items
from oci_push.language.schema import Entries, Field, Fields, Items, OneOf
from oci_push.model.identity import JobToken
from oci_push.model.trust import (
    FORMS,
    Keyless,
    Policy,
    PolicyRule,
    Requirement,
    SignRule,
    TrustedIdentity,
    TrustedKey,
    predicate_type,
)

_TEXT = PlainText(is_needed=True)
_SEVERAL = OneOf[object]((Items(_TEXT), _TEXT))
_ANNOTATIONS = Entries[None](PlainText(), words="map names to values")

OIDC: Fields[None] = Fields(
    {
        "env": Field(PlainText(is_needed=True), "Variable that holds the token."),
        "file": Field(PlainText(is_needed=True), "File with the token, which is read anew each time."),
        "command": Field(Items(PlainText(), least=1), "Program and arguments that print the token."),
    },
    words='"oidc" must be auto, or one of env, file and command',
    is_choice=True,
)
_IDENTITY: Fields[None] = Fields(
    {
        "identity": Field(_TEXT, "Who it is, as the certificate says: a workflow's URL, an address.", required=True),
        "issuer": Field(_TEXT, "The URL of who vouches for it.", required=True),
        "trust_root": Field(
            _TEXT, "Sigstore's trusted_root.json, a file beside this one, if not the public one that comes along."
        ),
    },
    words="an identity must be a mapping with identity and issuer",
    is_cased=True,
)
REQUIRE: Fields[None] = Fields(
    {
        "keys": Field(_SEVERAL, "Files with public keys, beside this one."),
        "identities": Field(Items(_IDENTITY), "Who signed without a key. Keys or identities must be there."),
        "match": Field(PlainText(choices=("any", "all")), "Whether one of them is enough.", default="any"),
        "attestations": Field(_SEVERAL, "Attestations there must be as well: slsaprovenance1, spdxjson, …, or a URI."),
        "annotations": Field(_ANNOTATIONS, "What must have been signed along."),
    },
    words='"require" must be a mapping with keys, identities, match, attestations and annotations',
    is_cased=True,
)
SIGN: Fields[None] = Fields(
    {
        "keys": Field(_SEVERAL, "Private keys: files beside this one, or env://NAME."),
        "keyless": Field(
            Boolean(variable=False, words="be true or false"),
            "Sign as the CI job that runs; what is signed stands in a public log for ever. Keys or this must be there.",
            default=False,
        ),
        "oidc": Field(
            OneOf[object]((Choice(("auto",)), OIDC)),
            "Where the job's ID token is got, for the audience sigstore: auto asks the CI; as oidc of a registry.",
        ),
        "trust_root": Field(_TEXT, "Where to sign without a key: a client's trust configuration, beside this file."),
        "forms": Field(
            OneOf[object]((Items(PlainText(choices=FORMS)), PlainText(choices=FORMS))),
            "bundle, sig; without a key bundle alone, if not given.",
        ),
        "recursive": Field(
            Boolean(variable=False, words="be true or false"),
            "Of an index also each image that it lists: podman asks for that.",
            default=False,
        ),
        "annotations": Field(_ANNOTATIONS, "What is signed along."),
    },
    words='"sign" must be a mapping with keys, keyless, forms, recursive and annotations',
    is_cased=True,
)
_POLICY: Fields[None] = Fields(
    {
        "repository": Field(_TEXT, "HOST/REPO; * stands for any text, / as well.", required=True),
        "require": Field(REQUIRE, "How its images must be signed.", required=True),
    },
    words="a policy must be a mapping with repository and require",
)
POLICIES: Fields[None] = Fields(
    {"policies": Field(Items(_POLICY), "The first that names a repository decides.", required=True)},
    words="the file must be a mapping with policies",
)


def load_policy(text: str | bytes, path: str, env: Mapping[str, str], read: ReadText) -> Policy:
    """Return what a policy file says; raises one `ConfigError` with everything that is wrong with it."""
    from pathlib import Path

    from msgspec.structs import replace

    root = load(text, path).root
    diagnostics = Diagnostics()
    POLICIES.check("value", root, "", diagnostics)
    diagnostics.raise_errors()
    values = ValueReader(env, read, replace(NAMED, folder=Path(path).parent), diagnostics)
    rules = tuple(_rule(node, values) for node in items(child(root, "policies")))
    for problem in values.missing:
        diagnostics.errors.append(problem)
    diagnostics.raise_errors()
    return Policy(rules, path)


def read_requirement(node: Node | None, values: ValueReader, path: str) -> Requirement | None:
    """Return what is required; ``None`` only where nothing is said. What cannot be read is noted, and then no key is
    trusted."""
    if node is None:
        return None
    found = REQUIRE.nodes(node) if isinstance(node, YamlMapping) else {}
    keys = []
    for one in _scalars(found.get("keys")):
        pem = values.file(one, "keys")
        if pem is not None:
            keys.append(TrustedKey(one.text, pem))
    identities = tuple(_identities(found.get("identities"), values))
    if found.get("keys") is None and found.get("identities") is None:
        values.diagnostics.error(node.location, path, "keys or identities must be there")
    types: list[str] = []
    for one in _scalars(found.get("attestations")):
        try:
            types.append(predicate_type(one.text))
        except ValueError as problem:
            values.diagnostics.error(one.location, f"{path}.attestations", str(problem))
    match = found.get("match")
    every = isinstance(match, Scalar) and match.text == "all"
    along = _annotations(found, values)
    return Requirement(tuple(keys), every, tuple(types), along, identities=identities)


def _identities(node: Node | None, values: ValueReader) -> Iterator[TrustedIdentity]:
    """Yield the identities that can be read; what is wrong with others is noted."""
    for one in items(node):
        found = _IDENTITY.nodes(one) if isinstance(one, YamlMapping) else {}
        identity, issuer, root = (found.get(name) for name in ("identity", "issuer", "trust_root"))
        if not (isinstance(identity, Scalar) and isinstance(issuer, Scalar)):
            continue
        who, voucher = values.expanded(identity), values.expanded(issuer)
        text = values.file(root, "trust_root") if isinstance(root, Scalar) else ""
        if who and voucher and text is not None:
            yield TrustedIdentity(who, voucher, text, root.text if isinstance(root, Scalar) else "")


def read_signing(
    node: Node | None, values: ValueReader, path: str, job_token: Callable[[Node, str, ValueReader], JobToken | None]
) -> tuple[SignRule, ...]:
    """Return what is signed with which key, and without one; `job_token` reads where the job's token is got."""
    if not isinstance(node, YamlMapping):
        return ()
    found = SIGN.nodes(node)
    forms = tuple(one.text for one in _scalars(found.get("forms")))
    said = _annotations(found, values)
    keys = [
        one.text if one.text.startswith("env://") else values.path(one, "keys") for one in _scalars(found.get("keys"))
    ]
    below = found.get("recursive")
    deep = isinstance(below, Scalar) and below.value is True
    rules = tuple(SignRule(key, forms, said, recursive=deep) for key in keys if key)
    flag, oidc, root = (found.get(name) for name in ("keyless", "oidc", "trust_root"))
    if not (isinstance(flag, Scalar) and flag.value is True):
        for name in ("oidc", "trust_root"):
            if name in found:
                values.diagnostics.error(found[name].location, f"{path}.{name}", "has no effect without keyless: true")
        if "keys" not in found:
            values.diagnostics.error(node.location, path, "keys or keyless: true must be there")
        return rules
    token = job_token(oidc, "", values) if oidc is not None else JobToken()
    file = values.path(root, "trust_root") if isinstance(root, Scalar) else ""
    if token is None or (root is not None and not file):
        return rules
    return (*rules, SignRule("", forms, said, keyless=Keyless(file, token), recursive=deep))


def policy_schema() -> dict[str, object]:
    """Return the JSON Schema of a policy file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Policy of oci-push verify",
        **POLICIES.to_json(),
    }


def _rule(node: Node, values: ValueReader) -> PolicyRule:
    pattern = child(node, "repository")
    required = read_requirement(child(node, "require"), values, "require") or Requirement(())
    return PolicyRule(pattern.text if isinstance(pattern, Scalar) else "", required)


def _scalars(node: Node | None) -> list[Scalar]:
    found = node.items if isinstance(node, YamlSequence) else (node,)
    return [one for one in found if isinstance(one, Scalar) and one.value is not None]


def _annotations(found: Mapping[str, Node], values: ValueReader) -> tuple[tuple[str, str], ...]:
    given = {
        one.key.text: values.expanded(one.value)
        for one in entries(found.get("annotations"))
        if isinstance(one.value, Scalar)
    }
    return tuple(sorted((name, value) for name, value in given.items() if value is not None))
