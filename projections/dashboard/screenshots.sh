#!/usr/bin/env bash
# Takes pictures of every page against the real thing with sample targets, in light and dark, narrow and wide:
# empty, typical, and with 2,000 monitors. They go to target/screenshots/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=$(mktemp -d)
program=
finish() {
  if [ -n "$program" ]; then kill "$program" 2>/dev/null || true; wait "$program" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap finish EXIT

PULSETRAIL_DATA_DIR=$folder PULSETRAIL_LISTEN=127.0.0.1:0 target/debug/pulsetrail up --demo \
  >"$folder/said" 2>"$folder/log" &
program=$!
until grep -qs '^Signed up' "$folder/said"; do
  kill -0 "$program" 2>/dev/null || { cat "$folder/said" "$folder/log" >&2; exit 1; }
  sleep 0.2
done
url=$(sed -n 's/^Ready in .* s: \(http.*\)$/\1/p' "$folder/said")
password=$(sed -n 's/^Signed up .* with the password \([^,]*\),.*/\1/p' "$folder/said")
mkdir -p target/screenshots
PULSETRAIL_TEST_URL=$url PULSETRAIL_DEMO_PASSWORD=$password PULSETRAIL_SCREENSHOTS=$PWD/target/screenshots \
  bash projections/dashboard/build.sh exec node tests/screenshots.mjs
