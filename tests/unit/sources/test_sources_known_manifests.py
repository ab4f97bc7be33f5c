"""Manifests that a run keeps: by where they are, with the login, and no more than so many bytes."""

from __future__ import annotations

from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.manifest import Manifest, encode
from oci_push.model.reference import Repository
from oci_push.secret import Secret
from oci_push.sources.known_manifests import KnownManifests

HERE, APP = RegistryEndpoint("registry.example.com"), Repository("registry.example.com", "app")


def manifest(number: int) -> Manifest:
    return Manifest.parse(encode({"schemaVersion": 2, "manifests": [], "annotations": {"n": f"{number:0100}"}}))


def test_one_is_found_where_it_was_read_and_nowhere_else() -> None:
    known, one = KnownManifests(), manifest(1)
    known.add(HERE, APP, one)
    other = RegistryEndpoint("registry.example.com", Credential("bob", Secret("hidden-word"), source="test"))
    assert known.find((HERE, APP, one.digest)) == one
    assert known.find((other, APP, one.digest)) is None
    assert known.find((HERE, Repository("registry.example.com", "other"), one.digest)) is None
    assert known.find((HERE, APP, manifest(2).digest)) is None


def test_those_that_were_used_longest_ago_go_first() -> None:
    many = [manifest(number) for number in range(4)]
    known = KnownManifests(most_bytes=3 * many[0].size)
    for one in many[:3]:
        known.add(HERE, APP, one)
    assert known.find((HERE, APP, many[0].digest)) is not None
    known.add(HERE, APP, many[3])
    known.add(HERE, APP, many[3])
    assert [known.find((HERE, APP, one.digest)) is not None for one in many] == [True, False, True, True]
