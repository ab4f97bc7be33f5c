"""The keys of ``oci-push.yaml``, with what editors say about them.

Keys of a registry are taken in the vendor API's camelCase and in Terraform's snake_case alike, also nested under
``spec.PROVIDER`` as Terraform writes them: `unnest` rewrites that before the tables check it.
"""

from __future__ import annotations

from oci_push.language.document import Node, Scalar, YamlEntry, YamlMapping, YamlSequence
from oci_push.language.integrations import PROVIDERS
from oci_push.language.scalar_rules import Anything, Boolean, Choice, PlainText
from oci_push.language.scalars import entries
from oci_push.language.schema import Entries, Field, Fields, Items, OneOf, snake_case
from oci_push.language.trust_rules import OIDC, REQUIRE, SIGN
from oci_push.providers.families import FAMILY_NAMES

PROVIDER_ALIASES = {"standard": "other", "docker": "other", "google": "gcr"}
_TEXT = PlainText()
_FLAG = Boolean(variable=False, words="be true or false")
_TEXTS: Items[str] = Items(_TEXT)
_RATE = PlainText(pattern=r"^[0-9]+(\.[0-9]+)?$", words="be a number")

CREATION: Fields[None] = Fields(
    {
        "scan_on_push": Field(_FLAG, "Scan images when they are pushed.", default=False),
        "mutability": Field(_TEXT, "MUTABLE, IMMUTABLE, or either with _WITH_EXCLUSION."),
        "exclusions": Field(_TEXTS, "Tags that the exclusion is about; * stands for any text."),
        "encryption": Field(_TEXT, "AES256, KMS or KMS_DSSE."),
        "kms_key": Field(_TEXT, "Key for KMS; left out: AWS's own."),
        "tags": Field(Entries(_TEXT, words="map names to values"), "Tags of the repository in AWS."),
        "lifecycle_policy": Field(_TEXT, "File with the policy, beside this one."),
    },
    is_cased=True,
)
REGISTRY: Fields[None] = Fields(
    {
        "name": Field(_TEXT, "What pipelines call it in registry:.", required=True),
        "kind": Field(_TEXT, "No effect here."),
        "provider": Field(
            PlainText(choices=(*PROVIDERS, *PROVIDER_ALIASES, *FAMILY_NAMES)), "Who runs it.", default="other"
        ),
        "family": Field(PlainText(choices=FAMILY_NAMES), "Its family, where the host does not tell."),
        "domain": Field(_TEXT, "HOST[:PORT], without a path."),
        "default": Field(_FLAG, "Use it for pushes that name no registry.", default=False),
        "primary": Field(_FLAG, "Pull images of its host with it.", default=True),
        "repository_prefix": Field(_TEXT, "Put before every image name."),
        "fallback_registry": Field(_TEXT, "The registry to pull from where this one fails."),
        "behind_firewall": Field(_TEXT, "No effect here."),
        "internal": Field(_TEXT, "No effect here."),
        "deny_composite_domain": Field(_TEXT, "No effect here."),
        "spec": Field(Entries(Anything()), "The other keys below the provider's name, as Terraform writes them."),
        "username": Field(_TEXT, "User of the login."),
        "password": Field(_TEXT, "Better ${NAME}, which takes it from the environment."),
        "password_file": Field(_TEXT, "File with the password, beside this one."),
        "token": Field(_TEXT, "A token in place of the password."),
        "token_file": Field(_TEXT, "File with the token."),
        "oidc": Field(
            OneOf[object]((Choice(("auto",)), OIDC)),
            "Log in as the job itself, by its CI's ID token: auto asks the CI, {env: NAME}, {file: PATH} or"
            " {command: [PROGRAM, …]} gives it.",
        ),
        "oidc_audience": Field(_TEXT, "Audience of that token, where it is not the usual one."),
        "workload_identity_provider": Field(_TEXT, "Google, with oidc: projects/N/locations/global/…/providers/NAME."),
        "service_account": Field(_TEXT, "Google, with oidc: the account to act as."),
        "connection_id": Field(_TEXT, "Docker Hub, with oidc: the organisation's connection; username is its name."),
        "oidc_provider": Field(_TEXT, "JFrog, with oidc: name of the platform's OIDC integration."),
        "keyfile": Field(_TEXT, "Google: the key of a service account, as JSON."),
        "keyfile_path": Field(_TEXT, "Google: file with that key."),
        "location": Field(_TEXT, "Google: location of an Artifact Registry, such as europe-west1."),
        "client_id": Field(_TEXT, "Azure: the application."),
        "client_secret": Field(_TEXT, "Azure: its secret."),
        "client_secret_file": Field(_TEXT, "Azure: file with its secret."),
        "tenant_id": Field(_TEXT, "Azure: the directory."),
        "federated_token_file": Field(_TEXT, "Azure: file with the token of a workload identity."),
        "region": Field(_TEXT, "ECR: AWS region, such as eu-west-1."),
        "regions": Field(_TEXTS, "ECR: push to all of these."),
        "access_key_id": Field(_TEXT, "ECR: AWS access key."),
        "secret_access_key": Field(_TEXT, "ECR: AWS secret key."),
        "secret_access_key_file": Field(_TEXT, "ECR: file with the secret key."),
        "session_token": Field(_TEXT, "ECR: token of temporary keys."),
        "profile": Field(_TEXT, "ECR: profile of AWS's own configuration."),
        "account": Field(_TEXT, "ECR: the 12 digits of the account."),
        "role_arn": Field(_TEXT, "ECR: role to assume; with oidc for the job's own identity."),
        "aws_session_name": Field(_TEXT, "ECR: name of the role's session."),
        "aws_duration_seconds": Field(
            PlainText(pattern="^[0-9]+$", words="be a number"), "ECR: length of the role's session, 900 to 3600."
        ),
        "external_id": Field(_TEXT, "ECR: what the role's owner wants to be told."),
        "get_creds_from_service_account": Field(_TEXT, "No effect here: AWS's own chain is always asked."),
        "create_repository": Field(
            OneOf[object]((_FLAG, CREATION)), "ECR: create repositories that are missing, and how."
        ),
        "replicate": Field(_FLAG, "ECR: wait until its replication has brought the image everywhere.", default=False),
        "insecure": Field(_FLAG, "Accept any certificate.", default=False),
        "plain_http": Field(_FLAG, "Speak HTTP without TLS."),
        "ca": Field(_TEXT, "File with the authorities that signed its certificate."),
        "cert": Field(_TEXT, "File with the certificate that we show."),
        "key": Field(_TEXT, "File with the key of that certificate."),
        "address": Field(_TEXT, "HOST[:PORT] to connect to in place of the domain."),
        "requests_per_second": Field(_RATE, "At most so many requests a second to it."),
        "chunk_size": Field(_TEXT, "At most so many bytes of a blob in one request: 16m, 100m."),
        "mount": Field(_TEXT, "From where blobs may be mounted: off, namespace, any, or repositories.", default="any"),
        "user_agent": Field(_TEXT, "What requests say that they are sent by."),
        "headers": Field(
            Entries[None](_TEXT, words="map names of headers to values"),
            "Sent with every request to it; a value that is secret better as ${NAME}.",
        ),
        "sign": Field(SIGN, "Sign what is pushed to it, before it is tagged."),
        "require": Field(REQUIRE, "How images that are read from it must be signed, or nothing of them is sent."),
    },
    words="a registry is a mapping with name, provider and domain",
    is_cased=True,
)
_STRINGS = Entries[None](_TEXT, words="map names to strings")
CONFIG: Fields[None] = Fields(
    {
        "registries": Field(Items(REGISTRY), "The registries that pipelines name."),
        "candidates": Field(_STRINGS, "Where the images of build steps are: STEP: SOURCE."),
        "variables": Field(_STRINGS, "Variables of pipelines."),
        "secrets": Field(
            Entries[None](_STRINGS, words="map contexts to keys and values"),
            "Values of ${{secrets.CONTEXT.KEY}}, by context and key.",
        ),
        "allow_env": Field(
            OneOf[object]((_TEXTS, _TEXT)), "Environment variables that found files may use: NAME or NAME@HOST."
        ),
    },
    words="a configuration is a mapping with registries, candidates, variables, secrets and allow_env",
)


def unnest(root: Node) -> Node:
    """Return the document with what stands under ``spec.PROVIDER`` of a registry in the registry itself."""
    if not isinstance(root, YamlMapping):
        return root
    return root.mapped(
        lambda entry: (
            YamlSequence(entry.value.location, tuple(_flat(item) for item in entry.value.items))
            if entry.key.text == "registries" and isinstance(entry.value, YamlSequence)
            else entry.value
        )
    )


def _flat(registry: Node) -> Node:
    if not isinstance(registry, YamlMapping):
        return registry
    kept: list[YamlEntry] = []
    for entry in registry.entries:
        if snake_case(entry.key.text) != "spec" or not isinstance(entry.value, YamlMapping):
            kept.append(entry)
            continue
        for provider in entry.value.entries:
            if not any(one.key.text == "provider" for one in kept):
                named = provider.key
                kept.append(YamlEntry(Scalar(named.location, "provider", "provider", quoted=False), named))
            kept.extend(entries(_flat(provider.value)))
    return YamlMapping(registry.location, tuple(kept))


def config_schema() -> dict[str, object]:
    """Return the JSON Schema of ``oci-push.yaml``; draft 7, which editors' YAML servers know best."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of oci-push",
        "description": "An oci-push.yaml: registries, candidates, variables and secrets.",
        **CONFIG.to_json(),
    }
