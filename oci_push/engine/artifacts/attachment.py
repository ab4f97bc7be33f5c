"""What is attached to an image while it is pushed, and what became of it: plain data."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType, field

from oci_push.errors import OciPushError
from oci_push.forms import ErrorForm, derive
from oci_push.model.digest import Digest
from oci_push.model.outcomes import ManifestOutcome


class Attachment(Struct, frozen=True):
    """A file or folder that becomes an artifact of its own about an image.

    `media_type` and `artifact_type` are what was said of it, empty for what its content tells. `annotations` are the
    artifact's, the others those of its file and its config; `created` is a time by RFC 3339.
    """

    path: str
    media_type: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    file_annotations: Mapping[str, str] = field(default_factory=dict)
    config_annotations: Mapping[str, str] = field(default_factory=dict)


class AttachedResult(Struct, frozen=True):
    """What became of one attachment in one repository; `error` is ``None`` on success, `outcome` without one.

    `about` is the manifest it belongs to where that is not the root but one that the index lists.
    """

    file: str
    artifact_type: str
    digest: Digest
    size: int
    outcome: ManifestOutcome | None = None
    bytes_sent: int = 0
    error: OciPushError | None = None
    about: Digest | None = None


class AttachedForm(Struct, frozen=True):
    """What became of one file that was attached; `outcome` is null where it failed.

    `about` is there where it belongs to a manifest that the index lists, and not to the index.
    """

    file: str
    artifact_type: str
    digest: Digest
    size: int
    outcome: ManifestOutcome | None
    bytes_sent: int
    error: ErrorForm | None
    about: Digest | UnsetType = UNSET

    @classmethod
    def of(cls, result: AttachedResult) -> AttachedForm:
        """Return one attachment's result."""
        return derive(cls, result, error=ErrorForm.or_none(result.error), about=result.about or UNSET)
