#!/bin/sh
# .buildkite/build.sh: Bazel with rules_img → OCI archive.
set -eu
bazel build //app:image --output_groups=oci_tarball
cp -L bazel-bin/app/image_oci_layout.tar image.tar
