"""`oci-push annotate`: annotations of an image or index of a registry."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import read_platform
from oci_push.cli.edits import NewTag, listener, pairs, show_edit
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson
from oci_push.cli.words import SOURCE, Argument, Option
from oci_push.errors import ConfigError
from oci_push.library import naming
from oci_push.library.edits import annotated
from oci_push.runtime.context import Context


@takes(Access)
def annotate(
    reference: Annotated[str, Argument(metavar="REF", help="HOST[:PORT]/REPO[:TAG|@DIGEST]")],
    changes: Annotated[
        list[str], Argument(metavar="KEY=VALUE|KEY-...", help="Annotations to set, and with KEY- to take away.")
    ],
    images: Annotated[bool, Option("Of an index, those of each of its images as well.", under=SOURCE)] = False,
    platform: Annotated[
        str, Option("Of an index, those of this image alone.", metavar="OS/ARCH[/VARIANT]", under=SOURCE)
    ] = "",
    tag: NewTag = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Change the annotations of an image's manifest, or of an index. It gets another digest; its layers stay.

    `index annotate` changes what an index says of one image, which then keeps its digest.
    """

    def work(context: Context) -> int:
        named = naming.reference(reference)
        tags = naming.tags_of(named, tag or (), "--tag")
        wanted = pairs(changes, "annotation")
        only = read_platform(platform)
        if images and only is not None:
            raise ConfigError("--images and --platform cannot both be", hint="leave out one of them")
        with looking.looking(context, access, repositories=[named.repository]) as look:
            emit = listener(is_quiet=as_json)
            done, errors = annotated(look, named, wanted, tags, emit, images=images, platform=only)
        return show_edit(done, errors, as_json=as_json)

    run_command(work, what="annotate", timeout_s=access.timeout_s)
