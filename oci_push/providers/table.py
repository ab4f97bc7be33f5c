"""The providers, in the order in which they are asked. A new one is a file and a line here."""

from __future__ import annotations

from oci_push.providers import (
    artifactory,
    azure,
    cloudflare,
    digitalocean,
    dockerhub,
    dtr,
    ecr,
    ecr_public,
    generic,
    github,
    gitlab,
    google,
    harbor,
    nexus,
    quay,
    zot,
)
from oci_push.providers.base import Provider

PROVIDERS: tuple[Provider, ...] = (
    dockerhub.PROVIDER,
    ecr.PROVIDER,
    ecr_public.PROVIDER,
    google.PROVIDER,
    azure.PROVIDER,
    github.PROVIDER,
    gitlab.PROVIDER,
    quay.PROVIDER,
    digitalocean.PROVIDER,
    cloudflare.PROVIDER,
    artifactory.PROVIDER,
    harbor.PROVIDER,
    nexus.PROVIDER,
    dtr.PROVIDER,
    zot.PROVIDER,
    generic.PROVIDER,
)


def find_provider(host: str) -> Provider:
    """Give the family that a registry host belongs to; `generic` takes what nobody else does."""
    return next(provider for provider in PROVIDERS if provider.matches(host))
