#!/bin/sh
# Bazel with rules_oci → OCI layout. Its layers are links into other folders, so it is copied with what they lead to.
set -eu
bazel build //app:image
rm -rf image
cp -RL --no-preserve=mode bazel-bin/app/image image
oci-push push oci:image "$DESTINATION"
