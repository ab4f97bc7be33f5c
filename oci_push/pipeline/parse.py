"""From nodes to the model: every problem of a pipeline file at once, each with its place.

Wording follows the vendor's validator, so that people find messages by searching. Parts of the language that this
version does not run are refused here rather than ignored: a pipeline must never mean something else.
"""

from __future__ import annotations

import re

from oci_push.errors import ConfigError, Problem
from oci_push.pipeline.document import Document, Mapping, Mark, Node, Scalar, Sequence, load
from oci_push.pipeline.steps import BuildStep, ForeignStep, ParallelStep, Pipeline, PushStep, Retry, Step, Text

_TIMEOUT = re.compile(r"(\d*\.?\d*)([smh])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_TIMEOUT_S = 2147483.647
_ROOT = frozenset(
    [
        "version",
        "steps",
        "stages",
        "mode",
        "fail_fast",
        "strict_fail_fast",
        "success_criteria",
        "hooks",
        "build_version",
        "indicators",
        "services",
    ]
)
_AWS = ("accessKeyId", "secretAccessKey", "region", "role_arn", "aws_session_name", "aws_duration_seconds")
_NOT_YET = ("when", "hooks", "on_success", "on_fail", "on_finish", "scale", "matrix", "strict_fail_fast")
_PUSH = frozenset(
    [
        "type",
        "candidate",
        "registry",
        "image_name",
        "tag",
        "tags",
        "provider",
        "credentials",
        "registry_context",
        "title",
        "description",
        "stage",
        "fail_fast",
        "timeout",
        "retry",
        "env",
        "debug",
        "docker_machine",
        "arguments",
    ]
) | frozenset(_AWS + _NOT_YET)
_PARALLEL = frozenset(
    ["type", "steps", "title", "description", "stage", "fail_fast", "success_criteria", "arguments"]
) | frozenset(_NOT_YET)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def parse_pipeline(text: str | bytes, path: str) -> Pipeline:
    """Read a pipeline; raises one `ConfigError` with everything that is wrong with it."""
    document = load(text, path)
    parser = _Parser(document)
    pipeline = parser.pipeline()
    if parser.problems or pipeline is None:
        raise ConfigError(problems=parser.problems)
    return pipeline


class _Parser:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._stages: tuple[str, ...] = ()
        self._names: set[str] = set()
        self.problems: list[Problem] = []

    def pipeline(self) -> Pipeline | None:
        root = self._document.root
        if not isinstance(root, Mapping):
            self._say(root.mark, "", "a pipeline is a mapping with version and steps")
            return None
        self._known(root, _ROOT, "")
        self._not_yet(root, ("hooks", "success_criteria", "strict_fail_fast"), "")
        self._version(root)
        mode = root.get("mode")
        if mode is not None and _text(mode) not in ("sequential", "parallel"):
            self._say(mode.mark, "mode", '"mode" must be one of [sequential, parallel]')
        elif mode is not None and _text(mode) == "parallel":
            self._say(mode.mark, "mode", "mode: parallel is not supported by this version")
        stages = root.get("stages")
        if stages is not None:
            self._stages = tuple(item.text for item in self._strings(stages, "stages"))
        steps = root.get("steps")
        if steps is None:
            self._say(root.mark, "", '"steps" is required')
            return None
        fail_fast = self._boolean(root, "fail_fast", "")
        parsed = self._steps(steps, "steps")
        return Pipeline(self._document.path, parsed, self._stages, True if fail_fast is None else fail_fast)

    def _version(self, root: Mapping) -> None:
        version = root.get("version")
        if version is None:
            self._say(root.mark, "version", '"version" is required')
        elif not isinstance(version, Scalar) or version.text not in ("1.0", "1"):
            shown = version.text if isinstance(version, Scalar) else "not a number"
            self._say(version.mark, "version", f"Current version: {shown} is invalid. please change version to 1.0")

    def _steps(self, node: Node, path: str) -> tuple[Step, ...]:
        if not isinstance(node, Mapping):
            self._say(node.mark, path, '"steps" must be an object')
            return ()
        found = []
        for entry in node.entries:
            name, mark = entry.key.text, entry.key.mark
            self._name(name, mark, path)
            if not isinstance(entry.value, Mapping):
                self._say(entry.value.mark, f"{path}.{name}", f'"{name}" must be an object')
                continue
            step = self._step(name, mark, self._flattened(entry.value, f"{path}.{name}"), f"{path}.{name}")
            if step is not None:
                found.append(step)
        return tuple(found)

    def _name(self, name: str, mark: Mark, path: str) -> None:
        if any(c in name for c in ".#$[]"):
            self._say(mark, path, 'step name cannot contain ".", "#", "$", "[", or "]"')
        if len(name) > 150:
            self._say(mark, path, "step name length is limited to 150")
        if name in self._names:
            self._say(mark, path, f"step name exist more than once ({name})")
        self._names.add(name)

    def _flattened(self, node: Mapping, path: str) -> Mapping:
        """Assign what stands under ``arguments`` over the step's own keys."""
        inside = node.get("arguments")
        if inside is None:
            return node
        if not isinstance(inside, Mapping):
            self._say(inside.mark, f"{path}.arguments", '"arguments" must be an object')
            return node
        entries = {entry.key.text: entry for entry in node.entries if entry.key.text != "arguments"}
        entries.update({entry.key.text: entry for entry in inside.entries})
        return Mapping(node.mark, tuple(entries.values()))

    def _step(self, name: str, mark: Mark, node: Mapping, path: str) -> Step | None:
        kind = node.get("type")
        text = _text(kind) if kind is not None else "freestyle"
        if text == "push":
            return self._push(name, mark, node, path)
        if text == "build":
            return BuildStep(name, mark, self._string(node, "image_name", path), self._string(node, "tag", path))
        if text == "parallel":
            self._known(node, _PARALLEL, path)
            self._not_yet(node, (*_NOT_YET, "success_criteria"), path)
            steps = node.get("steps")
            if steps is None:
                self._say(node.mark, path, '"steps" is required and must be an array of type steps')
                return None
            stage = self._string(node, "stage", path)
            fail_fast = self._boolean(node, "fail_fast", path)
            return ParallelStep(name, mark, self._steps(steps, f"{path}.steps"), stage.text if stage else "", fail_fast)
        return ForeignStep(name, mark, text)

    def _push(self, name: str, mark: Mark, node: Mapping, path: str) -> PushStep | None:
        self._known(node, _PUSH, path)
        self._not_yet(node, _NOT_YET, path)
        candidate = self._string(node, "candidate", path)
        if candidate is None:
            if node.get("candidate") is None:
                self._say(node.mark, path, '"candidate" is required')
            return None
        stage = self._string(node, "stage", path)
        if stage is not None and stage.text not in self._stages:
            self._say(stage.mark, f"{path}.stage", f'"stage" must be one of [{", ".join(self._stages)}]')
        tag = self._string(node, "tag", path)
        listed = node.get("tags")
        tags = self._strings(listed, f"{path}.tags") if listed is not None else ()
        provider = self._string(node, "provider", path)
        if provider is not None and provider.text not in ("docker", "standard", "ecr"):
            self._say(provider.mark, f"{path}.provider", '"provider" must be one of [docker, standard, ecr]')
        title = self._string(node, "title", path)
        aws = {key: value for key in _AWS if (value := self._string(node, key, path, number=True)) is not None}
        return PushStep(
            name,
            mark,
            candidate,
            title.text if title else name,
            stage.text if stage else "",
            self._string(node, "image_name", path),
            ((tag,) if tag else ()) + tags,
            self._string(node, "registry", path),
            self._credentials(node, path),
            self._string(node, "registry_context", path),
            provider.text if provider else "",
            aws,
            self._retry(node, path),
            self._timeout(node),
            self._boolean(node, "fail_fast", path),
        )

    def _credentials(self, node: Mapping, path: str) -> tuple[Text, Text] | None:
        found = node.get("credentials")
        if found is None:
            return None
        if not isinstance(found, Mapping):
            self._say(found.mark, f"{path}.credentials", '"credentials" must be an object')
            return None
        self._known(found, frozenset({"username", "password"}), f"{path}.credentials")
        pair = []
        for key in ("username", "password"):
            value = self._string(found, key, f"{path}.credentials")
            if value is None and found.get(key) is None:
                self._say(found.mark, f"{path}.credentials", f'"{key}" is required')
            pair.append(value)
        return (pair[0], pair[1]) if pair[0] and pair[1] else None

    def _retry(self, node: Mapping, path: str) -> Retry:
        found = node.get("retry")
        if found is None:
            return Retry()
        if not isinstance(found, Mapping):
            self._say(found.mark, f"{path}.retry", '"retry" must be an object')
            return Retry()
        self._known(found, frozenset({"maxAttempts", "delay", "exponentialFactor"}), f"{path}.retry")
        values = [
            self._number(found, key, d, path) for key, d in (("maxAttempts", 1), ("delay", 5), ("exponentialFactor", 1))
        ]
        return Retry(min(10, max(1, int(values[0]))), min(60.0, values[1]), min(5.0, values[2]))

    def _number(self, node: Mapping, key: str, default: float, path: str) -> float:
        found = node.get(key)
        if found is None:
            return default
        try:
            value = (
                float(found.text) if isinstance(found, Scalar) and not isinstance(found.value, bool) else float("nan")
            )
        except ValueError:
            value = float("nan")
        if value != value or value == float("inf"):
            self._say(found.mark, f"{path}.retry.{key}", f'"{key}" must be a number')
            return default
        if value <= 0:
            self._say(found.mark, f"{path}.retry.{key}", f'"{key}" must be a positive number')
            return default
        return value

    def _timeout(self, node: Mapping) -> float | None:
        """Read ``<number><s|m|h>``; what does not match means no limit, as upstream."""
        found = node.get("timeout")
        if not isinstance(found, Scalar) or not isinstance(found.value, str):
            return None
        match = _TIMEOUT.fullmatch(found.value)
        number = float(match[1]) if match and match[1] not in ("", ".") else 0.0
        seconds = number * _UNITS[match[2]] if match else 0.0
        return min(seconds, _MAX_TIMEOUT_S) or None

    def _string(self, node: Mapping, key: str, path: str, *, number: bool = False) -> Text | None:
        found = node.get(key)
        if found is None:
            return None
        where = f"{path}.{key}"
        if isinstance(found, Scalar) and number and isinstance(found.value, int | float) and found.value is not True:
            return Text(found.text, found.mark)
        if not isinstance(found, Scalar) or not isinstance(found.value, str):
            shown = f". Current value: {found.text} " if isinstance(found, Scalar) and found.value else ""
            self._say(found.mark, where, f'"{key}" must be a string{shown}')
            return None
        if not found.value:
            self._say(found.mark, where, f'"{key}" is not allowed to be empty')
            return None
        return Text(found.value, found.mark)

    def _strings(self, node: Node, path: str) -> tuple[Text, ...]:
        if not isinstance(node, Sequence):
            self._say(node.mark, path, f'"{path.rpartition(".")[2]}" must be an array')
            return ()
        found = []
        for number, item in enumerate(node.items):
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                self._say(item.mark, f"{path}.{number}", f'"{number}" must be a string')
            elif not item.value:
                self._say(item.mark, f"{path}.{number}", f'"{number}" is not allowed to be empty')
            else:
                found.append(Text(item.value, item.mark))
        return tuple(found)

    def _boolean(self, node: Mapping, key: str, path: str) -> bool | None:
        found = node.get(key) or node.get(key.replace("_", "-"))
        if found is None:
            return None
        text = found.text.lower() if isinstance(found, Scalar) else ""
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        self._say(found.mark, f"{path}.{key}", f'"{key}" must be a boolean')
        return None

    def _known(self, node: Mapping, allowed: frozenset[str], path: str) -> None:
        for entry in node.entries:
            key = entry.key.text
            if key not in allowed and key != "fail-fast":
                near = next((a for a in sorted(allowed, key=len) if a.startswith(key)), "")
                more = f'. Did you mean "{near}"?' if near else ""
                self._say(entry.key.mark, f"{path}.{key}".lstrip("."), f'"{key}" is not allowed{more}')

    def _not_yet(self, node: Mapping, keys: tuple[str, ...], path: str) -> None:
        for key in keys:
            entry = node.entry(key)
            if entry is not None:
                where = f"{path}.{key}".lstrip(".")
                self._say(entry.key.mark, where, f"{key} is not supported by this version, and is not ignored")

    def _say(self, mark: Mark, path: str, message: str) -> None:
        self.problems.append(Problem(message, mark.file, mark.line, mark.column, path))


def _text(node: Node) -> str:
    return node.text if isinstance(node, Scalar) else ""
