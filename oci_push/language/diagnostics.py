"""What checks find: errors and warnings with their places, collected so that all are told at once.

Beside them stands what only the vendor's own validator refuses: things that its documentation describes or that make
sense here, and that this program runs. Nobody is bothered with those who does not ask (``validate --strict``).
"""

from __future__ import annotations

from collections.abc import Iterable

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.document import Location, Scalar


class Diagnostics:
    """Collect problems in the order in which they are found."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.upstream: list[Diagnostic] = []

    def error(self, mark: Location, path: str, message: str, *, code: int = 0, hint: str | None = None) -> None:
        """Add what makes the file unusable; `code` is the vendor's number."""
        self.errors.append(Diagnostic(message, mark.file, mark.line, mark.column, path, code, hint))

    def warn(self, mark: Location, path: str, message: str, *, code: int = 0, hint: str | None = None) -> None:
        """Add what is strange but has a meaning."""
        self.warnings.append(Diagnostic(message, mark.file, mark.line, mark.column, path, code, hint))

    def refused_upstream(self, mark: Location, path: str, message: str, *, code: int = 0, hint: str) -> None:
        """Add what is fine here and an error for the vendor's validator, in its words; `hint` says what we do."""
        self.upstream.append(Diagnostic(message, mark.file, mark.line, mark.column, path, code, hint))

    def bare_variables(self, found: Iterable[Scalar]) -> None:
        """Add variables without quotes in flow collections: text here, as the vendor's page writes them; no YAML."""
        for scalar in found:
            message = f"{scalar.text} has no quotes inside [ ] or {{ }}, which YAML does not allow; it is read as text"
            hint = f'write "{scalar.text}"'
            self.warn(scalar.mark, "", message, hint=hint)
            self.refused_upstream(scalar.mark, "", "not YAML: a flow list or mapping goes on strangely", hint=hint)

    def add(self, other: Diagnostics, *, as_warnings: bool = False) -> None:
        """Take over what another collection holds; `as_warnings` makes errors of it harmless."""
        (self.warnings if as_warnings else self.errors).extend(other.errors)
        self.warnings.extend(other.warnings)
        self.upstream.extend(other.upstream)

    def once(self) -> None:
        """Drop what was said before at the same place: steps out of one `matrix` share their lines."""
        for problems in (self.errors, self.warnings, self.upstream):
            kept = {(one.file, one.line, one.column, one.message): one for one in reversed(problems)}
            problems[:] = reversed(kept.values())

    def raise_errors(self) -> None:
        """Raise one `ConfigError` with every error, if there is any."""
        if self.errors:
            raise ConfigError(problems=self.errors)
