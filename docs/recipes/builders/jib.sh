#!/bin/sh
# Jib → docker-archive. With Maven: `mvn package jib:buildTar -Dimage=app`, which writes target/jib-image.tar.
set -eu
./gradlew jibBuildTar --image=app
oci-push push build/jib-image.tar "$DESTINATION"
