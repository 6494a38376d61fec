//! The entries for the fuzzer, one for each target in `fuzz_targets/`.

use std::sync::LazyLock;

use pulsetrail_probers::check::Checker;
use tokio::runtime::Runtime;

mod entries;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static CHECKER: LazyLock<Checker> = LazyLock::new(entries::checker);

/// See [`entries::url_intake`].
pub fn url_intake(text: &str) {
    entries::url_intake(text);
}

macro_rules! checks {
    ($($entry:ident)*) => {$(
        #[doc = concat!("See [`entries::", stringify!($entry), "`].")]
        pub fn $entry(bytes: &[u8]) {
            RUNTIME.block_on(entries::$entry(&CHECKER, bytes));
        }
    )*};
}

checks!(response json_path pattern encoded dns_answer certificate);
