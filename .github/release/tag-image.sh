#!/usr/bin/env bash
# Gives an image its version and its channel as names. Usage: tag-image.sh NAME@sha256:DIGEST cpu|gpu|baked VERSION
set -euo pipefail

image=$1
variant=$2
version=$3
name=${image%@*}
digest=${image#*@}
suffix=
[ "$variant" = cpu ] || suffix=-$variant
channel=beta
[ "$GITHUB_REF_NAME" != main ] || channel=latest

digest_of() { docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}'; }

if there=$(digest_of "$name:$version$suffix" 2>/dev/null) && [ "$there" != "$digest" ]; then
  echo "::error::$name:$version$suffix is $there already, and stays: a version is one image. Release the next version"
  exit 1
fi
docker buildx imagetools create --tag "$name:$version$suffix" --tag "$name:$channel$suffix" "$image"
for tag in "$version" "$channel"; do
  there=$(digest_of "$name:$tag$suffix")
  if [ "$there" != "$digest" ]; then
    echo "::error::$name:$tag$suffix became $there, not $digest"
    exit 1
  fi
done
