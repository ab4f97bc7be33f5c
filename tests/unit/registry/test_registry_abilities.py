"""What is learnt from a refused upload."""

from __future__ import annotations

import pytest

from oci_push.errors import UploadRejectedError
from oci_push.protocol.blobs import Form
from oci_push.registry.abilities import Abilities

MIB = 1024 * 1024


def refusal(status: int, *codes: str) -> UploadRejectedError:
    return UploadRejectedError("refused", status=status, codes=codes)


def test_413_means_pieces_and_then_ever_smaller_ones() -> None:
    abilities = Abilities()
    assert abilities.adapt(Form.PUT, refusal(413), 40 * MIB)
    assert (abilities.form, abilities.chunk_bytes) == (Form.CHUNKS, 20 * MIB)
    assert abilities.adapt(Form.CHUNKS, refusal(413), 40 * MIB)
    assert abilities.chunk_bytes == 10 * MIB


def test_pieces_never_get_smaller_than_the_registry_takes() -> None:
    abilities = Abilities(chunk_bytes=6 * MIB, chunk_min_bytes=5 * MIB, form=Form.CHUNKS)
    assert abilities.adapt(Form.CHUNKS, refusal(413), 100 * MIB)
    assert abilities.chunk_bytes == 5 * MIB
    assert not abilities.adapt(Form.CHUNKS, refusal(413), 100 * MIB)


@pytest.mark.parametrize("error", [refusal(405), refusal(400, "UNSUPPORTED"), refusal(416)])
def test_a_form_that_is_refused_is_not_tried_again(error: UploadRejectedError) -> None:
    abilities = Abilities()
    tried = []
    while abilities.adapt(abilities.form, error, MIB):
        tried.append(abilities.form)
    assert tried == [Form.STREAM, Form.CHUNKS]


@pytest.mark.parametrize("error", [refusal(400, "DIGEST_INVALID"), refusal(409)])
def test_what_is_no_matter_of_form_changes_nothing(error: UploadRejectedError) -> None:
    abilities = Abilities()
    assert not abilities.adapt(Form.PUT, error, MIB)
    assert abilities.form is Form.PUT
