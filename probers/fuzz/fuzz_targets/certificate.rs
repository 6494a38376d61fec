#![no_main]

use std::sync::LazyLock;

use pulsetrail_probers::check::Checker;
use tokio::runtime::Runtime;

#[path = "../src/entries.rs"]
#[allow(dead_code)]
mod entries;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static CHECKER: LazyLock<Checker> = LazyLock::new(entries::checker);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    RUNTIME.block_on(entries::certificate(&CHECKER, bytes));
});
