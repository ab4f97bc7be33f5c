"""`oci-push inspect`: what an image consists of, and what is said of it."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import looking, tree
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_bytes, say_form
from oci_push.cli.words import OUTPUT, SOURCE, Argument, Option
from oci_push.engine.looking.inspect import inspect as inspect_image
from oci_push.engine.looking.tree import read_config, top
from oci_push.errors import ConfigError, SourceError
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR


@takes(Access)
def inspect(
    source: Annotated[str, Argument(metavar="REF", help=f"{GRAMMAR.known}.")],
    platform: OnePlatform = "",
    as_json: AsJson = False,
    raw: Annotated[bool, Option("Print the manifest, byte for byte.", under=OUTPUT)] = False,
    image_config: Annotated[bool, Option("Print the image's config, byte for byte.", under=OUTPUT)] = False,
    no_referrers: Annotated[bool, Option("Do not ask what refers to it, nor for signatures.", under=SOURCE)] = False,
    *,
    access: Access,
) -> None:
    """Show an image: platforms, layers, config, history, annotations, and what refers to it.

    Nothing of a layer is read. What is missing below the root is shown as missing.
    """

    def work(context: Context) -> int:
        given = [name for name, on in (("--json", as_json), ("--raw", raw), ("--image-config", image_config)) if on]
        if len(given) > 1:
            raise ConfigError(f"{given[0]} and {given[1]} do not go together", hint="give one of them")
        wanted = read_platform(platform)
        with looking.looking(context, access, sources=[source]) as look, look.image(source) as (image, client):
            if raw or image_config:
                root = image.manifest(context, top(context, image, wanted))
                if raw:
                    say_bytes(root.raw)
                    return 0
                if root.config is None:
                    raise SourceError(
                        f"{image.name}: is an index, and an index has no config",
                        hint="say of which image: --platform OS/ARCH",
                    )
                say_bytes(read_config(context, image, root.config))
                return 0
            found = inspect_image(context, image, None if no_referrers else client, wanted)
        if as_json:
            say_form(found)
        else:
            for line in tree.lines(found):
                say(line)
        return 0

    run_command(work, what="inspect", timeout_s=access.timeout_s)
