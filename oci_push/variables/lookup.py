"""Variables: where ``${{NAME}}`` is looked up. What is not defined stays exactly as it is written.

A name is looked up in what a step adds to its own view, in the outputs of finished steps, in the sources (first one
wins), in the secrets, and among the derived variables, in this order.

Only values of ``variables:`` in a configuration may hold variables themselves. Those of other sources stay literal:
branch names, commit messages and titles are written by strangers, and ``${{secrets.prod.token}}`` in a commit message
must stay the words it is, also where a CI hands the message on with ``--var`` or in a file of variables.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from oci_push.secret import Secret, repr_without
from oci_push.variables.derived import DERIVED
from oci_push.variables.interpolation import (
    Derived,
    Found,
    Interpolated,
    Literal,
    interpolate,
    names_in,
    only_name,
    value_of,
)

__all__ = ["Interpolated", "VariableSource", "Variables", "interpolate", "names_in", "only_name"]

_SECRETS = "secrets."
_STEPS = "steps."
_PARENTS = "parentSteps."


class VariableSource(Struct, frozen=True):
    """Variables from one place, named so that a user knows it (``--var``, ``git``).

    `is_literal` keeps its values from being expanded. `is_own` says that its names were chosen by the user, for this
    program: they may be names of secrets. `origins` tells, by variable, what else to say about where a value is from
    (``GITHUB_REF_NAME``).
    """

    name: str
    values: Mapping[str, str]
    is_literal: bool = False
    is_own: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return repr_without(self, "values")

    @property
    def may_name_secrets(self) -> bool:
        """Return whether ``secrets.CONTEXT.KEY`` is looked up here."""
        return self.is_own or not self.is_literal


class Variables:
    """Look names up in sources, steps and secrets; safe to use from several threads."""

    def __init__(
        self, sources: Sequence[VariableSource] = (), *, secrets: Mapping[str, Mapping[str, Secret]] | None = None
    ) -> None:
        self._sources = tuple(sources)
        self._secrets = {
            f"{_SECRETS}{context}.{key}": value
            for context, values in (secrets or {}).items()
            for key, value in values.items()
        }
        # Made secrets before anybody asks for them: what is shown may hold them all the same.
        for source in reversed([source for source in self._sources if source.may_name_secrets]):
            own = ((name, value) for name, value in source.values.items() if name.startswith(_SECRETS))
            self._secrets.update((name, Secret(value)) for name, value in own)
        self._extra: Mapping[str, str] = {}
        self._outputs = _Outputs()
        self._parents: _Outputs | None = None

    @classmethod
    def of(cls, *mappings: Mapping[str, str]) -> Variables:
        """Take plain mappings as sources, the first one winning."""
        return cls([VariableSource("variables", mapping) for mapping in mappings])

    @property
    def sources(self) -> tuple[VariableSource, ...]:
        """Return the sources, in order of precedence."""
        return self._sources

    def lookup(self, name: str) -> str | None:
        """Return a value as it was set, variables in it not replaced; a derived one is made."""
        found = self._find(name)
        if isinstance(found, Derived):
            made = value_of(name, self._find)
            return None if made is None else made.text
        return found.text if isinstance(found, Literal) else found

    def interpolate(self, text: str) -> Interpolated:
        """Replace what is defined; raises `ConfigError` for circles and for values that grow beyond use."""
        return interpolate(text, self._find)

    def origin(self, name: str) -> str | None:
        """Return where a value is from: ``--var``, ``GitHub Actions (GITHUB_REF_NAME)``, ``derived from CF_BRANCH``."""
        if name in self._extra or self._output(name) is not None:
            return "the step" if name in self._extra else "an earlier step"
        for source in self._sources:
            if name in source.values:
                detail = source.origins.get(name)
                return f"{source.name} ({detail})" if detail else source.name
        if name in self._secrets:
            return "secrets"
        if name in DERIVED and self.lookup(name) is not None:
            return f"derived from {DERIVED[name].base}"
        return None

    def names(self) -> Mapping[str, str]:
        """Return all variables without a dot in their name, by name, with variables in their values replaced.

        It is a view: a value is looked up when it is asked for, and may raise what `interpolate` raises.
        """
        return _Names(self)

    def export(self, step: str, outputs: Mapping[str, str]) -> None:
        """Make a finished step's outputs known to later steps, all at once; ``output.VAR`` is one of them."""
        self._outputs.add(step, outputs)

    def exports(self) -> Mapping[str, Mapping[str, str]]:
        """Return the outputs of the steps that have finished, by step, in the order in which they did."""
        return self._outputs.by_step

    def overlay(self, values: Mapping[str, str]) -> Variables:
        """Return a view in which `values` win over everything; what steps export is shared with it."""
        view = self._view()
        view._extra = {**self._extra, **values}
        return view

    def inside_hooks(self) -> Variables:
        """Return the view of a hook: its own steps come first, and ``parentSteps.`` reaches the pipeline's.

        What is exported to the view stays in it: a hook's step may have the name of a step of the pipeline.
        """
        view = self._view()
        view._parents = self._parents or self._outputs
        view._outputs = _Outputs()
        return view

    def _view(self) -> Variables:
        view = Variables(self._sources)
        view._secrets = self._secrets
        view._extra = self._extra
        view._outputs = self._outputs
        view._parents = self._parents
        return view

    def _find(self, name: str) -> Found:
        if name in self._extra:
            return Literal(self._extra[name])
        output = self._output(name)
        if output is not None:
            return Literal(output)
        if name in self._secrets:
            return Literal(self._secrets[name].reveal(), self._secrets[name])
        for source in self._sources:
            value = None if name.startswith(_SECRETS) else source.values.get(name)
            if value is not None:
                return Literal(value) if source.is_literal else value
        return DERIVED.get(name)

    def _output(self, name: str) -> str | None:
        if self._parents is not None and name.startswith(_PARENTS):
            return self._parents.get(name.removeprefix(_PARENTS))
        for outputs in (self._outputs, self._parents):
            if outputs is not None:
                # A step may itself be called "steps".
                value = outputs.get(name.removeprefix(_STEPS))
                value = outputs.get(name) if value is None else value
                if value is not None:
                    return value
        return None


class _Outputs:
    """The outputs of finished steps. Writers replace the mapping, so readers need no lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.by_step: Mapping[str, Mapping[str, str]] = {}

    def add(self, step: str, outputs: Mapping[str, str]) -> None:
        with self._lock:
            self.by_step = {**self.by_step, step: {**self.by_step.get(step, {}), **outputs}}

    def get(self, name: str) -> str | None:
        """Find ``NAME.output``; step names hold no dot, outputs may."""
        step, _, output = name.partition(".")
        return self.by_step.get(step, {}).get(output)


class _Names(Mapping[str, str]):
    def __init__(self, variables: Variables) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        found = None if "." in name else value_of(name, self._variables._find)
        if found is None:
            raise KeyError(name)
        return found.text

    def __iter__(self) -> Iterator[str]:
        given = (name for source in self._variables._sources for name in source.values)
        made = (name for name in DERIVED if self._variables.lookup(name) is not None)
        known = dict.fromkeys([*self._variables._extra, *given, *made])
        return iter([name for name in known if "." not in name])

    def __len__(self) -> int:
        return sum(1 for _ in self)
