#!/usr/bin/env bash
# Makes a release of Gitea or Forgejo from a tag, and attaches files to it. It may be run again.
#
#   GITHUB_SERVER_URL=https://forge.example GITHUB_REPOSITORY=owner/scrivano TOKEN=… forge.sh v1.2.3 FILE...
set -euo pipefail
tag=${1:?usage: forge.sh TAG FILE...}
shift
releases="$GITHUB_SERVER_URL/api/v1/repos/$GITHUB_REPOSITORY/releases"

call() {
  curl --silent --show-error --fail-with-body --retry 3 --header "Authorization: token $TOKEN" "$@"
}

found=$(call "$releases/tags/$tag" 2> /dev/null) ||
  found=$(call --header "Content-Type: application/json" --data "{\"tag_name\": \"$tag\", \"name\": \"$tag\"}" "$releases")
id=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])' <<< "$found")
for file in "$@"; do
  call --form "attachment=@$file" "$releases/$id/assets?name=$(basename "$file")" > /dev/null
  echo "attached $(basename "$file")"
done
