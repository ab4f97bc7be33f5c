#!/bin/sh
# Bazel with rules_img → OCI archive.
set -eu
bazel build //app:image --output_groups=oci_tarball
oci-push push bazel-bin/app/image_oci_layout.tar "$DESTINATION"
