#!/usr/bin/env bash
# Fuzzes what strangers write, so many seconds for each entry (60 where no number is given). It needs a
# nightly compiler, for the address sanitizer, and cargo-fuzz, and installs them where they are missing.
# An input that takes more than 10 s or 2 GiB is a fault.
# What is found stays in artifacts/, and what covers more in corpus/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
for entry in url_intake response json_path pattern encoded dns_answer certificate; do
  mkdir -p "fuzz/corpus/$entry"
  cargo +nightly fuzz run "$entry" "fuzz/corpus/$entry" "fuzz/seeds/$entry" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=1100000 -print_final_stats=1
done
