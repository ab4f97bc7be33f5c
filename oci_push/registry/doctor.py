"""An examination: what stands between us and a registry, and what the registry can do, measured with real requests.

Nothing is taken for granted that can be tried: uploads in every form, mounts, many tags at once, referrers, deletion.
All of it happens in two scratch repositories and is taken away again at the end, as far as the registry lets us;
what is left is said. A blob tried here is small, so limits on large ones stay unknown.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct, field

from oci_push.errors import NotFoundError, OciPushError, RegistryError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository
from oci_push.protocol import blobs, manifests, referrers, uploads
from oci_push.protocol.call import BytesBody, Flow
from oci_push.protocol.endpoints import push_scope
from oci_push.protocol.ping import ping
from oci_push.protocol.uploads import UploadMethod, UploadSession
from oci_push.providers.base import Capabilities
from oci_push.runtime.context import Context
from oci_push.transport.session import Session

T = TypeVar("T")
SCRATCH = "oci-push-doctor"
MOUNT_SCRATCH = f"{SCRATCH}-mount"
_ARTIFACT = "application/vnd.oci-push.doctor"
TAG, MORE_TAGS = "doctor", ("doctor-1", "doctor-2")
SMALL_CHUNK, LARGE_CHUNK = 64 * 1024, 5 * 1024 * 1024
"""Piece sizes tried: the second is the least that S3 behind a registry takes, tried where the first is refused."""
SKEW_S = 60.0
"""Clocks further apart than this make tokens and signatures fail (distribution allows as much)."""
_CLEANING_S = 60.0


class CheckOutcome(enum.StrEnum):
    """What became of one question."""

    OK = "ok"
    NO = "no"
    FAILED = "failed"
    UNKNOWN = "-"


class Finding(Struct, frozen=True):
    """Answer one question; a `FAILED` one keeps images from being pushed, a `NO` is only worth knowing."""

    name: str
    outcome: CheckOutcome
    text: str = ""


class Examination(Struct):
    """Collect the answers. `abilities` are what later pushes go by; `left` is what could not be taken away."""

    findings: list[Finding] = field(default_factory=list)
    abilities: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    error: OciPushError | None = None

    def add(self, name: str, outcome: CheckOutcome, text: str = "") -> None:
        """Note an answer."""
        self.findings.append(Finding(name, outcome, text))

    def note(self, name: str, ability: str, is_able: bool, text: str = "") -> None:
        """Note whether the registry can do something."""
        self.add(name, CheckOutcome.OK if is_able else CheckOutcome.NO, text)
        self.abilities[ability] = "yes" if is_able else "no"


def scratch_repositories(host: str, namespace: str) -> tuple[Repository, Repository]:
    """Return the two repositories that an examination writes to, below `namespace` (which may be empty)."""
    prefix = f"{namespace}/" if namespace else ""
    return Repository(host, prefix + SCRATCH), Repository(host, prefix + MOUNT_SCRATCH)


class Doctor:
    """Examine one registry over one session; `examine` may be called once."""

    def __init__(
        self, session: Session, capabilities: Capabilities, repositories: tuple[Repository, Repository]
    ) -> None:
        self._session = session
        self._here, self._there = repositories
        self._delete = "delete" if capabilities.delete_scope else "pull,push"
        self._manifests: list[str] = []
        self._blobs: list[tuple[Repository, Digest]] = []
        self._uploads: list[tuple[Repository, str]] = []
        self._found = Examination()

    def examine(self, context: Context) -> Examination:
        """Ask everything; a failure that makes the rest pointless ends it, and is in the result."""
        found = self._found
        try:
            self._look(context)
            self._enter(context)
            try:
                self._measure(context)
            finally:
                self._clean(context.shielded(_CLEANING_S))
        except OciPushError as error:
            context.check()
            found.error = error
        limits = self._session.limits
        found.add("rate limits", CheckOutcome.OK if limits else CheckOutcome.UNKNOWN, limits or "not told of")
        return found

    def _look(self, context: Context) -> None:
        probe = self._require("network", lambda: self._session.probe(context))
        if not probe.addresses:
            self._found.add("network", CheckOutcome.UNKNOWN, "a proxy stands between")
            return
        self._found.add("network", CheckOutcome.OK, f"{', '.join(probe.addresses)}; connected to {probe.address}")
        if not probe.protocol:
            self._found.add("tls", CheckOutcome.NO, "plain http")
        elif not probe.expires:
            self._found.add("tls", CheckOutcome.NO, f"{probe.protocol}, {probe.cipher}; the certificate is not checked")
        else:
            certificate = f"certificate by {probe.issuer or 'nobody named'}, good until {probe.expires}"
            self._found.add("tls", CheckOutcome.OK, f"{probe.protocol}, {probe.cipher}; {certificate}")

    def _enter(self, context: Context) -> None:
        session = self._session
        session.auth.want((push_scope(self._here), push_scope(self._there)))
        version = self._require("login", lambda: session.run(context, ping(self._here.host)))
        credential = session.auth.credential(context)
        who = f"user {credential.shown_user or '(token)'} from {credential.source}" if credential else "nobody"
        self._found.add(
            "login", CheckOutcome.OK, f"{who}; {session.auth.view().scheme or 'the registry asks for no login'}"
        )
        if version.moment is None:
            self._found.add("clock", CheckOutcome.UNKNOWN, "the registry does not tell the time")
        else:
            skew = version.moment - context.clock.now()
            outcome = CheckOutcome.OK if abs(skew) < SKEW_S else CheckOutcome.NO
            self._found.add("clock", outcome, f"the registry's is {skew:+.0f} s from ours")
        opened = self._require("push", lambda: session.run(context, uploads.start(self._here, Digest.of(b""))))
        session.run(context, uploads.cancel(self._here, opened.location))
        told = [f"at least {opened.chunk_min}"] * bool(opened.chunk_min)
        told += [f"at most {opened.chunk_max}"] * bool(opened.chunk_max)
        pieces = f"; wants pieces of {' and '.join(told)} bytes" if told else ""
        self._found.add("push", CheckOutcome.OK, f"{self._here}{pieces}")

    def _measure(self, context: Context) -> None:
        works = []
        for method, name in ((UploadMethod.MONOLITHIC, "upload by PUT"), (UploadMethod.STREAMED, "upload by PATCH")):
            error = self._upload(context, _content(method.value, 4096), method, SMALL_CHUNK)
            self._found.add(name, CheckOutcome.NO if error else CheckOutcome.OK, _reason(error))
            works += [method] * (error is None)
        works += [UploadMethod.CHUNKED] * self._chunks(context)
        self._single_post(context)
        if not works:
            self._found.add("image", CheckOutcome.FAILED, "no form of upload works")
            return
        self._found.abilities["form"] = works[0].value
        image = self._require("image", lambda: self._image(context, works[0]))
        self._found.add("image", CheckOutcome.OK, f"{self._here}:{TAG}")
        self._mounts(context, image)
        self._many_tags(context, image)
        self._referrers(context, image, works[0])

    def _chunks(self, context: Context) -> bool:
        error = None
        for chunk in (SMALL_CHUNK, LARGE_CHUNK):
            error = self._upload(context, _content(f"pieces of {chunk}", chunk + 1024), UploadMethod.CHUNKED, chunk)
            if error is None:
                self._found.note("upload in pieces", "pieces", True, f"of {chunk // 1024} KiB")
                self._found.abilities["chunk_min_bytes"] = str(chunk if chunk > SMALL_CHUNK else 0)
                return True
        self._found.note("upload in pieces", "pieces", False, _reason(error))
        return False

    def _single_post(self, context: Context) -> None:
        content = _content("post", 4096)
        blob = _described(content)
        try:
            opened = self._session.run(context, uploads.post_whole(self._here, blob, BytesBody(content)))
        except RegistryError as error:
            self._found.note("upload by POST", "single_post", False, _reason(error))
            return
        if opened is None:
            self._blobs.append((self._here, blob.digest))
        else:
            self._session.run(context, uploads.cancel(self._here, opened.location))
        text = "" if opened is None else "an upload was opened instead"
        self._found.note("upload by POST", "single_post", opened is None, text)

    def _image(self, context: Context, method: UploadMethod) -> Manifest:
        layer = bytes(1024)  # a tar without entries
        config = _json({"architecture": "amd64", "os": "linux", "rootfs": _root_of(layer)})
        for content in (layer, config):
            error = self._upload(context, content, method, LARGE_CHUNK)
            if error is not None:
                raise error
        image = _manifest(_described(config, media.OCI_CONFIG), _described(layer, media.OCI_LAYER))
        self._session.run(context, manifests.put(self._here, image, TAG))
        self._manifests += [str(image.digest), TAG]
        return image

    def _mounts(self, context: Context, image: Manifest) -> None:
        # Two blobs, as the second of one blob's mounts would find it in place already.
        layer, config = image.blobs
        self._mount(context, "mount", "mount", layer, self._here)
        self._mount(context, "mount from anywhere", "anonymous_mount", config, None)

    def _mount(self, context: Context, name: str, ability: str, blob: Descriptor, source: Repository | None) -> None:
        try:
            answer = self._session.run(context, uploads.mount(self._there, blob, source))
        except RegistryError as error:
            self._found.note(name, ability, False, _reason(error))
            return
        if answer.upload is not None:
            self._session.run(context, uploads.cancel(self._there, answer.upload.location))
        if answer.mounted:
            self._blobs.append((self._there, blob.digest))
        self._found.note(name, ability, answer.mounted, "" if answer.mounted else "an upload was opened instead")

    def _many_tags(self, context: Context, image: Manifest) -> None:
        try:
            made = self._session.run(context, manifests.put_with_tags(self._here, image, MORE_TAGS)).tags
        except RegistryError as error:
            self._found.note("many tags at once", "multi_tag", False, _reason(error))
            return
        self._manifests += sorted(made)
        self._found.note("many tags at once", "multi_tag", made == set(MORE_TAGS))

    def _referrers(self, context: Context, image: Manifest, method: UploadMethod) -> None:
        try:
            error = self._upload(context, referrers.EMPTY_JSON, method, LARGE_CHUNK)
            if error is not None:
                raise error
            referrer = referrers.make_referrer(image.descriptor(), _ARTIFACT, {})
            noted = self._session.run(context, manifests.put(self._here, referrer, str(referrer.digest)))
            self._manifests.append(str(referrer.digest))
            listed = self._session.run(context, referrers.count_listed(self._here, image.digest))
        except RegistryError as error:
            self._found.note("referrers", "referrers", False, _reason(error))
            return
        text = "" if noted else "a client keeps the list itself, under a tag"
        self._found.note("referrers", "referrers", noted and bool(listed), text)

    def _upload(self, context: Context, content: bytes, method: UploadMethod, chunk: int) -> RegistryError | None:
        """Send a blob in one form; return what kept it from working."""
        blob = _described(content)
        upload: UploadSession | None = None
        try:
            upload = self._session.run(context, uploads.start(self._here, blob.digest))
            self._uploads.append((self._here, upload.location))
            self._session.run(context, uploads.send_in(self._here, blob, BytesBody(content), upload, method, chunk))
        except RegistryError as error:
            return error
        self._uploads.pop()
        self._blobs.append((self._here, blob.digest))
        return None

    def _clean(self, context: Context) -> None:
        """Take away what was made, tags before what they point at; what will not go is listed."""
        for repository, location in self._uploads:
            self._takes(context, uploads.cancel(repository, location))
        kept = []
        for target in reversed(self._manifests):
            is_gone = self._takes(context, manifests.delete(self._here, target, self._delete))
            if not is_gone and ":" in target:  # a tag goes with its manifest where it does not go alone
                kept.append(target)
        self._found.note("deleting", "delete", not kept, "" if self._manifests else "nothing was there to delete")
        self._found.left += [f"{self._here}@{target}" for target in kept]
        left = [
            digest
            for repository, digest in self._blobs
            if not self._takes(context, blobs.delete(repository, digest, self._delete))
        ]
        if left:
            self._found.left.append(f"{len(left)} blobs of some kB, for the registry's own clearing away")

    def _takes(self, context: Context, flow: Flow[None]) -> bool:
        try:
            self._session.run(context, flow)
        except NotFoundError:
            return True
        except OciPushError:
            return False
        return True

    def _require(self, name: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except OciPushError as error:
            self._found.add(name, CheckOutcome.FAILED, str(error))
            raise


def _content(what: str, size: int) -> bytes:
    """Return bytes that are the same in every run, so that a run cut short leaves nothing that the next one adds to."""
    line = f"oci-push doctor: {what}\n".encode()
    return (line * (size // len(line) + 1))[:size]


def _described(content: bytes, media_type: str = media.OCTET_STREAM) -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


def _root_of(layer: bytes) -> dict[str, object]:
    return {"type": "layers", "diff_ids": [str(Digest.of(layer))]}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _manifest(config: Descriptor, layer: Descriptor) -> Manifest:
    value = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json()],
    }
    return Manifest.parse(_json(value), media.OCI_MANIFEST)


def _reason(error: RegistryError | None) -> str:
    """Return what the registry said, without what it was about."""
    if error is None:
        return ""
    before, answered, after = error.message.partition(f"{error.method} answered ")
    return f"{answered}{after}" if answered else before
