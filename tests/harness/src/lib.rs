//! What the end-to-end tests and the benches stand on: shared engines, the real application in a corner
//! of its own, targets, users and subscribers. It panics where a test cannot go on.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it cannot go on")]

mod app;
mod dice;
mod engines;
mod eventually;
mod feed;
mod loopback_target;
mod role;
mod server;
mod slots;
mod target;
mod user;

pub use app::{App, Corner, metrics, metrics_by, until_ready};
pub use dice::{Dice, is_soak};
pub use engines::{TestEngines, engines, engines_with};
pub use eventually::{PATIENCE, eventually, within};
pub use feed::Feed;
pub use loopback_target::{Behaviour, LoopbackTarget};
pub use role::{RoleProcess, metric};
pub use server::Server;
pub use slots::Slots;
pub use target::Target;
pub use user::{Answer, User, http_client, http_client_from};
