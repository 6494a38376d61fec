#!/usr/bin/env bash
# Fuzzes what strangers write, so many seconds for each entry (60 where no number is given). It needs a
# nightly compiler, for the address sanitizer, and cargo-fuzz, and installs them where they are missing.
# What is found stays in artifacts/, and what covers more in corpus/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
for entry in url_intake response; do
  mkdir -p "fuzz/corpus/$entry"
  cargo +nightly fuzz run "$entry" "fuzz/corpus/$entry" "fuzz/seeds/$entry" -- \
    -max_total_time="$seconds" -print_final_stats=1
done
