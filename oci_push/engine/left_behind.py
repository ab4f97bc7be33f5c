"""What stays behind when an image is copied: referrers, and signatures and the like under tags made of its digest.

They are no part of the image, so a copy of it leaves them, and whoever needs them over there must be told. What cannot
be asked for is passed over: the copy itself is complete either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from oci_push.engine.looking.attached import cosign_tags
from oci_push.errors import OciPushError
from oci_push.events import Emit, LogMessage
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository
from oci_push.registry.clients import RegistryClients
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all

_MOST_NODES = 20
_AT_ONCE = 8
_MOST_NAMED = 3


def tell_what_stays(
    context: Context,
    clients: RegistryClients,
    origin: tuple[RegistryEndpoint, Repository],
    targets: Sequence[Repository],
    nodes: Sequence[Manifest],
    emit: Emit,
) -> None:
    """Say how many referrers of `nodes`, and tags about them, stay at `origin` and did not come along to `targets`."""
    if all(target == origin[1] for target in targets) or context.is_cancelled:
        return
    with suppress(OciPushError):  # the end of the context: the images are where they should be
        _tell(context, clients.repository(*origin), nodes, emit)


def _tell(context: Context, client: RepositoryClient, nodes: Sequence[Manifest], emit: Emit) -> None:
    told = about(context, client, [node.digest for node in nodes[-_MOST_NODES:]])  # the root is the last of them
    if told:
        stays = "stays" if told.startswith("1 ") and " and " not in told else "stay"
        said = f"{told} {stays} behind: only the image itself is copied; oci-push copy takes them along"
        emit(LogMessage(f"{client.repository}: {said}", "warning"))


def about(context: Context, client: RepositoryClient, asked: Sequence[Digest]) -> str:
    """Return in words what refers to manifests, and which tags are about them; empty for nothing."""
    referrers = run_all(context, [partial(_referrers, client=client, subject=one) for one in asked], limit=_AT_ONCE)
    names = [tag for one in asked for tag in cosign_tags(one)]
    tags = run_all(context, [partial(_tag, client=client, tag=name) for name in names], limit=_AT_ONCE)
    context.check()
    count = sum(outcome.value or 0 for outcome in referrers)
    left = [name for name, outcome in zip(names, tags, strict=True) if outcome.value]
    told = []
    if count:
        told.append(f"{count} referrer{'s' * (count > 1)}")
    if left:
        more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        told.append(f"the tag{'s' * (len(left) > 1)} {', '.join(left[:_MOST_NAMED])}{more}")
    return " and ".join(told)


def _referrers(context: Context, client: RepositoryClient, subject: Digest) -> int:
    try:
        return client.count_referrers(context, subject)
    except OciPushError:
        return 0


def _tag(context: Context, client: RepositoryClient, tag: str) -> bool:
    try:
        return client.head(context, tag, once=True) is not None
    except OciPushError:
        return False
