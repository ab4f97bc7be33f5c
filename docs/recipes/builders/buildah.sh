#!/bin/sh
# buildah → its own storage. A Containerfile or Dockerfile lies here.
set -eu
buildah build --tag app .
oci-push push containers-storage:app "$DESTINATION"
