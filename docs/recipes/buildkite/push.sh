#!/bin/sh
# .buildkite/push.sh
set -euf
buildkite-agent artifact download "$SOURCE" .
set -- "$SOURCE" $DESTINATIONS
if [ -n "${REGISTRY_PASSWORD:-}" ]; then
    set -- "$@" --username "$REGISTRY_USER" --password-stdin
fi
printf '%s' "${REGISTRY_PASSWORD:-}" | oci-push push "$@"
