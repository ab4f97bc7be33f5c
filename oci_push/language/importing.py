"""Registries that are described elsewhere, as ``registries:`` of ``oci-push.yaml``. Values in, text out; no files.

Two forms are read: what the vendor's API gives for its registry integrations (JSON), and Terraform's
``codefresh_registry`` blocks, in JSON configuration and as ``terraform show -json`` prints them. Secrets are written as
``${NAME}`` unless they are wanted in the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.language.schema import snake_case
from oci_push.secret import Secret, repr_without

Value: TypeAlias = str | bool

_USUAL_LOGIN = ("password", "username")
_LOGINS = {
    "bintray": ("token", "username"),
    "gcr": ("keyfile", ""),
    "gar": ("keyfile", ""),
    "acr": ("client_secret", "client_id"),
    "ecr": ("secret_access_key", "access_key_id"),
}
"""What a provider's login is where it is not `_USUAL_LOGIN`: its secret, and who has it (empty: nobody is named)."""
_SECRETS = tuple(dict.fromkeys(secret for secret, _ in (_USUAL_LOGIN, *_LOGINS.values())))
_TEXTS = ("domain", "location", "region", "username", "client_id", "access_key_id", "repository_prefix")
_FLAGS = {"default": False, "primary": True, "behind_firewall": False, "get_creds_from_service_account": False}
"""Switches, and what each is where nothing is said."""
_ENVIRONMENT = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_TERRAFORM_VARIABLE = re.compile(r"\$\{\s*var\.([A-Za-z_][A-Za-z0-9_-]*)\s*\}")
_EXPRESSION = re.compile(r"[$%]\{.*\}", re.DOTALL)


class Imported(Struct, frozen=True):
    """One registry: `fields` in the file's spelling, `secrets` that are known, and `notes` for a person.

    `id` is how others of the same input call it. `has_own_login` says that its login is found elsewhere, in `home`.
    """

    name: str
    provider: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    id: str = ""
    fallback: str = ""
    has_own_login: bool = False
    home: str = ""


class Written(Struct, frozen=True):
    """The file's text, the environment `variables` that it wants, and `notes` on what was changed."""

    text: str
    variables: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return repr_without(self, "text")


def read_registries(value: object) -> tuple[Imported, ...]:
    """Read the registries of a parsed JSON document; raises ``ValueError`` where it has neither form."""
    if isinstance(value, dict) and {"resource", "values", "planned_values"} & set(value):
        return tuple(_of_terraform(value))
    found = list(_listed(value))
    if not found:
        raise ValueError("is neither a docker config.json, nor a list of registries, nor Terraform JSON")
    return tuple(_of_api(one) for one in found)


def write_registries(found: Iterable[Imported], *, with_secrets: bool) -> Written:
    """Write ``registries:``, with names made unique and at most one default."""
    ready, notes = _untangled(found)
    variables: list[str] = []
    lines = ["registries:"] if ready else ["registries: []"]
    for one in ready:
        stays = one.has_own_login and not (with_secrets and one.secrets)
        rows: list[tuple[str, Value]] = [("provider", one.provider), *one.fields.items()]
        if stays:
            rows = [(key, value) for key, value in rows if key != "username"]
        else:
            rows += [(key, _secret_text(one, key, with_secrets=with_secrets)) for key in _secret_fields(one)]
        texts = [value for _, value in rows if isinstance(value, str)]
        variables += [found[2:-1] for text in texts for found in _ENVIRONMENT.findall(text)]
        lines.append(f"  - name: {_scalar(one.name)}")
        lines += [f"    {key}: {_scalar(value)}" for key, value in rows]
        lines += [f"    # {' '.join(note.split())}" for note in (*one.notes, *([one.home] if stays else []))]
    return Written("\n".join(lines) + "\n", tuple(dict.fromkeys(variables)), tuple(notes))


def _listed(value: object) -> Iterator[Mapping[str, object]]:
    if isinstance(value, dict):
        inner = value.get("registries", value.get("docs"))
        value = inner if isinstance(inner, list) else [value]
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict) and isinstance(one.get("name"), str) and ("provider" in one or "domain" in one):
            yield one


def _of_api(given: Mapping[str, object]) -> Imported:
    values = {snake_case(key): value for key, value in given.items()}
    provider = str(values.get("provider") or "other")
    if provider == "gar" and not values.get("location"):
        values["location"] = values.pop("domain", "")
    if provider == "ecr" and values.get("domain") == "from.service-account":
        del values["domain"]
    return _taken(str(values["name"]), provider, values, str(values.get("_id") or values.get("id") or ""))


def _of_terraform(value: Mapping[str, object]) -> Iterator[Imported]:
    for label, block in _blocks(value):
        body = _one(block)
        spec = _one(body.get("spec"))
        for provider, inner in spec.items():
            settings = _one(inner)
            if not settings:
                continue
            values = {**settings, **{key: body.get(key) for key in ("default", "primary", "fallback_registry")}}
            name = str(body.get("name") or label)
            yield _taken(name, provider, values, str(body.get("id") or f"codefresh_registry.{label}.id"))


def _blocks(value: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Return label and body of each block: of a configuration, of a state, of a plan."""
    for resource in _many(value.get("resource")):
        for labelled in _many(_mapping(resource).get("codefresh_registry")):
            yield from _mapping(labelled).items()
    for key in ("values", "planned_values"):
        modules = [_mapping(_mapping(value.get(key)).get("root_module"))]
        while modules:
            module = modules.pop()
            modules += [_mapping(child) for child in _many(module.get("child_modules"))]
            for resource in _many(module.get("resources")):
                found = _mapping(resource)
                if found.get("type") == "codefresh_registry":
                    yield str(found.get("name")), found.get("values")


def _taken(name: str, provider: str, values: Mapping[str, object], identity: str) -> Imported:
    fields: dict[str, Value] = {}
    notes: list[str] = []
    for key in _TEXTS:
        given = values.get(key)
        if isinstance(given, str) and given:
            fields[key], note = _expression(name, key, given)
            notes += [note] if note else []
    for key, usual in _FLAGS.items():
        flag = values.get(key)
        if isinstance(flag, bool) and flag is not usual:
            fields[key] = flag
    secrets = {
        key: Secret(given)
        for key in _SECRETS
        if isinstance(given := values.get(key), str) and given.strip("*•") and not _is_foreign(given)
    }
    fallback = values.get("fallback_registry")
    reference = fallback.strip("${} ") if isinstance(fallback, str) else ""
    return Imported(name, provider, fields, secrets, tuple(notes), identity, reference)


def _expression(name: str, key: str, given: str) -> tuple[str, str]:
    """Turn Terraform's variables into its environment variables; what else it computes is left to be filled in."""
    text = _TERRAFORM_VARIABLE.sub(lambda match: "${TF_VAR_" + match[1].replace("-", "_") + "}", given)
    if _ENVIRONMENT.sub("", text) != text or not _EXPRESSION.search(text):
        return text, ""
    return "${" + _variable(name, key) + "}", f"{key} is computed by Terraform: {' '.join(given.split())[:80]}"


def _is_foreign(text: str) -> bool:
    return bool(_EXPRESSION.search(text)) and not _TERRAFORM_VARIABLE.search(text)


def _untangled(found: Iterable[Imported]) -> tuple[list[Imported], list[str]]:
    notes: list[str] = []
    ready: list[Imported] = []
    names: dict[str, str] = {}
    has_default = False
    for one in found:
        name, number = one.name, 2
        while name in names.values():
            name, number = f"{one.name}-{number}", number + 1
        if name != one.name:
            notes.append(f"registry {one.name!r} is there already, this one is now {name!r}")
        fields = dict(one.fields)
        if fields.get("default") and has_default:
            del fields["default"]
            notes.append(f"registry {name!r} is not the default, another is")
        has_default = has_default or fields.get("default") is True
        names[one.id or name] = name
        ready.append(replace(one, name=name, fields=fields))
    resolved = []
    for one in ready:
        fallback = names.get(one.fallback, one.fallback if one.fallback in names.values() else "")
        if one.fallback and not fallback:
            notes.append(f"registry {one.name!r}: its fallback {one.fallback!r} is not among these and was left out")
        resolved.append(replace(one, fields={**one.fields, "fallback_registry": fallback}) if fallback else one)
    return resolved, notes


def _secret_fields(one: Imported) -> tuple[str, ...]:
    """Return the secrets that are known, and the one that a login with what is known needs."""
    secret, who = _LOGINS.get(one.provider, _USUAL_LOGIN)
    is_wanted = not who or who in one.fields
    return tuple(key for key in _SECRETS if key in one.secrets or (key == secret and is_wanted))


def _secret_text(one: Imported, key: str, *, with_secrets: bool) -> str:
    known = one.secrets.get(key)
    text = known.reveal() if known else ""
    if variable := _TERRAFORM_VARIABLE.fullmatch(text.strip()):
        return "${TF_VAR_" + variable[1].replace("-", "_") + "}"
    # What looks like a variable in a secret would be taken for one when the file is read.
    return text if with_secrets and text and not _ENVIRONMENT.search(text) else "${" + _variable(one.name, key) + "}"


def _variable(name: str, key: str) -> str:
    text = re.sub(r"[^A-Za-z0-9]+", "_", f"{name}_{key}").upper().strip("_")
    return f"_{text}" if text[:1].isdigit() else text


def _scalar(value: Value) -> str:
    """Write a value: JSON's strings are YAML's, too."""
    return ("true" if value else "false") if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _many(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _one(value: object) -> Mapping[str, object]:
    """Return a block's body: Terraform writes one block as an object or as a list of one."""
    return _mapping(next(iter(_many(value)), None))
