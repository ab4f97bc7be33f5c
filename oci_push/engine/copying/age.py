"""When an image was made, as it says itself: by its annotation, or by the config of its first image."""

from __future__ import annotations

from datetime import UTC, datetime

from oci_push.engine.looking import tree
from oci_push.engine.looking.inspect import image_config
from oci_push.errors import OciPushError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.platforms import MAX_DEPTH, is_attached


def made_before(context: Context, source: ImageReader, moment: float) -> bool:
    """Return whether an image says that it was made before a moment, in seconds since 1970; one that is silent is new.

    Of an index the first image decides, as for ``tags --sort date``: builders make all of its images together.
    """
    made = _made(context, source, source.root(context), 0)
    return made is not None and made < moment


def _made(context: Context, source: ImageReader, descriptor: Descriptor, depth: int) -> float | None:
    if depth > MAX_DEPTH:
        return None
    manifest = source.manifest(context, descriptor)
    said = manifest.annotations.get("org.opencontainers.image.created")
    if said:
        return _seconds(said)
    if manifest.children:
        images = (one for one in manifest.children if one.media_type in media.MANIFESTS and not is_attached(one))
        first = next(images, None)
        return _made(context, source, first, depth + 1) if first is not None else None
    config = manifest.config
    if config is None or config.media_type not in tree.IMAGE_CONFIGS:
        return None
    try:
        return _seconds(image_config(tree.read_config(context, source, config), config).created)
    except (ValueError, OciPushError) as problem:
        if isinstance(problem, OciPushError) and not tree.is_damage(problem):
            raise
        return None


def _seconds(text: str) -> float | None:
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()
