#!/bin/sh
# Runs `scrivano` in the image. A GGML file where the earlier server kept its model is used, unless a model is chosen.
set -eu

EARLIER_MODEL=/models/ggml-large-v3.bin

if [ "${1:-}" = health ]; then
  exec python3 -c '
import os, urllib.request
listen = os.environ.get("DISPATCHER_LISTEN")
url = "http://%s/health" % listen if listen else "http://localhost:%s/readyz" % (os.environ.get("PORT") or 8080)
urllib.request.urlopen(url, timeout=4)'
fi
if [ -z "${WHISPER_MODEL_PATH:-}${WHISPER_MODEL:-}" ] && [ -f "$EARLIER_MODEL" ]; then
  export WHISPER_MODEL_PATH="$EARLIER_MODEL"
fi
case "${1:-}" in
  sh | bash | python | python3) exec "$@" ;;
  *) exec scrivano "$@" ;;
esac
