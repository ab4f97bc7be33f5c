#!/bin/sh
# BuildKit without a daemon, rootless in moby/buildkit:rootless → OCI archive.
set -eu
buildctl-daemonless.sh build \
    --frontend dockerfile.v0 --local context=. --local dockerfile=. --output type=oci,dest=image.tar
oci-push push image.tar "$DESTINATION"
