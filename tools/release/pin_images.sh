#!/usr/bin/env bash
# Adds the digests of today to the base images in the Dockerfile: `name:tag` becomes `name:tag@sha256:…`.
# Needs docker with buildx, or skopeo, and a network. `git diff` shows what has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

digest() {
  if command -v skopeo > /dev/null; then
    skopeo inspect --raw "docker://$1" | sha256sum | sed 's/ .*//; s/^/sha256:/'
  else
    docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
  fi
}

grep -oE '^ARG [A-Z]+_IMAGE=[^@ ]+' Dockerfile | while IFS='=' read -r name image; do
  found=$(digest "$image")
  [[ $found =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "no digest for $image: $found" >&2; exit 1; }
  sed -i "s|^$name=.*|$name=$image@$found|" Dockerfile
  echo "$image@$found"
done
