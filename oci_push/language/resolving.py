"""What resolving one step looks things up in, and using a text: its variables replaced, or an error with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.document import Location
from oci_push.language.integrations import Config
from oci_push.language.steps import BuildStep, Text
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import RepositoryCreation
from oci_push.model.reference import Repository
from oci_push.model.source import SourceGrammar
from oci_push.variables.lookup import Variables, names_in


class Pushed(Struct, frozen=True):
    """What a push step has pushed, for later steps that name it as their candidate.

    `name` is the image's own, without host and prefix of the registry that it went to.
    """

    repository: Repository
    digest: Digest
    endpoint: RegistryEndpoint
    name: str


class ResolveContext(Struct, frozen=True):
    """What resolving looks things up in; `grammar` says what a SOURCE means.

    `candidates` are the SOURCEs of build steps; `pushed` grows while a run goes on, in a plan `image_names`. `steps`
    are the names of all steps. `regions` replace those of ECR integrations, and `wait_replication` waits for them as
    ``replicate: true`` does; `creation` creates ECR repositories where an integration says nothing of it.
    `with_login` is off for plans and rehearsals, which log in nowhere and so miss no password; `wants_images` is off
    where nobody need have said where the images of build steps are; `is_plan` lets pass what only a run can know.
    """

    config: Config
    variables: Variables
    builds: Mapping[str, BuildStep]
    candidates: Mapping[str, str]
    grammar: SourceGrammar
    steps: frozenset[str] = frozenset()
    pushed: Mapping[str, Pushed] = field(default_factory=dict)
    image_names: Mapping[str, str] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    wait_replication: bool = False
    creation: RepositoryCreation | None = None
    with_login: bool = True
    wants_images: bool = True
    is_plan: bool = False

    def use(self, text: Text) -> str:
        """Return a text with its variables replaced; raises `ConfigError` for one that nobody defines.

        In a plan outputs that a step will only have after it ran stay as they are written.
        """
        try:
            done = self.variables.interpolate(text.text)
        except ConfigError as problem:
            raise error(text.location, str(problem), problem.hint) from problem
        undefined = [name for name in done.undefined if not (self.is_plan and self.owner_of(name))]
        if not undefined:
            return done.text
        lacking = self.config.lacking.get(undefined[0])
        if lacking is not None:
            hint = f"{lacking}; {lacking.hint}"
        elif step := self.owner_of(undefined[0]):
            hint = f"step {step!r} exports no such output, or has not run before this one"
        else:
            hint = hint_for_variable(undefined[0])
        named = ", ".join(f"${{{{{name}}}}}" for name in undefined)
        raise error(text.location, f"unresolved variable {named}", hint)

    def use_now(self, text: Text) -> str | None:
        """Return what `use` does, or nothing where only a run can know it."""
        value = self.use(text)
        return None if self.is_later(value) else value

    def is_later(self, text: str) -> bool:
        """Return whether a used text still holds what only a run can know; a value may just look like that."""
        return self.is_plan and any(name in self.steps or self.owner_of(name) for name in names_in(text))

    def owner_of(self, name: str) -> str:
        """Return the step whose output a variable is, or nothing."""
        for text in (name.removeprefix("steps."), name):
            step, dot, _ = text.partition(".")
            if dot and step in self.steps:
                return step
        return ""


def hint_for_variable(name: str) -> str:
    """Return where a variable that nobody defines can come from."""
    given = f"give it: --var {name}=VALUE, variables: in oci-push.yaml, or the environment"
    # These also come from the CI and git, and git is silent where it is missing or trusts the folder's owner not.
    return f"{given}; `oci-push variables` tells why it is not known" if name.startswith("CF_") else given


def error(location: Location, message: str, hint: str | None = None, code: int = 0) -> ConfigError:
    """Return an error with a place in the file."""
    return ConfigError(problems=[location.problem(message, code=code, hint=hint)])


def raise_together(problems: Sequence[Diagnostic]) -> None:
    """Raise one error for several problems, each told once; nothing for none."""
    if problems:
        raise ConfigError(problems=tuple(dict.fromkeys(problems)))
