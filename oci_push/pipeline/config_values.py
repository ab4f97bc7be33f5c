"""Values in ``oci-push.yaml``: ``${NAME}`` from the environment, secrets from files, paths beside the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oci_push.errors import Problem
from oci_push.pipeline.document import Scalar
from oci_push.pipeline.findings import Findings

_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

ReadText = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Values:
    """Read values; `missing` collects environment variables that are not set, for whoever turns out to need them."""

    env: Mapping[str, str]
    read: ReadText
    folder: Path
    findings: Findings
    missing: list[Problem] = field(default_factory=list)

    def for_one(self) -> Values:
        """Give the same with a list of its own of what is missing."""
        return Values(self.env, self.read, self.folder, self.findings)

    def expanded(self, node: Scalar) -> str | None:
        """Replace ``${NAME}``; gives nothing, and notes it, when one is not set."""
        lacking = [name for name in _ENVIRONMENT.findall(node.text) if name not in self.env]
        for name in lacking:
            hint = f"export {name}, or take {name} out of {node.mark.file}"
            message = f"environment variable {name} is not set"
            self.missing.append(Problem(message, node.mark.file, node.mark.line, node.mark.column, hint=hint))
        return None if lacking else _ENVIRONMENT.sub(lambda match: self.env[match[1]], node.text)

    def secret(self, node: Scalar, key: str) -> str | None:
        """Read a secret; one that is written out gets a warning."""
        if not _ENVIRONMENT.search(node.text):
            message = f"{key} is written out; better take it from the environment: ${{NAME}}"
            self.findings.warn(node.mark, key, message)
        return self.expanded(node)

    def file(self, node: Scalar, key: str) -> str | None:
        """Read the file that a value names, without the line end at its end."""
        named = self.expanded(node)
        if named is None:
            return None
        try:
            return self.read(self.folder / named).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
            self.findings.error(node.mark, key, f"{self.folder / named}: cannot be read ({reason})")
            return None

    def path(self, node: Scalar) -> str:
        """Give the path that a value names, seen from the configuration's folder."""
        named = self.expanded(node)
        return str(self.folder / named) if named else ""
