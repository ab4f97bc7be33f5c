"""What a text of the pipeline language says, as the model or as plain values."""

from __future__ import annotations

from oci_push.errors import ConfigError
from oci_push.language.document import Node, Scalar, YamlSequence
from oci_push.language.parse import read_pipeline
from oci_push.language.steps import Pipeline


def parse_pipeline(text: str | bytes, path: str) -> Pipeline:
    """Give a pipeline; raises one `ConfigError` with everything that is wrong with it."""
    reading = read_pipeline(text, path)
    if reading.pipeline is None:
        raise ConfigError(problems=reading.errors)
    return reading.pipeline


def to_plain(node: Node) -> object:
    """Give a node as plain Python values; a `Timestamp` stays one."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, YamlSequence):
        return [to_plain(item) for item in node.items]
    return {entry.key.text: to_plain(entry.value) for entry in node.entries}
