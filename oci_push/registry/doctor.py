"""An examination: what stands between us and a registry, and what the registry can do, measured with real requests.

Nothing is taken for granted that can be tried: uploads in every form, mounts, many tags at once, referrers, deletion.
All of it happens in two scratch repositories and is taken away again at the end, as far as the registry lets us;
what is left is said. A blob tried here is small, so limits on large ones stay unknown.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from msgspec import Struct, field

from oci_push.errors import NotFoundError, OciPushError, RegistryError
from oci_push.model import media
from oci_push.model.artifact import EMPTY_JSON, make_artifact
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, json_bytes
from oci_push.model.reference import Repository
from oci_push.protocol import blobs, manifests, referrers, uploads
from oci_push.protocol.call import BytesBody, Flow
from oci_push.protocol.endpoints import push_scope
from oci_push.protocol.ping import ApiVersionCheck, ping
from oci_push.protocol.uploads import UploadMethod, UploadSession
from oci_push.providers.base import Capabilities
from oci_push.runtime.context import Context
from oci_push.transport.probe import Probe
from oci_push.transport.session import Session

T = TypeVar("T")
SCRATCH = "oci-push-doctor"
MOUNT_SCRATCH = f"{SCRATCH}-mount"
_ARTIFACT = "application/vnd.oci-push.doctor"
TAG, MORE_TAGS = "doctor", ("doctor-1", "doctor-2")
SMALL_CHUNK, LARGE_CHUNK = 64 * 1024, 5 * 1024 * 1024
"""Sizes of chunks tried: the second, where the first is refused, is the least that S3 behind a registry takes."""
SKEW_S = 60.0
"""Clocks further apart than this make tokens and signatures fail (distribution allows as much)."""
_CLEANING_S = 60.0


class CheckOutcome(enum.StrEnum):
    """What became of one question."""

    OK = "ok"
    NO = "no"
    FAILED = "failed"
    UNKNOWN = "-"


Answer: TypeAlias = tuple[CheckOutcome, str]
"""What asking has come to, and what there is to say of it."""


class Finding(Struct, frozen=True):
    """The answer to one question; a `FAILED` one keeps images from being pushed, a `NO` is only worth knowing."""

    name: str
    outcome: CheckOutcome
    text: str = ""
    hint: str = ""


class Examination(Struct):
    """The answers. `abilities` are what later pushes go by; `left` is what could not be taken away."""

    findings: list[Finding] = field(default_factory=list)
    abilities: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    error: OciPushError | None = None


class Check(Struct, frozen=True):
    """One question. `ask` returns the answer, or nothing where the question does not arise.

    A registry's error answers it with `NO`, or where images `must` be pushed without it with `FAILED`, and ends the
    examination. `ability` is the name under which later pushes find whether it was `OK`.
    """

    name: str
    ask: Callable[[Doctor], Answer | None]
    must: bool = False
    ability: str = ""


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
        self._works: list[UploadMethod] = []
        self._found = Examination()
        # Set by checks without which nothing goes on.
        self._probe: Probe
        self._version: ApiVersionCheck
        self._image: Manifest

    def examine(self, context: Context) -> Examination:
        """Ask everything; a failure that makes the rest pointless ends it, and is in the result."""
        self._context = context
        try:
            self._ask(self._ENTERING)
            try:
                self._ask(self._WRITING)
            finally:
                self._context = context.shielded(_CLEANING_S)
                self._ask(self._CLEANING)
        except OciPushError as error:
            context.check()
            self._found.error = error
        self._ask(self._LEAVING)
        return self._found

    def _ask(self, checks: Sequence[Check]) -> None:
        for check in checks:
            try:
                answer = check.ask(self)
            except OciPushError as error:
                if check.must:
                    self._found.findings.append(Finding(check.name, CheckOutcome.FAILED, str(error)))
                if check.must or not isinstance(error, RegistryError):
                    raise
                answer = CheckOutcome.NO, _reason(error)
            if answer is not None:
                self._found.findings.append(Finding(check.name, *answer))
                if check.ability:
                    self._found.abilities[check.ability] = "yes" if answer[0] is CheckOutcome.OK else "no"

    def _run(self, flow: Flow[T]) -> T:
        return self._session.run(self._context, flow)

    def _network(self) -> Answer:
        self._probe = probe = self._session.probe(self._context)
        if not probe.addresses:
            return CheckOutcome.UNKNOWN, "a proxy stands between"
        return CheckOutcome.OK, f"{', '.join(probe.addresses)}; connected to {probe.address}"

    def _tls(self) -> Answer | None:
        probe = self._probe
        if not probe.addresses:
            return None
        if not probe.protocol:
            return CheckOutcome.NO, "plain http"
        if not probe.expires:
            return CheckOutcome.NO, f"{probe.protocol}, {probe.cipher}; the certificate is not checked"
        certificate = f"certificate by {probe.issuer or 'nobody named'}, good until {probe.expires}"
        return CheckOutcome.OK, f"{probe.protocol}, {probe.cipher}; {certificate}"

    def _login(self) -> Answer:
        """Ask for the API's version with the scopes of all that follows."""
        auth = self._session.auth
        auth.want((push_scope(self._here), push_scope(self._there)))
        self._version = self._run(ping(self._here.host))
        credential = auth.credential(self._context)
        who = f"user {credential.shown_user or '(token)'} from {credential.source}" if credential else "nobody"
        return CheckOutcome.OK, f"{who}; {auth.view().scheme or 'the registry asks for no login'}"

    def _clock(self) -> Answer:
        """Compare the time of the last answer with ours."""
        if self._version.moment is None:
            return CheckOutcome.UNKNOWN, "the registry does not tell the time"
        skew = self._version.moment - self._context.clock.now()
        return _able(abs(skew) < SKEW_S, f"the registry's is {round(skew):+d} s from ours")

    def _push(self) -> Answer:
        opened = self._run(uploads.start(self._here, Digest.of(b"")))
        self._run(uploads.cancel(self._here, opened.location))
        told = [f"at least {opened.chunk_min}"] * bool(opened.chunk_min)
        told += [f"at most {opened.chunk_max}"] * bool(opened.chunk_max)
        pieces = f"; wants pieces of {' and '.join(told)} bytes" if told else ""
        return CheckOutcome.OK, f"{self._here}{pieces}"

    def _upload(self, method: UploadMethod) -> Answer:
        self._send(_content(method.value, 4096), method, SMALL_CHUNK)
        self._works.append(method)
        return CheckOutcome.OK, ""

    def _chunks(self) -> Answer:
        """Send a blob in chunks, in larger ones where small ones are refused."""
        for chunk in (SMALL_CHUNK, LARGE_CHUNK):
            try:
                self._send(_content(f"pieces of {chunk}", chunk + 1024), UploadMethod.CHUNKED, chunk)
            except RegistryError:
                if chunk == LARGE_CHUNK:
                    raise
            else:
                self._works.append(UploadMethod.CHUNKED)
                self._found.abilities["chunk_min_bytes"] = str(chunk if chunk > SMALL_CHUNK else 0)
                break
        return CheckOutcome.OK, f"of {chunk // 1024} KiB"

    def _single_post(self) -> Answer:
        """Send a small blob with the request that would open an upload."""
        content = _content("post", 4096)
        blob = _described(content)
        opened = self._run(uploads.post_whole(self._here, blob, BytesBody(content)))
        return self._placed(self._here, blob, opened)

    def _push_image(self) -> Answer:
        """Push an image of one empty layer."""
        if not self._works:
            raise RegistryError(f"{self._here}: no form of upload works")
        self._found.abilities["form"] = self._works[0].value
        layer = bytes(1024)  # a tar without entries
        config = json_bytes({"architecture": "amd64", "os": "linux", "rootfs": _root_of(layer)})
        for content in (layer, config):
            self._send(content, self._works[0], LARGE_CHUNK)
        image = _manifest(_described(config, media.OCI_CONFIG), _described(layer, media.OCI_LAYER))
        self._run(manifests.put(self._here, image, TAG))
        self._manifests += [str(image.digest), TAG]
        self._image = image
        return CheckOutcome.OK, f"{self._here}:{TAG}"

    def _mount(self, number: int, *, from_here: bool) -> Answer:
        """Mount a blob of the image; each time another, as the second of one would find it in place already."""
        blob = self._image.blobs[number]
        answer = self._run(uploads.mount(self._there, blob, self._here if from_here else None))
        return self._placed(self._there, blob, answer.upload, is_there=answer.mounted)

    def _many_tags(self) -> Answer:
        """Tag the image twice more in one request."""
        made = self._run(manifests.put_with_tags(self._here, self._image, MORE_TAGS)).tags
        self._manifests += sorted(made)
        return _able(made == set(MORE_TAGS))

    def _referrers(self) -> Answer:
        """Push a manifest that refers to the image, and look for it in the image's list."""
        self._send(EMPTY_JSON, self._works[0], LARGE_CHUNK)
        referrer = make_artifact(_ARTIFACT, subject=self._image.descriptor())
        noted = self._run(manifests.put(self._here, referrer, str(referrer.digest)))
        self._manifests.append(str(referrer.digest))
        listed = self._run(referrers.count_listed(self._here, self._image.digest))
        return _able(noted and bool(listed), "" if noted else "a client keeps the list itself, under a tag")

    def _clean(self) -> Answer:
        """Take away what was made, tags before what they point at; what will not go is listed."""
        for repository, location in self._uploads:
            self._takes(uploads.cancel(repository, location))
        kept = []
        for target in reversed(self._manifests):
            is_gone = self._takes(manifests.delete(self._here, target, self._delete))
            if not is_gone and ":" in target:  # a tag goes with its manifest where it does not go alone
                kept.append(target)
        self._found.left += [f"{self._here}@{target}" for target in kept]
        left = [one for one in self._blobs if not self._takes(blobs.delete(*one, self._delete))]
        if left:
            self._found.left.append(f"{len(left)} blobs of some kB, for the registry's own clearing away")
        return _able(not kept, "" if self._manifests else "nothing was there to delete")

    def _limits(self) -> Answer:
        told = self._session.limits
        return CheckOutcome.OK if told else CheckOutcome.UNKNOWN, told or "not told of"

    def _send(self, content: bytes, method: UploadMethod, chunk: int) -> None:
        """Upload a blob in one way; raises `RegistryError` where that does not work."""
        blob = _described(content)
        upload = self._run(uploads.start(self._here, blob.digest))
        self._uploads.append((self._here, upload.location))
        self._run(uploads.send_in(self._here, blob, BytesBody(content), upload, method, chunk))
        self._uploads.pop()
        self._blobs.append((self._here, blob.digest))

    def _placed(
        self, repository: Repository, blob: Descriptor, opened: UploadSession | None, *, is_there: bool = True
    ) -> Answer:
        """Judge a request that either puts a blob in place or opens an upload, which is closed."""
        if opened is not None:
            self._run(uploads.cancel(repository, opened.location))
        is_there = is_there and opened is None
        if is_there:
            self._blobs.append((repository, blob.digest))
        return _able(is_there, "" if is_there else "an upload was opened instead")

    def _takes(self, flow: Flow[None]) -> bool:
        try:
            self._run(flow)
        except NotFoundError:
            return True
        except OciPushError:
            return False
        return True

    _ENTERING = (
        Check("network", _network, must=True),
        Check("tls", _tls),
        Check("login", _login, must=True),
        Check("clock", _clock),
        Check("push", _push, must=True),
    )
    """What is asked before anything is written, in this order."""
    _WRITING = (
        Check("upload by PUT", partial(_upload, method=UploadMethod.MONOLITHIC)),
        Check("upload by PATCH", partial(_upload, method=UploadMethod.STREAMED)),
        Check("upload in pieces", _chunks, ability="pieces"),
        Check("upload by POST", _single_post, ability="single_post"),
        Check("image", _push_image, must=True),
        Check("mount", partial(_mount, number=0, from_here=True), ability="mount"),
        Check("mount from anywhere", partial(_mount, number=1, from_here=False), ability="anonymous_mount"),
        Check("many tags at once", _many_tags, ability="multi_tag"),
        Check("referrers", _referrers, ability="referrers"),
    )
    """What is asked by writing to the scratch repositories."""
    _CLEANING = (Check("deleting", _clean, ability="delete"),)
    _LEAVING = (Check("rate limits", _limits),)


def _able(is_able: bool, text: str = "") -> Answer:
    return CheckOutcome.OK if is_able else CheckOutcome.NO, text


def _content(what: str, size: int) -> bytes:
    """Return bytes that are the same in every run, so that a run cut short leaves nothing that the next one adds to."""
    line = f"oci-push doctor: {what}\n".encode()
    return (line * (size // len(line) + 1))[:size]


def _described(content: bytes, media_type: str = media.OCTET_STREAM) -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


def _root_of(layer: bytes) -> dict[str, object]:
    return {"type": "layers", "diff_ids": [str(Digest.of(layer))]}


def _manifest(config: Descriptor, layer: Descriptor) -> Manifest:
    value = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json()],
    }
    return Manifest.parse(json_bytes(value), media.OCI_MANIFEST)


def _reason(error: RegistryError | None) -> str:
    """Return what the registry said, without what it was about."""
    if error is None:
        return ""
    before, answered, after = error.message.partition(f"{error.method} answered ")
    return f"{answered}{after}" if answered else before
