#!/bin/sh
# kaniko → docker-archive. Without a --destination it writes no tar; with --no-push that is no more than a name in it.
set -eu
/kaniko/executor --context="dir://$PWD" --dockerfile=Dockerfile --no-push --destination=app --tar-path=image.tar
oci-push push image.tar "$DESTINATION"
