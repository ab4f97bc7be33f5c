"""The pipeline as a model: what the file says, checked and typed, with no variable replaced yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct, field

from oci_push.errors import Diagnostic
from oci_push.language.document import Location

KNOWN_TYPES = frozenset(
    {
        "git-clone",
        "build",
        "deploy",
        "composition",
        "launch-composition",
        "parallel",
        "push",
        "travis",
        "simple_travis",
        "integration-test",
        "push-tag",
        "pending-approval",
        "services",
        "freestyle",
        "freestyle-ssh",
        "github-action",
    }
)
HOOK_EVENTS = ("on_elected", "on_success", "on_fail", "on_finish")


class Text(Struct, frozen=True):
    """A string field and its place; variables are still in it."""

    text: str
    location: Location


Flag: TypeAlias = bool | Text | None
"""A switch: said, left to a variable, or not said."""


class Retry(Struct, frozen=True):
    """Bounds of a step's attempts: `max_attempts` in all, first wait `delay_s`, each next to the power of `factor`."""

    max_attempts: int = 1
    delay_s: float = 5.0
    factor: float = 1.0


class Condition(Struct, frozen=True):
    """One named expression."""

    name: str
    expression: Text


class Conditions(Struct, frozen=True):
    """Expressions of which all must be true, and others of which one must; `None` where nothing is asked."""

    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None


class Branches(Struct, frozen=True):
    """Names and ``/expressions/`` of branches; `None` where nothing is asked."""

    only: tuple[Text, ...] | None = None
    ignore: tuple[Text, ...] | None = None


class Dependency(Struct, frozen=True):
    """A step waited for and the states of it that suffice."""

    name: Text
    states: tuple[str, ...] = ("success",)


class Dependencies(Struct, frozen=True):
    """Dependencies of which all, or with `one_suffices` one, must hold."""

    steps: tuple[Dependency, ...]
    one_suffices: bool = False


class When(Struct, frozen=True):
    """What decides whether a step runs; every part that is there must hold."""

    branches: Branches = Branches()
    conditions: Conditions = Conditions()
    dependencies: Dependencies | None = None


class SuccessCriteria(Struct, frozen=True):
    """Which children decide about a group, by name, and what must be true of them."""

    only: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    conditions: Conditions = Conditions()


class Evaluate(Struct, frozen=True):
    """A note's value that is the result of an expression."""

    expression: Text


NoteValue: TypeAlias = Text | float | bool | Evaluate | None
"""A note's value; `None` for a key alone."""


class NoteEntry(Struct, frozen=True):
    """One key with its value."""

    key: str
    value: NoteValue
    location: Location


class ImageNotes(Struct, frozen=True):
    """Metadata for one image; `image` is its id, usually a variable."""

    image: Text
    notes: tuple[NoteEntry, ...]


class EntityNotes(Struct, frozen=True):
    """Annotations to write on an entity; without an id it is this build."""

    entity_type: Text | None
    entity_id: Text | None
    notes: tuple[NoteEntry, ...]
    display: Text | None = None


class Removal(Struct, frozen=True):
    """Annotations to remove from an entity."""

    entity_type: Text | None
    entity_id: Text | None
    keys: tuple[str, ...]


class Notes(Struct, frozen=True):
    """What is written down beside images and builds, never into a manifest."""

    metadata: tuple[ImageNotes, ...] = ()
    annotations: tuple[EntityNotes, ...] = ()
    removals: tuple[Removal, ...] = ()


class Hook(Struct, frozen=True):
    """What is done at one event: shell commands, or steps, and notes.

    `event` is ``on_elected``, ``on_success``, ``on_fail`` or ``on_finish``.
    """

    event: str
    commands: tuple[Text, ...] = ()
    steps: tuple[Step, ...] = ()
    is_parallel: bool = False
    fail_fast: Flag = None
    strict_fail_fast: Flag = None
    notes: Notes = Notes()


class Settings(Struct, frozen=True):
    """What every type of step has. `timeout_s` is what is left after inheriting; `None` is no limit."""

    title: Text | None = None
    description: Text | None = None
    stage: str = ""
    when: When = When()
    retry: Retry = Retry()
    timeout_s: float | None = None
    fail_fast: Flag = None
    strict_fail_fast: Flag = None
    hooks: tuple[Hook, ...] = ()

    def hook(self, event: str) -> Hook | None:
        """Return the hook of an event."""
        return next((hook for hook in self.hooks if hook.event == event), None)


class AwsKeys(Struct, frozen=True):
    """A push step's AWS keys as written."""

    access_key_id: Text | None = None
    secret_access_key: Text | None = None
    region: Text | None = None
    role_arn: Text | None = None
    session_name: Text | None = None
    duration_s: float | None = None


class PushStep(Struct, frozen=True):
    """A ``type: push`` step. `credentials` are user and password; `tags` are in the order to push.

    `provider` is ``docker``, ``ecr`` or, where nothing is said, empty.
    """

    name: str
    location: Location
    candidate: Text
    settings: Settings = Settings()
    image_name: Text | None = None
    tags: tuple[Text, ...] = ()
    registry: Text | None = None
    credentials: tuple[Text, Text] | None = None
    registry_context: Text | None = None
    provider: str = ""
    aws: AwsKeys = AwsKeys()


class BuildStep(Struct, frozen=True):
    """What a push needs of a ``type: build`` step; `lowers_tag` is its `tag_policy`."""

    name: str
    location: Location
    settings: Settings = Settings()
    image_name: Text | None = None
    tags: tuple[Text, ...] = ()
    registry: Text | None = None
    disable_push: Flag = None
    lowers_tag: bool = True

    @property
    def tags_or_default(self) -> tuple[Text, ...]:
        """Return its tags; the documented default is the branch being built."""
        return self.tags or (Text("${{CF_BRANCH_TAG_NORMALIZED}}", self.location),)

    def cased(self, tag: str) -> str:
        """Return a tag as the step's `tag_policy` has it."""
        return tag.lower() if self.lowers_tag else tag


class ParallelStep(Struct, frozen=True):
    """Steps that run side by side."""

    name: str
    location: Location
    steps: tuple[Step, ...]
    settings: Settings = Settings()
    success_criteria: SuccessCriteria | None = None


class UnsupportedStep(Struct, frozen=True):
    """A step of a type that this program does not run; `commands` are those of a freestyle step.

    `is_done` says that its result is known from an image that was given.
    """

    name: str
    location: Location
    type: str
    settings: Settings = Settings()
    commands: tuple[Text, ...] = ()
    is_done: bool = False


Step: TypeAlias = PushStep | BuildStep | ParallelStep | UnsupportedStep


class Pipeline(Struct, frozen=True):
    """A pipeline: steps in file order and the root's settings.

    `variables` are those that it brings along, `lacking` why others that it has are not known.
    """

    path: str
    steps: tuple[Step, ...]
    is_parallel: bool = False
    fail_fast: Flag = None
    strict_fail_fast: Flag = None
    success_criteria: SuccessCriteria | None = None
    hooks: tuple[Hook, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, Diagnostic] = field(default_factory=dict)

    def builds(self) -> dict[str, BuildStep]:
        """Return the build steps of all levels by name."""
        return {step.name: step for step in flatten(self.steps) if isinstance(step, BuildStep)}

    def hook(self, event: str) -> Hook | None:
        """Return the pipeline's hook of an event."""
        return next((hook for hook in self.hooks if hook.event == event), None)


def type_of(step: Step) -> str:
    """Return a step's type as the file has it."""
    match step:
        case PushStep():
            return "push"
        case BuildStep():
            return "build"
        case ParallelStep():
            return "parallel"
        case UnsupportedStep():
            return step.type


def flatten(steps: tuple[Step, ...]) -> list[Step]:
    """Return steps of all levels, parents before their children."""
    return list(_walk(steps))


def _walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step, ParallelStep):
            yield from _walk(step.steps)


MAX_WAIT_S = 900.0
"""The longest single wait where nothing else is said: ``delay: 60, exponentialFactor: 5`` asks for centuries."""


def wait_s(retry: Retry, failed_attempts: int, most_s: float = MAX_WAIT_S) -> float:
    """Return the wait after the n-th failed attempt: with a factor each is the one before to the power of it."""
    wait = retry.delay_s
    if retry.factor != 1:
        for _ in range(failed_attempts):
            wait = min(wait**retry.factor, most_s)
    return min(wait, most_s)
