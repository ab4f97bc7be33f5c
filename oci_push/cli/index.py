"""`oci-push index`: an index made of images wherever they are, and one of a registry changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Annotated

from msgspec import Struct

from oci_push.api import parse_destinations, this_environment
from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import read_platforms
from oci_push.cli.edits import NewTag, pairs, show_change, show_stored, tags_of
from oci_push.cli.looking import Access, Looker, TransferAccess
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import say, say_bytes, say_form
from oci_push.cli.progress import LineRenderer
from oci_push.cli.words import SAFETY, SOURCE, TARGET, Argument, Option
from oci_push.engine.editing import index_children, index_store
from oci_push.engine.editing.index_children import Given, Part
from oci_push.engine.editing.index_draft import Draft, Entry, images
from oci_push.engine.editing.index_store import IndexChange, IndexChild
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit
from oci_push.model.digest import Digest
from oci_push.model.media import INDEXES
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.sources.table import path_exists

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
        asked = {"--annotation": annotation, "--artifact-type": artifact_type, "--subject": subject}
        for name in (name for name, value in asked.items() if docker and value):
            raise ConfigError(
                f"{name} has no effect with --docker: a docker manifest list has none", hint="leave out one of them"
            )
        with _working(context, access, target.repository, references, is_quiet=quiet or as_json) as run:
            client = run.client
            about = None
            if subject:
                about = index_store.subject(context, client, _subject(subject, target.repository))
            parts = run.take(platform, nested=nested)
            draft = index_children.new(
                [one.entry for one in parts],
                docker=docker,
                annotations=annotations,
                artifact_type=artifact_type,
                subject=about,
            )
            if dry_run:
                return _show_draft(draft)
            brought = run.bring(parts, draft)
            change, errors = index_store.store(context, client, draft, target.tags, brought)
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
        named = looking.reference(reference)
        tags = tags_of(named, tag)
        with _working(context, access, named.repository, children, is_quiet=quiet or as_json) as run:
            was = index_store.read(context, run.client, named)
            parts = run.take(platform, nested=nested)

            def added(draft: Draft) -> Draft:
                return draft.add([one.entry for one in parts], replaces=replace).checked()

            after = added(was.draft)
            if dry_run:
                return _show_draft(after)
            brought = run.bring(parts, after, was.draft)
            change, errors = index_store.alter(
                context, run.client, was, tags, added, outcomes=brought, random=_random(), is_shared=shared
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
        named = looking.reference(reference)
        tags = tags_of(named, tag)
        with looking.looking(context, access, repositories=[named.repository]) as look:
            client = look.client(named.repository, push=True)
            was = index_store.read(context, client, named)

            def less(draft: Draft) -> Draft:
                after = draft.without([one for text in which for one in draft.find(text)])
                if not images(after.entries):
                    raise ConfigError(
                        f"{named}: the index would have no image left",
                        hint=f"delete the whole: oci-push delete {named}",
                    )
                return after

            if dry_run:
                return _show_draft(less(was.draft))
            change, errors = index_store.alter(context, client, was, tags, less, random=_random())
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
        named = looking.reference(reference)
        tags = tags_of(named, tag)
        annotations = pairs(changes or (), "annotation")
        features = [one for one in os_features.split(",") if one]
        given: dict[str, object] = {"os.version": os_version, "os.features": features, "variant": variant}
        platform = {key: None if value in ("-", ["-"]) else value for key, value in given.items() if value}
        if platform and not child:
            raise ConfigError("--os-version, --os-features and --variant are about a --child", hint="name it")
        if not (annotations or platform):
            raise ConfigError("nothing is to be changed", hint="write KEY=VALUE, or KEY- to take it away")
        with looking.looking(context, access, repositories=[named.repository]) as look:
            client = look.client(named.repository, push=True)
            was = index_store.read(context, client, named)

            def changed(draft: Draft) -> Draft:
                if draft.is_docker and annotations:
                    raise ConfigError(
                        f"{named}: is a docker manifest list, which has no annotations",
                        hint=f"an OCI index has: oci-push index create {named.repository}:TAG {named}",
                    )
                chosen = [one for text in child or () for one in draft.find(text)]
                after = draft if child else draft.with_annotations(annotations)
                return after.change(chosen, lambda one: _changed(one, annotations, platform))

            if dry_run:
                return _show_draft(changed(was.draft))
            change, errors = index_store.alter(context, client, was, tags, changed, random=_random())
        return _show(change, errors, as_json=as_json)

    run_command(work, what="index annotate", timeout_s=access.timeout_s)


def _changed(entry: Entry, annotations: Mapping[str, str | None], platform: Mapping[str, object]) -> Entry:
    entry = entry.with_annotations(annotations) if annotations else entry
    return entry.with_platform(platform) if platform else entry


class _Work(Struct, frozen=True):
    """What a command that takes images works with; the sources stay open while it does."""

    look: Looker
    client: RepositoryClient
    given: Sequence[Given]
    listener: Callable[[], Emit]

    def take(self, platforms: Sequence[str] | None, *, nested: bool) -> list[Part]:
        """Return the children that were named."""
        if platforms and nested:
            raise ConfigError("--platform has no effect with --nested", hint="leave out one of them")
        wanted = read_platforms(platforms)
        return index_children.take(self.look.context, self.given, self.listener(), platforms=wanted, nested=nested)

    def bring(self, parts: Sequence[Part], after: Draft, before: Draft | None = None) -> Mapping[Digest, str]:
        """Bring what the index lists anew, and say of each child whether it was there or was sent."""
        listed = {one.digest for one in before.entries} if before is not None else frozenset()
        new = {one.digest for one in after.entries} - listed
        wanted = [one for one in parts if one.entry.digest in new]
        brought = index_children.bring(self.look.context, self.look.pusher, self.client, wanted, self.listener)
        return {**{one.entry.digest: index_store.THERE for one in parts}, **brought}


def _subject(text: str, repository: Repository) -> Reference:
    """Read a tag or digest of a repository, which may stand before it; raises `ConfigError`."""
    whole = text if "/" in text else f"{repository}{'@' if ':' in text else ':'}{text}"
    found = looking.reference(whole)
    if found.repository != repository:
        raise ConfigError(
            f"--subject {text}: lies in another repository than {repository}", hint="give a tag or digest of DEST's own"
        )
    return found


@contextmanager
def _working(
    context: Context, access: Access, repository: Repository, texts: Sequence[str], *, is_quiet: bool
) -> Iterator[_Work]:
    named = [_given(text) for text in texts]
    sources = [text for text, _ in named]
    if sources.count("-") > 1:
        raise ConfigError("stdin can be read once, and - is there twice")
    with ExitStack() as stack:
        look = stack.enter_context(looking.looking(context, access, sources=sources, repositories=[repository]))
        client = look.client(repository, push=True)
        given = [Given(stack.enter_context(look.image(text))[0], platform) for text, platform in named]
        yield _Work(look, client, given, partial(LineRenderer, quiet=is_quiet))


def _given(text: str) -> tuple[str, Platform | None]:
    """Read ``REF`` or ``REF=OS/ARCH[/VARIANT]``; a file of just that name is a file."""
    if path_exists(text):
        return text, None
    source, equals, platform = text.rpartition("=")
    try:
        return (source, Platform.parse(platform)) if source and equals else (text, None)
    except ValueError:
        return text, None


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
        show_change(change.repository, change.was, change.digest, change.left, quiet=quiet)
    return code


def _named(child: IndexChild) -> str:
    if child.about:
        return f"about {child.about[:19]}"
    return child.platform or ("index" if child.media_type in INDEXES else "-")
