"""`oci-push index`: an index made of images wherever they are, and one of a registry changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

from oci_push.api import parse_destinations, this_environment
from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.edits import NewTag, pairs, show_change, show_signed, show_stored
from oci_push.cli.files import check_type
from oci_push.cli.looking import Access, TransferAccess
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import say, say_bytes, say_form
from oci_push.cli.progress import LineRenderer
from oci_push.cli.words import SAFETY, SOURCE, TARGET, Argument, Option
from oci_push.engine.editing import index_store
from oci_push.engine.editing.index_draft import Draft
from oci_push.engine.editing.index_store import IndexChange, IndexChild
from oci_push.errors import ConfigError, OciPushError
from oci_push.library import naming
from oci_push.library.indexes import (
    IndexWork,
    adding,
    annotating,
    child_of,
    platform_changes,
    removing,
    working,
)
from oci_push.model.media import INDEXES
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context

_Index = Annotated[str, Argument(metavar="REF", help="The index: HOST[:PORT]/REPO[:TAG|@DIGEST]")]
_Platforms = Annotated[
    list[str] | None,
    Option("Of indexes only these images.", name="--platform", metavar="OS/ARCH[/VARIANT]", under=SOURCE),
]
_Nested = Annotated[
    bool, Option("List an index as it is, as an index in the index, and not its images.", name="--nested", under=SOURCE)
]
_DryRun = Annotated[bool, Option("Print the index that would be, and write nothing.", name="--dry-run", under=SAFETY)]
_IMAGES = "Images and indexes, of a registry or any SOURCE; REF=OS/ARCH[/VARIANT] says what an image runs on."


@takes(TransferAccess)
def create(
    destination: Annotated[str, Argument(metavar="DEST", help="HOST[:PORT]/REPO[:TAG[,TAG…]]")],
    references: Annotated[list[str], Argument(metavar="REF...", help=_IMAGES)],
    annotation: Annotated[
        list[str] | None, Option("An annotation of the index.", metavar="KEY=VALUE", under=TARGET)
    ] = None,
    artifact_type: Annotated[str, Option("The index's artifactType.", metavar="TYPE", under=TARGET)] = "",
    subject: Annotated[
        str, Option("Make the index refer to this image of its repository.", metavar="TAG|DIGEST", under=TARGET)
    ] = "",
    docker: Annotated[
        bool, Option("Make a docker manifest list, of docker images alone, not an OCI index.", under=TARGET)
    ] = False,
    platform: _Platforms = None,
    nested: _Nested = False,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: TransferAccess,
) -> None:
    """Make an index of images, and store it under tags.

    What lies in DEST's repository is only named; what lies elsewhere is brought first, its blobs mounted where the
    registry can. What an image runs on is read from its config. Of an index its images are taken.
    """

    def work(context: Context) -> int:
        (target,) = parse_destinations([destination], [])
        annotations = pairs(annotation or (), "--annotation", removal=False)
        kind = check_type(artifact_type, "--artifact-type")
        asked = {"--annotation": annotation, "--artifact-type": artifact_type, "--subject": subject}
        for name in (name for name, value in asked.items() if docker and value):
            raise ConfigError(
                f"{name} has no effect with --docker: a docker manifest list has none", hint="leave out one of them"
            )
        about = naming.subject_of(subject, target.repository) if subject else None
        with _working(context, access, target.repository, references, is_quiet=quiet or as_json) as run:
            parts = run.take(platform or (), nested=nested)
            draft = run.draft(parts, docker=docker, annotations=annotations, artifact_type=kind, about=about)
            if dry_run:
                return _show_draft(draft)
            brought = run.bring(parts, draft)
            change, errors = index_store.store(context, run.client, draft, target.tags, brought, sign=run.sign)
        return _show(change, errors, as_json=as_json, quiet=quiet)

    run_command(work, what="index create", timeout_s=access.timeout_s)


@takes(TransferAccess)
def add(
    reference: _Index,
    children: Annotated[list[str], Argument(metavar="CHILD...", help=_IMAGES)],
    tag: NewTag = None,
    shared: Annotated[
        bool,
        Option(
            "Others add to it at the same time: look again whether all is kept, which takes a second.", under=SAFETY
        ),
    ] = False,
    replace: Annotated[bool, Option("Let an image take the place of the one for its platform.", under=SAFETY)] = False,
    platform: _Platforms = None,
    nested: _Nested = False,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: TransferAccess,
) -> None:
    """Add images to an index of a registry, which gets another digest.

    They are brought and described as by `index create`. A second image for one platform is refused without --replace.
    """

    def work(context: Context) -> int:
        named = naming.reference(reference)
        tags = naming.tags_of(named, tag or (), "--tag")
        with _working(context, access, named.repository, children, is_quiet=quiet or as_json) as run:
            was = index_store.read(context, run.client, named)
            parts = run.take(platform or (), nested=nested)
            added = adding(parts, replaces=replace)
            after = added(was.draft)
            if dry_run:
                return _show_draft(after)
            brought = run.bring(parts, after, was.draft)
            change, errors = index_store.alter(
                context,
                run.client,
                was,
                tags,
                added,
                outcomes=brought,
                random=_random(),
                is_shared=shared,
                sign=run.sign,
            )
        return _show(change, errors, as_json=as_json, quiet=quiet)

    run_command(work, what="index add", timeout_s=access.timeout_s)


@takes(Access)
def remove(
    reference: _Index,
    which: Annotated[
        list[str], Argument(metavar="PLATFORM|DIGEST...", help="Images by what they run on, or children by digest.")
    ],
    tag: NewTag = None,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Take images out of an index of a registry, which gets another digest; their manifests stay.

    What is attached to an image, such as an attestation, goes with it.
    """

    def work(context: Context) -> int:
        named = naming.reference(reference)
        tags = naming.tags_of(named, tag or (), "--tag")
        with looking.looking(context, access, repositories=[named.repository]) as look:
            client, sign = look.client(named.repository, push=True), look.signing(named.repository)
            was = index_store.read(context, client, named)
            less = removing(named, which)
            if dry_run:
                return _show_draft(less(was.draft))
            change, errors = index_store.alter(context, client, was, tags, less, random=_random(), sign=sign)
        return _show(change, errors, as_json=as_json)

    run_command(work, what="index remove", timeout_s=access.timeout_s)


@takes(Access)
def annotate(
    reference: _Index,
    changes: Annotated[
        list[str] | None, Argument(metavar="KEY=VALUE|KEY-...", help="Annotations to set, and with KEY- to take away.")
    ] = None,
    child: Annotated[
        list[str] | None,
        Option("Of this child's entry, not of the index itself.", metavar="PLATFORM|DIGEST", under=TARGET),
    ] = None,
    os_version: Annotated[
        str, Option("What --child runs on: the version of its os.", metavar="VERSION", under=TARGET)
    ] = "",
    os_features: Annotated[
        str, Option("What of its os it needs, parted by commas.", metavar="NAME[,NAME]", under=TARGET)
    ] = "",
    variant: Annotated[str, Option("Which variant of its architecture it is.", metavar="VARIANT", under=TARGET)] = "",
    tag: NewTag = None,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Change an index's annotations, or with --child those of an image's entry in it, and what it says that it runs on.

    The images stay as they are, the index gets another digest. A single - takes a part of the platform away.
    """

    def work(context: Context) -> int:
        named = naming.reference(reference)
        tags = naming.tags_of(named, tag or (), "--tag")
        annotations = pairs(changes or (), "annotation")
        features = [one for one in os_features.split(",") if one]
        platform = platform_changes(os_version, features, variant)
        changed = annotating(named, annotations, child or (), platform)
        with looking.looking(context, access, repositories=[named.repository]) as look:
            client, sign = look.client(named.repository, push=True), look.signing(named.repository)
            was = index_store.read(context, client, named)
            if dry_run:
                return _show_draft(changed(was.draft))
            change, errors = index_store.alter(context, client, was, tags, changed, random=_random(), sign=sign)
        return _show(change, errors, as_json=as_json)

    run_command(work, what="index annotate", timeout_s=access.timeout_s)


@contextmanager
def _working(
    context: Context, access: Access, repository: Repository, texts: Sequence[str], *, is_quiet: bool
) -> Iterator[IndexWork]:
    named = [child_of(text) for text in texts]
    sources = [text for text, _ in named]
    with (
        looking.looking(context, access, sources=sources, repositories=[repository]) as look,
        working(look, repository, named, partial(LineRenderer, quiet=is_quiet)) as run,
    ):
        yield run


def _random() -> Callable[[], float]:
    return this_environment().random


def _show_draft(draft: Draft) -> int:
    """Print an index as it would be stored, byte for byte."""
    say_bytes(draft.build().raw)
    return 0


def _show(change: IndexChange, errors: Mapping[str, OciPushError], *, as_json: bool, quiet: bool = False) -> int:
    if as_json:
        say_form(change)
    code = show_stored(change.repository, change.tags, change.digest, errors, as_json=as_json)
    if not as_json and len(errors) < max(len(change.tags), 1):
        width = max(len(_named(one)) for one in change.children)
        for one in change.children:
            say(f"  {one.outcome:7}  {_named(one):{width}}  {one.digest}")
        show_signed(change.repository, change.digest, change.signed, quiet=quiet)
        show_change(change.repository, change.was, change.digest, change.left, quiet=quiet)
    return code


def _named(child: IndexChild) -> str:
    if child.about:
        return f"about {child.about[:19]}"
    return child.platform or ("index" if child.media_type in INDEXES else "-")
