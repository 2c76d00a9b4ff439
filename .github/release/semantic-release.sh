#!/usr/bin/env bash
# Runs semantic-release with release_config.json on the checkout in the current folder; arguments are its own.
# The version goes to the file that GITHUB_OUTPUT names, as version=1.2.3, when there is something to release.
set -euo pipefail

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${GITHUB_OUTPUT:?names the file that the version is written to}"

# It looks for plugins beside a file named in --extends, and beside itself for .releaserc.json.
cp release_config.json .releaserc.json
trap 'rm -f .releaserc.json' EXIT
"${SEMANTIC_RELEASE:-$tools/node_modules/.bin/semantic-release}" "$@"
