#!/bin/sh
# ko → OCI layout, with all platforms that were asked for. ko wants a name for the image even where it pushes nothing.
set -eu
KO_DOCKER_REPO=app ko build ./cmd/app --bare --push=false --platform=linux/amd64,linux/arm64 --oci-layout-path=image
oci-push push oci:image "$DESTINATION"
