"""Keys: what is read, what is refused and how that is said, and secretbox by the vector of its authors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from signingkeys import KINDS, cosign_file, make, pem_of, public_pem_of

from oci_push.errors import ConfigError
from oci_push.secret import Secret
from oci_push.signing.keys import read_signing_key, read_verifying_key
from oci_push.signing.secretbox import unbox

KEY = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"
NONCE = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37"
BOX = (
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b"
    "4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da"
    "99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
)
OPEN = (
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4"
    "1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52"
    "f0a089bc76897040e082f937763848645e0705"
)
"""NaCl, tests/secretbox.c and its output."""


def test_a_box_is_opened_as_its_authors_do() -> None:
    opened = unbox(bytes.fromhex(KEY), bytes.fromhex(NONCE), bytes.fromhex(BOX))
    assert opened is not None
    assert opened.hex() == OPEN


@pytest.mark.parametrize("at", [0, 15, 16, 146])
def test_a_box_with_one_bit_changed_stays_closed(at: int) -> None:
    box = bytearray.fromhex(BOX)
    box[at] ^= 1
    assert unbox(bytes.fromhex(KEY), bytes.fromhex(NONCE), bytes(box)) is None


def test_a_box_without_a_tag_stays_closed() -> None:
    assert unbox(bytes.fromhex(KEY), bytes.fromhex(NONCE), b"short") is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_key_signs_its_public_key_verifies_and_no_other(kind: str) -> None:
    key, other = make(kind), make(kind)
    signing = read_signing_key(Secret(pem_of(key)), None, "k")
    signature = signing.sign(b"said")
    assert read_verifying_key(public_pem_of(key), "p").verifies(signature, b"said")
    assert not read_verifying_key(public_pem_of(key), "p").verifies(signature, b"said otherwise")
    assert not read_verifying_key(public_pem_of(other), "p").verifies(signature, b"said")
    assert not read_verifying_key(public_pem_of(other), "p").verifies(b"", b"said")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", ["SIGSTORE", "COSIGN"])
def test_cosigns_key_file_is_opened_by_its_passphrase(kind: str, label: str) -> None:
    key = make(kind)
    signing = read_signing_key(Secret(cosign_file(key, "right", label=label)), Secret("right"), "cosign.key")
    assert signing.public.der == read_verifying_key(public_pem_of(key), "p").der


def test_cosigns_key_file_may_have_an_empty_passphrase() -> None:
    assert read_signing_key(Secret(cosign_file(make(), "")), Secret(""), "cosign.key").name == "cosign.key"


def test_encrypted_pkcs8_is_opened_by_the_same_passphrase() -> None:
    key = make()
    signing = read_signing_key(Secret(pem_of(key, "right-one")), Secret("right-one"), "k")
    assert signing.public.der == read_verifying_key(public_pem_of(key), "p").der


LOCKED = cosign_file(make(), "right")
SHORT = pem_of(rsa.generate_private_key(65537, 1024))
CURVE = pem_of(ec.generate_private_key(ec.SECP384R1()))
BROKEN = LOCKED.replace("\n", "\nAAAA", 3)


@pytest.mark.parametrize(
    ("pem", "passphrase", "said"),
    [
        (LOCKED, None, "k: is encrypted, and COSIGN_PASSWORD is not set"),
        (LOCKED, "wrong-one", "k: cannot be opened with the passphrase in COSIGN_PASSWORD"),
        (pem_of(make(), "right-one"), None, "k: is encrypted, and COSIGN_PASSWORD is not set"),
        (pem_of(make(), "right-one"), "wrong-one", "k: cannot be opened with the passphrase in COSIGN_PASSWORD"),
        (BROKEN, "right", "k: the key file is damaged"),
        (cosign_file(make(), "right", r=16), "right", "k: the key file asks for another scrypt"),
        (cosign_file(make(), "right", n=2**21), "right", "k: the key file asks for another scrypt"),
        (cosign_file(make(), "right", n=1000), "right", "k: the key file asks for another scrypt"),
        (SHORT, None, "k: an RSA key of 1024 bits is too short"),
        (CURVE, None, "k: the curve secp384r1 is not used here"),
        (public_pem_of(make()), None, "k: is a public key, and a private one signs"),
        ("no key at all", None, "k: is no private key"),
    ],
    ids=range(12),
)
def test_a_key_that_cannot_sign_is_told_of_without_its_content(pem: str, passphrase: str | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_signing_key(Secret(pem), None if passphrase is None else Secret(passphrase), "k")
    assert str(caught.value).startswith(said)
    assert caught.value.advice
    told = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert not any(line in told for line in pem.splitlines() if len(line) > 20)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (pem_of(make()), "p: is a private key, and a public one verifies"),
        ("nothing", "p: is no public key"),
        (public_pem_of(ec.generate_private_key(ec.SECP521R1())), "p: the curve secp521r1 is not used here"),
        (public_pem_of(ec.generate_private_key(ec.SECP256K1())), "p: the curve secp256k1 is not used here"),
        (public_pem_of(rsa.generate_private_key(65537, 1024)), "p: an RSA key of 1024 bits is too short"),
        (public_pem_of(make()) + public_pem_of(make()), "p: holds several keys, of which only the first would count"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "p: is a certificate"),
    ],
    ids=range(7),
)
def test_a_key_that_cannot_verify_is_refused(pem: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_verifying_key(pem, "p")
    assert str(caught.value).startswith(said)


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r, s: encode_dss_signature(r, s) + b"\0",
        lambda r, s: encode_dss_signature(0, 0),
        lambda r, s: encode_dss_signature(0, s),
        lambda r, s: encode_dss_signature(r, 0),
        lambda r, s: encode_dss_signature(r + ORDER, s),
        lambda r, s: encode_dss_signature(ORDER, ORDER),
        lambda r, s: encode_dss_signature(1, 1),
        lambda r, s: b"\x30\x81" + encode_dss_signature(r, s)[1:],
        lambda r, s: b"\x30\x80" + encode_dss_signature(r, s)[2:] + b"\0\0",
        lambda r, s: b"\x30\x06\x02\x01\xff\x02\x01\xff",
        lambda r, s: r.to_bytes(32, "big") + s.to_bytes(32, "big"),
        lambda r, s: b"\x30" * 100_000,
        lambda r, s: b"",
    ],
    ids=range(13),
)
def test_what_is_not_the_one_form_of_an_ecdsa_signature_is_none(spoil: Callable[[int, int], bytes]) -> None:
    """As Wycheproof's cases are: zeros, numbers out of range, BER in place of DER, bytes behind it, r and s alone."""
    key = read_signing_key(Secret(pem_of(make())), None, "k")
    good = key.sign(b"data")
    assert key.public.verifies(good, b"data")
    assert not key.public.verifies(spoil(*decode_dss_signature(good)), b"data")


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize(
    "spoil",
    [lambda s: s + b"\0", lambda s: b"\0" + s, lambda s: s[:-1], lambda s: bytes(len(s)), lambda s: b"\xff" * len(s)],
    ids=range(5),
)
def test_a_signature_has_the_length_of_its_key_and_is_no_number_at_will(
    kind: str, spoil: Callable[[bytes], bytes]
) -> None:
    key = read_signing_key(Secret(pem_of(make(kind))), None, "k")
    assert not key.public.verifies(spoil(key.sign(b"data")), b"data")


def test_a_key_does_not_show_itself() -> None:
    key = make()
    shown = repr(read_signing_key(Secret(pem_of(key)), None, "k"))
    assert shown == "SigningKey('k')"
