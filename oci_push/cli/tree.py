"""An inspected image as lines for people: what it is, what is below it, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oci_push.cli.wording import size
from oci_push.engine.looking.inspect import ImageConfig, Inspection, Layer, Node, is_index

_LONGEST = 100
_INDENT = "  "


def lines(found: Inspection) -> Iterator[str]:
    """Return the lines of the whole tree."""
    yield found.name
    yield from _node(found.image, 1, asked=found.asked_for_referrers)
    for note in found.notes:
        yield f"{_INDENT}note: {note}"


def _node(node: Node, depth: int, *, asked: bool) -> Iterator[str]:
    rows = list(_rows(node, is_top=depth == 1, asked=asked))
    width = max(len(name) for name, _ in rows)
    before = ""
    for name, text in rows:
        yield f"{_INDENT * depth}{'' if name == before else name:<{width}}  {text}"
        before = name
    yield from _steps(node, depth)
    yield from _said(node, depth)
    for child in node.manifests:
        yield f"{_INDENT * depth}{_title(child)}"
        yield from _node(child, depth + 1, asked=asked)


def _title(node: Node) -> str:
    if node.attests:
        return f"about {node.attests}"
    return node.platform or ("index" if is_index(node) else node.artifact_type or "image")


def _rows(node: Node, *, is_top: bool, asked: bool) -> Iterator[tuple[str, str]]:
    yield "digest", str(node.digest)
    yield "type", node.media_type
    if node.artifact_type:
        yield "artifact", node.artifact_type
    if node.problem:
        yield "problem", node.problem
        return
    if node.platform and is_top:  # below an index it is the heading
        yield "platform", node.platform
    if is_index(node):
        yield "size", f"{size(node.content_size)} in {len(node.manifests)} manifest{'s' * (len(node.manifests) != 1)}"
    else:
        yield "size", f"{size(node.content_size)} in {len(node.layers)} layer{'s' * (len(node.layers) != 1)}"
    if node.subject:
        yield "subject", str(node.subject)
    if node.config is not None:
        yield from _config(node.config)
    yield from _pairs("annotations", node.annotations)
    if asked and is_top and not node.referrers:
        yield "referrers", "none"
    if asked and is_top and not node.signatures:
        yield "signatures", "none"


def _config(config: ImageConfig) -> Iterator[tuple[str, str]]:
    yield "config", str(config.digest)
    plain = (
        ("created", config.created),
        ("author", config.author),
        ("user", config.user),
        ("directory", config.working_dir),
        ("entrypoint", _words(config.entrypoint)),
        ("command", _words(config.cmd)),
        ("ports", " ".join(config.exposed_ports)),
        ("volumes", " ".join(config.volumes)),
        ("stop signal", config.stop_signal),
    )
    yield from ((name, text) for name, text in plain if text)
    yield from (("env", one) for one in config.env)
    yield from _pairs("labels", config.labels)


def _steps(node: Node, depth: int) -> Iterator[str]:
    """Return layers and, between them where the history tells, the steps that made none."""
    config, layers = node.config, list(node.layers)
    if not layers and not (config and config.history):
        return
    yield f"{_INDENT * depth}layers"
    inside = _INDENT * depth
    if config and len([step for step in config.history if not step.empty_layer]) == len(layers):
        left = iter(layers)
        for step in config.history:
            by = step.created_by or step.comment
            yield f"{inside}{'(none)':>9}  {_short(by)}" if step.empty_layer else f"{inside}{_layer(next(left))}"
        return
    yield from (f"{inside}{_layer(one)}" for one in layers)


def _layer(layer: Layer) -> str:
    by = layer.created_by or ("" if not layer.urls else f"kept at {layer.urls[0]}")
    return f"{size(layer.size):>9}  {layer.digest}  {_short(by)}".rstrip()


def _said(node: Node, depth: int) -> Iterator[str]:
    inside = _INDENT * (depth + 1)
    if node.referrers:
        yield f"{_INDENT * depth}referrers"
        for one in node.referrers:
            by = "" if one.found_by == "api" else f"  (by the tag {one.found_by})"
            yield f"{inside}{one.digest}  {one.artifact_type or one.media_type}{by}"
    if node.signatures:
        yield f"{_INDENT * depth}signatures"
        yield from (f"{inside}{one.kind:<11}  {one.tag}  {one.digest}" for one in node.signatures)


def _pairs(name: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from ((name, f"{key}={_short(value)}") for key, value in sorted(values.items()))


def _words(words: tuple[str, ...]) -> str:
    import shlex

    return shlex.join(words)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
