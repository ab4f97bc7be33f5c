#!/bin/sh
# buildah → OCI layout. A Containerfile or Dockerfile lies here.
set -eu
buildah build --tag app .
buildah push app oci:image:app
oci-push push oci:image "$DESTINATION"
