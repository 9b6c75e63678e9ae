//! The textfile directory: the only state promdrop has, and the one door to it.
//!
//! Everything works through one open descriptor of the directory, so that a directory put in its place later changes
//! nothing. Links in it are followed to see what node_exporter would read, and for nothing else: nothing is written
//! through one, and what one leads to is never promdrop's. What is published has passed
//! [`prove`](crate::exposition::prove).
//!
//! From the bottom up: `header` (with `state` and `running`), `error`, `directory` and `lock`; `look` opens one entry and `pieces` reads it, `survey` (with `watch`) and `seen` know all files and
//! whose each is; `meeting` decides what gives way to a new text, `rewrite` and `publish` do it; `audit` and `sweep` look
//! after what is published already; `temporary` names and sweeps what is not in place yet; `entry` is what `lint` needs,
//! and `overview` what `status` does.

mod audit;
mod directory;
pub mod entry;
mod error;
mod foreign;
mod header;
mod lock;
mod look;
mod meeting;
mod overview;
mod pieces;
mod publish;
mod rewrite;
mod running;
mod seen;
mod state;
mod survey;
mod sweep;
mod taken;
mod target;
mod temporary;
mod watch;

pub use audit::{Audit, Withdrawn};
pub use directory::{Directory, Foreign, Status};
pub use error::{Class, Error};
pub use foreign::Harmful;
pub use header::{Expiry, Header, Kind};
pub use lock::{Guard, LOCK_FILE};
pub use look::Content;
pub use overview::{Holder, Own, Published};
pub use publish::check;
pub use running::{Process, Running};
pub use seen::{Claims, Others};
pub use state::State;
pub use survey::{Entry, Survey};
pub use sweep::{Fate, Mending, Sweep, Swept};
pub use taken::Taken;
pub use target::Previous;

/// The largest file that is published or read back, in bytes.
pub const MAX_FILE: usize = 16 * 1024 * 1024;

/// The file with the facts of a run as a whole. The stem `promdrop` is reserved for it.
pub const RUN_FILE: &str = "promdrop.prom";

/// The file that tells of the job `name`.
pub fn exec_file(name: &str) -> String {
    format!("exec.{name}.prom")
}

/// The file that the collector `stem` publishes.
pub fn collector_file(stem: &str) -> String {
    format!("{stem}.prom")
}
