"""What a library user calls for single blobs and manifests of a registry, byte for byte.

What a command does of it as well stands here as a function of a `Looker`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, BinaryIO

from oci_push.engine import raw
from oci_push.engine.looking.tree import top
from oci_push.engine.pusher import Options
from oci_push.engine.raw import BlobsDeleted, BlobsFound, BlobStored, ManifestsFound, ManifestStored
from oci_push.errors import ConfigError, NotFoundError, OciPushError
from oci_push.forms import VERSION, ErrorForm
from oci_push.library import naming
from oci_push.library.calls import OnEvent, finished, path_of, platform_of, refuse_text
from oci_push.library.looking import Looker, look
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.protocol.blobs import BlobHead
from oci_push.protocol.call import Body, BytesBody
from oci_push.protocol.manifests import Head, RawManifest
from oci_push.runtime.files import check_writable, result_file
from oci_push.sources.files import unreadable
from oci_push.sources.given import open_given

BLOB_FORM = "HOST[:PORT]/REPO@DIGEST"


def blob_get(
    blob: str,
    output: str | os.PathLike[str] | BinaryIO,
    *,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> raw.BlobSaved:
    """Read a blob, ``HOST[:PORT]/REPO@DIGEST``, into a file, or into an object that takes bytes by ``write``.

    Its bytes are checked as they come; where a connection breaks, it goes on from there. A file has its name only when
    all of them are right; what an object was given is wrong where this raises. Errors are raised as by `push`.
    """
    named = blob_of(blob)
    opened: AbstractContextManager[IO[bytes]]
    if isinstance(output, str | os.PathLike):
        path = str(Path(path_of(output, "output")))
        check_writable(Path(path), "output")
        opened = result_file(Path(path), path)
    else:
        path, opened = "", nullcontext(output)

    def work(looker: Looker) -> raw.BlobSaved:
        with opened as file:
            count = 0
            for block in raw.read_blob(looker.context, looker.client(named.repository), digest_in(named)):
                file.write(block)
                count += len(block)
        return raw.BlobSaved(VERSION, named.repository, digest_in(named), count, path)

    return look(work, what="blob get", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def blob_put(
    repository: str,
    content: bytes | str | os.PathLike[str],
    *,
    digest: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> BlobStored:
    """Store a file, or bytes, as a blob; what is there is not sent. With `digest` nothing is sent that has another.

    A registry clears away what no manifest names: store the manifest soon. Errors are raised as by `push`.
    """
    target, wanted = naming.repository(repository), Digest.parse(digest) if digest else None
    path = None if isinstance(content, bytes) else path_of(content, "content")

    def work(looker: Looker) -> BlobStored:
        with looker.spool() as spool:
            if isinstance(content, bytes):
                return store_blob(looker, target, BytesBody(content), wanted, "the bytes")
            body = open_given(looker.context, f"./{path}" if path == "-" else str(path), None, spool)
            return store_blob(looker, target, body, wanted, body.what)

    return look(work, what="blob put", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def store_blob(looker: Looker, target: Repository, body: Body, wanted: Digest | None, what: str) -> BlobStored:
    """Store a body as a blob; `what` it is called where it is not what is `wanted`."""
    blob = raw.described(looker.context, body, wanted, what)
    is_sent = raw.put_blob(looker.context, looker.client(target, push=True), blob, body, what)
    return BlobStored(VERSION, target, blob.digest, blob.size, "uploaded" if is_sent else "exists")


def blob_head(
    *blobs: str,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> BlobsFound:
    """Tell whether blobs exist, and their sizes, asked by HEAD: what is returned is true where all of them do.

    Raises errors as `push` does where it could not be found out, with `report`.
    """
    refuse_text("blobs", blobs)
    if not blobs:
        raise ValueError("no blob: give one or several")
    wanted = [blob_of(text) for text in dict.fromkeys(blobs)]

    def work(looker: Looker) -> BlobsFound:
        found, errors = find_blobs(looker, wanted)
        return finished(found, errors, "blobs", looker.context)

    return look(work, what="blob head", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def find_blobs(looker: Looker, wanted: Sequence[Reference]) -> tuple[BlobsFound, list[OciPushError | None]]:
    """Ask for each blob whether it is there; return the answers, and why there is none of some."""
    found: list[raw.BlobFound] = []
    errors: list[OciPushError | None] = []
    for one in wanted:
        there, failed = None, None
        try:
            there = looker.client(one.repository).head_blob(looker.context, digest_in(one))
        except OciPushError as error:
            looker.context.check()
            failed = None if isinstance(error, NotFoundError) else error
        is_there = None if failed else there is not None
        found.append(raw.BlobFound(str(one), is_there, there.size if there else None, ErrorForm.or_none(failed)))
        errors.append(failed)
    return BlobsFound(VERSION, tuple(found)), errors


def blob_delete(
    *blobs: str,
    dry_run: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> BlobsDeleted:
    """Delete blobs, whatever needs them; all are looked up first, and nothing is deleted where one is not there.

    `dry_run` only looks. Raises errors as `push` does: with `report` where some were deleted, also after a stop.
    """
    refuse_text("blobs", blobs)
    wanted = [blob_of(text) for text in dict.fromkeys(blobs)]
    if not wanted:
        raise ValueError("no blob: give one or several")

    def work(looker: Looker) -> BlobsDeleted:
        heads_of(looker, wanted)
        errors: list[OciPushError | None] = []
        try:
            for one in wanted:
                errors.append(None if dry_run else _deleted(looker, one))
                looker.context.check()
        except OciPushError as stop:
            raise stop.with_report(blobs_deleted(wanted, errors, is_tried=dry_run)) from stop
        return finished(blobs_deleted(wanted, errors, is_tried=dry_run), errors, "blobs", looker.context)

    return look(work, what="blob delete", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def heads_of(looker: Looker, wanted: Sequence[Reference]) -> list[BlobHead]:
    """Look blobs up that are to be deleted; raises `NotFoundError` where one is not there."""
    heads = [looker.client(one.repository).head_blob(looker.context, digest_in(one)) for one in wanted]
    missing = [str(one) for one, there in zip(wanted, heads, strict=True) if there is None]
    if missing:
        raise NotFoundError(
            f"{missing[0]}: is not there" + (f", nor are {len(missing) - 1} more" if missing[1:] else ""),
            hint="nothing was deleted",
        )
    return [one for one in heads if one is not None]


def blobs_deleted(
    wanted: Sequence[Reference], errors: Sequence[OciPushError | None], *, is_tried: bool
) -> BlobsDeleted:
    """Return what became of the blobs that were come to; `errors` has one for each, ``None`` for what is gone."""
    return BlobsDeleted(
        VERSION,
        tuple(
            raw.BlobDeleted(
                one.repository,
                digest_in(one),
                "would delete" if is_tried else "failed" if error else "deleted",
                ErrorForm.or_none(error),
            )
            for one, error in zip(wanted, errors, strict=False)
        ),
    )


def manifest_get(
    reference: str,
    *,
    platform: str = "",
    media_types: Sequence[str] = (),
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> RawManifest:
    """Read a manifest or an index, byte for byte: its bytes are `raw`.

    `platform` is the only image of an index that is read. With `media_types` those alone are asked for, also ones that
    are not known here. Errors are raised as by `push`.
    """
    refuse_text("media_types", media_types)
    named, wanted, accept = naming.reference(reference), platform_of(platform), accept_of(media_types)
    if accept and wanted is not None:
        raise ValueError("platform and media_types do not go together: give one of them")
    return look(
        lambda looker: read_manifest(looker, named, wanted, accept),
        what="manifest get",
        options=options,
        on_event=on_event,
        cancel=cancel,
        timeout_s=timeout_s,
    )


def read_manifest(looker: Looker, named: Reference, platform: Platform | None, accept: str) -> RawManifest:
    """Read the manifest that a reference names, or of its index the one for a `platform`."""
    if platform is None:
        return looker.client(named.repository).read(looker.context, named, accept)
    with looker.image(f"docker://{named}") as (image, _):
        found = image.manifest(looker.context, top(looker.context, image, platform))
    return RawManifest(found.raw, found.media_type, found.digest)


def manifest_put(
    reference: str,
    content: bytes | str | os.PathLike[str],
    *,
    media_type: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> ManifestStored:
    """Store a file, or bytes, as a manifest, byte for byte; without a tag it is stored by its digest.

    `media_type` is its type, where it does not say so itself. What it names must be there; where a registry refuses it
    for that, the error says what is missing. Errors are raised as by `push`.
    """
    named = naming.reference(reference, default_tag="")
    path = None if isinstance(content, bytes) else path_of(content, "content")

    def work(looker: Looker) -> ManifestStored:
        given = content if isinstance(content, bytes) else _bytes(str(path))
        return store_manifest(looker, named, raw.check_digest(raw.manifest_of(given, media_type), named.digest))

    return look(work, what="manifest put", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def store_manifest(looker: Looker, named: Reference, manifest: Manifest) -> ManifestStored:
    """Store a manifest under what a reference names."""
    raw.put_manifest(looker.context, looker.client(named.repository, push=True), manifest, named.tag)
    return ManifestStored(
        VERSION, named.repository, named.tag or None, manifest.digest, manifest.media_type, manifest.size
    )


def manifest_head(
    *references: str,
    media_types: Sequence[str] = (),
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> ManifestsFound:
    """Tell what manifests are, asked by HEAD: what is returned is true where all of them exist.

    `media_types` mean what they mean to `manifest_get`. Raises errors as `push` does where it could not be found out,
    with `report`.
    """
    refuse_text("references", references)
    refuse_text("media_types", media_types)
    if not references:
        raise ValueError("no reference: give one or several")
    wanted, accept = [naming.reference(text) for text in dict.fromkeys(references)], accept_of(media_types)

    def work(looker: Looker) -> ManifestsFound:
        found, errors = find_manifests(looker, wanted, accept)
        return finished(found, errors, "manifests", looker.context)

    return look(work, what="manifest head", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def find_manifests(
    looker: Looker, wanted: Sequence[Reference], accept: str
) -> tuple[ManifestsFound, list[OciPushError | None]]:
    """Ask for each manifest what it is; return the answers, and why there is none of some."""
    found: list[raw.ManifestFound] = []
    errors: list[OciPushError | None] = []
    for one in wanted:
        there: Head | None = None
        failed = None
        try:
            there = looker.client(one.repository).head(looker.context, one.target, accept=accept)
        except OciPushError as error:
            looker.context.check()
            failed = None if isinstance(error, NotFoundError) else error
        found.append(raw.ManifestFound.of(str(one), there, failed))
        errors.append(failed)
    return ManifestsFound(VERSION, tuple(found)), errors


def accept_of(types: Sequence[str]) -> str:
    """Return the Accept header of types; raises `ConfigError` for what is none."""
    for one in types:
        if one.count("/") != 1 or not one.isascii() or not one.isprintable() or set(one) & set(' ,;"\\'):
            raise ConfigError(
                f"--media-type {one!r} is no media type", hint="such as application/vnd.oci.image.index.v1+json"
            )
    return ", ".join(dict.fromkeys(types))


def blob_of(text: str) -> Reference:
    """Read ``HOST/REPO@DIGEST``; raises `ConfigError` for what names no digest."""
    found = naming.reference(text)
    if found.digest is None:
        raise ConfigError(f"{found}: a blob is named by its digest", hint=f"write {BLOB_FORM}")
    return Reference(found.repository, "", found.digest)


def digest_in(named: Reference) -> Digest:
    """Return the digest of a blob's reference."""
    return Digest.parse(named.target)


def _deleted(looker: Looker, named: Reference) -> OciPushError | None:
    try:
        raw.delete_blob(looker.context, looker.client(named.repository), digest_in(named))
    except OciPushError as error:
        return error
    return None


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise unreadable(path, problem) from problem
