"""cosign's tags of an image that both sides of a copy have: what the source's holds goes beside what the target's does.

Such a tag holds a layer for each signature. Whoever signs at the target, this very copy among them, writes its own
there, which the source's manifest must not take the place of.
"""

from __future__ import annotations

from typing import TypeAlias

from oci_push.engine.copying.tag_lists import Side
from oci_push.engine.push import PushOptions
from oci_push.engine.pusher import Pusher
from oci_push.engine.signing.signed import tagged
from oci_push.engine.signing.tag import with_layers
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.runtime.context import Context

_JOINED = (".sig", ".att")
_Signature: TypeAlias = tuple[Digest, tuple[tuple[str, str], ...]]


def join_signatures(
    context: Context, pusher: Pusher, source: str, registry: str, target: Side, tag: str, options: PushOptions
) -> bool:
    """Put what `source` holds beside what a target's tag does; return whether all of it is there now.

    Where it is not, nothing would be lost: the source's manifest may go there as it is. Raises what goes wrong.
    """
    there = tagged(context, target.client, tag) if tag.endswith(_JOINED) else None
    if there is None or there.media_type not in media.IMAGES:
        return False
    with pusher.open(source, context, given=pusher.named(registry)) as reader:
        brought = reader.manifest(context, reader.root(context))
        if brought.media_type not in media.IMAGES:
            return False
        old, new = {_signature(one) for one in there.layers}, {_signature(one) for one in brought.layers}
        missing = [one for one in brought.layers if _signature(one) not in old]
        if not missing or old <= new:
            return not missing
        made = with_layers(tag, there, missing, {one.digest: reader.blob(context, one) for one in missing})
        place = pusher.target(target.repository, (tag,), pusher.named(target.registry))
        _, [result] = pusher.push(made, (place,), context, options=options)
        if result.error is not None:
            raise result.error
    return True


def _signature(layer: Descriptor) -> _Signature:
    return layer.digest, tuple(sorted(layer.annotations.items()))
