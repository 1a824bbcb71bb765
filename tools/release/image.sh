#!/usr/bin/env bash
# Builds an image, starts it, and scans it for known vulnerabilities that have a fix. Nothing is pushed. CI and releases run
# this, so that what is pushed is what was checked. Needs Docker.
#
#   [VERSION=1.2.3 REVISION=commit] image.sh cpu|cuda|ray-cpu|ray-cuda NAME [FILE for the bill of materials]
set -euo pipefail
image=${1:?usage: image.sh IMAGE NAME [FILE]}
name=${2:?usage: image.sh IMAGE NAME [FILE]}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

packages=requirements/image.txt
[ "${image#ray-}" = "$image" ] || packages=requirements/image-ray.txt
docker build --target "${image#ray-}" --build-arg "PACKAGES=$packages" \
  --build-arg "VERSION=${VERSION:-0}" --build-arg "REVISION=${REVISION:-unknown}" \
  --tag "$name" .
bash deploy/docker/check.sh "$name" "${3:-/dev/null}"
# The program itself, not an action around it: the same with every forge.
docker run --rm --volume /var/run/docker.sock:/var/run/docker.sock --volume scrivano-trivy:/root/.cache \
  "${TRIVY_IMAGE:-docker.io/aquasec/trivy:0.57.1}" image --quiet --scanners vuln --severity CRITICAL,HIGH \
  --ignore-unfixed --exit-code 1 "$name"
