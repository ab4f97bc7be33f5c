"""The keys of the language: of the root and of each type of step, with what editors say about them.

These tables are checked by `schema_check` and printed by `language_schema`. `stage`, `steps`, hooks and names need more
than one value to judge and are left to `schema_check`.
"""

from __future__ import annotations

import math
import re

from msgspec import Struct

from oci_push.language.diagnostics import Diagnostics, with_value
from oci_push.language.document import Location, Node, Scalar
from oci_push.language.note_rules import NOTES
from oci_push.language.scalar_rules import Anything, Boolean, Choice, Number, String
from oci_push.language.scalars import number, text, word
from oci_push.language.schema import Field, Fields, Items, OneOf, Shared
from oci_push.language.steps import AwsKeys, BuildStep, Flag, PushStep, Retry, Settings, Text
from oci_push.language.when import SUCCESS_CRITERIA, WHEN

NOWHERE = Location("", 0, 0)
PROVIDER_PATTERN = "^standard|docker|ecr$"
"""The vendor's pattern, ungrouped as it is: it lets ``my-ecr`` through, which `schema_check` warns about."""
_TIMEOUT = r"^\d*\.?\d*[smh]$"
_TIMEOUT_PARTS = re.compile(r"([0-9]*\.?[0-9]*)([smh])")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
MAX_TIMEOUT_S = 2147483.647
"""The vendor counts milliseconds in 32 bits."""
_TIMEOUT_WORDS = "<duration><units> where duration is int|float and units are s|m|h"
_SHOWN_LATER = Anything({"type": "object"})


class Timeout(Struct, frozen=True):
    """A number with a unit, or null for no limit."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the form, and warn about what has it and still means something unexpected."""
        if isinstance(node, Scalar) and node.value is None:
            return
        found = len(diagnostics.errors)
        String(pattern=_TIMEOUT, named=_TIMEOUT_WORDS).check(key, node, path, diagnostics)
        if len(diagnostics.errors) > found or not isinstance(node, Scalar):
            return
        if node.text[:-1] in ("", "."):
            message = with_value(f'"{key}" has no number and is no limit', node)
            diagnostics.warn(node.location, path, message, hint="write a number before the unit: 90s")
        elif float(node.text[:-1]) * UNITS[node.text[-1]] > MAX_TIMEOUT_S:
            message = with_value(f'"{key}" is more than {MAX_TIMEOUT_S:.0f} s; that much is taken', node)
            diagnostics.warn(node.location, path, message)

    def read(self, node: Node) -> float | None:
        """Return seconds, infinity for no limit, and nothing for what is written wrong."""
        if isinstance(node, Scalar) and node.value is None:
            return math.inf
        written = text(node)
        match = _TIMEOUT_PARTS.fullmatch(written.text) if written else None
        if match is None:
            return None
        seconds = float(match[1]) * UNITS[match[2]] if match[1] not in ("", ".") else 0.0
        return min(seconds, MAX_TIMEOUT_S) or math.inf

    def to_json(self) -> dict[str, object]:
        """Return the pattern."""
        return {"anyOf": [{"type": "null"}, {"type": "string", "pattern": _TIMEOUT}]}


class Bounded(Struct, frozen=True):
    """A number of a retry block, from `least` to `most` by the documentation; only `most` bounds what is taken."""

    least: float
    most: float
    unit: str = ""
    is_whole: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check that it is a positive number, and warn about one that is not taken as it is, or is too small."""
        _POSITIVE.check(key, node, path, diagnostics)
        value = number(node)
        if value is None or value <= 0:
            return
        if value > self.most:
            said = f"is more than {self.most:g}{self.unit}; {self.most:g} is taken"
        elif self.is_whole and value != int(value):
            said = f"is no whole number; {self.read(node)} is taken"
        elif value < self.least:
            said = f"is less than the documented {self.least:g}{self.unit}"
        else:
            return
        diagnostics.warn(node.location, path, with_value(f'"{key}" {said}', node))

    def read(self, node: Node) -> float | None:
        """Return the number that is taken."""
        value = number(node)
        if value is None:
            return None
        value = min(value, self.most)
        return max(1, int(value)) if self.is_whole else value

    def to_json(self) -> dict[str, object]:
        """Return a positive number."""
        return _POSITIVE.to_json()


_POSITIVE = Number(positive=True)
RETRY = Fields(
    {
        "maxAttempts": Field(
            Bounded(1.0, 10.0, is_whole=True),
            "Attempts in all, 1 to 10; 1 means no retry.",
            default=1,
            attribute="max_attempts",
        ),
        "delay": Field(
            Bounded(5.0, 60.0, " seconds"),
            "Seconds before the second attempt, up to 60.",
            default=5,
            attribute="delay_s",
        ),
        "exponentialFactor": Field(
            Bounded(1.0, 5.0), "Each wait is the one before to this power, 1 to 5.", default=1, attribute="factor"
        ),
    },
    into=Retry,
)
_ENV: Fields[None] = Fields(
    {
        "name": Field(String(), "Name of the environment.", required=True),
        "endpoints": Field(Items(Fields({"name": Field(String()), "url": Field(String())}))),
        "type": Field(Choice(("kubernetes", "helm-release"))),
        "change": Field(String()),
        "filters": Field(
            Items(
                Fields(
                    {
                        "cluster": Field(String()),
                        "namespace": Field(String()),
                        "releaseName": Field(String()),
                        "selectors": Field(Items(Anything())),
                    }
                )
            )
        ),
    }
)
_PHASE = Field(Boolean(variable=False))
_DEBUG: Fields[None] = Fields({"phases": Field(Fields({"before": _PHASE, "after": _PHASE}))})
_FREESTYLE_DEBUG: Fields[None] = Fields(
    {"phases": Field(Fields({"before": _PHASE, "after": _PHASE, "override": _PHASE}))}
)
_MACHINE: OneOf[None] = OneOf(
    (
        Fields({"create": Field(Fields({"provider": Field(String())}))}),
        Fields({"use": Field(Fields({"node": Field(String())}))}),
    )
)

COMMON: dict[str, Field] = {
    "type": Field(Anything({"type": "string"}), "What the step does; without it a step is freestyle."),
    "description": Field(String(), "Free text."),
    "title": Field(String(), "The name shown, instead of the step's own."),
    "stage": Field(Anything({"type": "string"}, word), "The stage it is shown under, one of the root's stages."),
    "env": Field(
        Shared(_ENV, "env"), "An entry for a dashboard of deployments; not environment variables. No effect here."
    ),
    "fail_fast": Field(Boolean(), "Whether its failure stops the pipeline.", default=True),
    "strict_fail_fast": Field(
        Boolean(strict=True), "Whether the build fails after all, where its failure does not stop it.", default=False
    ),
    "when": Field(Shared(WHEN, "when"), "When it runs; all parts must hold."),
    "retry": Field(Shared(RETRY, "retry"), "How often it is tried again after a failure."),
    "timeout": Field(
        Timeout(), "How long it may take, all attempts together: 90s, 1.5h.", lenient=True, attribute="timeout_s"
    ),
    "docker_machine": Field(Shared(_MACHINE, "docker_machine"), "No effect here."),
    "debug": Field(Shared(_DEBUG, "debug"), "Breakpoints. No effect here."),
    "on_success": Field(Shared(NOTES, "notes"), "Notes written after success; hooks are the newer form."),
    "on_fail": Field(Shared(NOTES, "notes"), "Notes written after a failure; hooks are the newer form."),
    "on_finish": Field(Shared(NOTES, "notes"), "Notes written at the end; hooks are the newer form."),
    "hooks": Field(_SHOWN_LATER, "What is done before and after it."),
    "arguments": Field(_SHOWN_LATER, "Keys of the step once more; these win."),
}
ALIASES = {"fail-fast": "fail_fast"}


def _login(username: Text | None = None, password: Text | None = None) -> tuple[Text, Text] | None:
    return (username, password) if username and password else None


def _push(
    candidate: Text | None = None,
    image_name: Text | None = None,
    tag: Text | None = None,
    tags: tuple[Text, ...] = (),
    registry: Text | None = None,
    credentials: tuple[Text, Text] | None = None,
    registry_context: Text | None = None,
    provider: Text | None = None,
) -> PushStep:
    """Return a push step whose name, settings and AWS keys are still to come."""
    return PushStep(
        "",
        NOWHERE,
        candidate or Text("", NOWHERE),
        image_name=image_name,
        tags=((tag,) if tag else ()) + tags,
        registry=registry,
        credentials=credentials,
        registry_context=registry_context,
        provider="" if provider is None else "ecr" if provider.text == "ecr" else "docker",
    )


PUSH: Fields[None] = Fields(
    {
        **COMMON,
        "candidate": Field(String(), "The image: ${{STEP}} of a build step, or a reference.", required=True),
        "registry": Field(String(), "An integration's name, or a host."),
        "image_name": Field(String(), "Repository in the registry, without host and tag; by default the candidate's."),
        "tag": Field(String(), "The tag.", default="latest"),
        "tags": Field(Items(String()), "Several tags."),
        "provider": Field(String(pattern=PROVIDER_PATTERN), "docker or ecr.", default="docker"),
        "credentials": Field(
            Fields(
                {
                    "username": Field(String(), "User name.", required=True),
                    "password": Field(String(secret=True), "Password; better a variable.", required=True),
                },
                secret=True,
                into=_login,
            ),
            "Login for this step, instead of the integration's.",
        ),
        "accessKeyId": Field(String(), "AWS access key, with provider: ecr.", attribute="access_key_id"),
        "secretAccessKey": Field(
            String(secret=True), "AWS secret key, with provider: ecr.", attribute="secret_access_key"
        ),
        "region": Field(String(), "AWS region to push to, with an ECR registry."),
        "role_arn": Field(String(), "AWS role to assume, with an ECR registry."),
        "aws_session_name": Field(
            String(), "Name of the role's session.", default="default-session-name", attribute="session_name"
        ),
        "aws_duration_seconds": Field(
            Number(), "Length of the role's session, 900 to 3600.", default=3600, attribute="duration_s"
        ),
        "registry_context": Field(String(), "The integration that the candidate is pulled with."),
    },
    ALIASES,
)

SETTINGS = PUSH.part(
    Settings, "title", "description", "stage", "when", "retry", "timeout", "fail_fast", "strict_fail_fast"
)
AWS_KEYS = PUSH.part(
    AwsKeys, "accessKeyId", "secretAccessKey", "region", "role_arn", "aws_session_name", "aws_duration_seconds"
)
PUSH_STEP = PUSH.part(
    _push,
    "candidate", "image_name", "tag", "tags", "registry", "credentials", "registry_context", "provider",
)  # fmt: skip

PARALLEL: Fields[None] = Fields(
    {
        **COMMON,
        "steps": Field(_SHOWN_LATER, "The steps that start together."),
        "success_criteria": Field(SUCCESS_CRITERIA, "What makes the group successful."),
    },
    ALIASES,
)

# The vendor's list of keys is longer; a build step is read for what a push needs, and the rest is let be.
BUILD: Fields[None] = Fields(
    {
        **COMMON,
        "image_name": Field(String(), "Repository of the image built.", required=True),
        "tag": Field(String(), "Its tag; by default the branch's or revision's."),
        "tags": Field(Items(String()), "Its tags."),
        "tag_policy": Field(Choice(("original", "lowercase")), "Letter case of the tag.", default="lowercase"),
        "registry": Field(String(), "The integration it is pushed to."),
        "disable_push": Field(Boolean(), "Keep it from being pushed by --auto-push.", default=False),
        "platform": Field(String(), "Platform built for."),
    },
    {**ALIASES, "image-name": "image_name", "tag-policy": "tag_policy"},
    is_open=True,
)


def _build(
    image_name: Text | None = None,
    tag: Text | None = None,
    tags: tuple[Text, ...] = (),
    registry: Text | None = None,
    disable_push: Flag = None,
    tag_policy: str = "",
) -> BuildStep:
    """Return a build step whose name and settings are still to come."""
    tags = ((tag,) if tag else ()) + tags
    return BuildStep("", NOWHERE, Settings(), image_name, tags, registry, disable_push, tag_policy != "original")


BUILD_STEP = BUILD.part(_build, "image_name", "tag", "tags", "registry", "disable_push", "tag_policy")

FREESTYLE: Fields[None] = Fields(
    {
        **COMMON,
        "image": Field(String(), "The image it runs in.", required=True),
        "commands": Field(Items(String()), "What it does; run in hooks only, with --allow-exec.", lenient=True),
        "debug": Field(_FREESTYLE_DEBUG, "Breakpoints. No effect here."),
    },
    ALIASES,
    is_open=True,
)


def _commands(commands: tuple[Text, ...] = ()) -> tuple[Text, ...]:
    return commands


COMMANDS = FREESTYLE.part(_commands, "commands")

# These two types have timeouts of their own forms.
_OWN_TIMEOUT = {**COMMON, "timeout": Field(Anything())}
UNSUPPORTED: Fields[None] = Fields(COMMON, ALIASES, is_open=True)
KEYS: dict[str, Fields[None]] = {
    "push": PUSH,
    "parallel": PARALLEL,
    "build": BUILD,
    "freestyle": FREESTYLE,
    "pending-approval": Fields(_OWN_TIMEOUT, ALIASES, is_open=True),
    "deploy": Fields(_OWN_TIMEOUT, ALIASES, is_open=True),
    "": UNSUPPORTED,
}
"""The keys of each type, the last of all others; `step_rules` puts the rule for hooks in."""
