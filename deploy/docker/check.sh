#!/usr/bin/env bash
# Starts an image with Docker as an unknown user, with a read-only root, and transcribes the bundled recording. Its bill of
# materials must be what is in it; it is copied to FILE.
set -euo pipefail
image=${1:?usage: check.sh IMAGE [FILE]}
bill=${2:-/dev/null}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name="scrivano-check-$$"
trap 'docker rm --force "$name" > /dev/null' EXIT
docker run --detach --name "$name" --user 12345 --read-only --tmpfs /tmp --cap-drop ALL \
  --security-opt no-new-privileges --env WHISPER_MODEL=nano "$image"
for _ in $(seq 120); do
  if docker exec "$name" scrivano-entrypoint health 2> /dev/null; then break; fi
  sleep 1
done
docker exec "$name" scrivano-entrypoint health
docker exec "$name" sh -c 'scrivano transcribe --server http://127.0.0.1:8080 \
  "$(python3 -c "import scrivano, os; print(os.path.dirname(scrivano.__file__))")/nano/recording.flac"' | grep --quiet .
docker exec "$name" cat /opt/scrivano/sbom.cdx.json > "$bill"
diff <(docker exec "$name" cat /opt/scrivano/sbom.cdx.json) \
  <(docker exec --interactive "$name" python3 - --path /opt/cuda < tools/release/sbom.py)
docker stop --time 45 "$name" > /dev/null
test "$(docker inspect --format '{{.State.ExitCode}}' "$name")" = 0
size_mb=$(($(docker image inspect --format '{{.Size}}' "$image") / 1000000))
echo "$image: works; $size_mb MB"
