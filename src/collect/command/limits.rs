//! `rlimits`: what each process of a command may use at most, held by the kernel (setrlimit(2)).

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

use crate::config::Header;
use crate::config::fields::Size;
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, read_integer};

/// Fewer, and not even the program's libraries could be opened.
const FEWEST_FILES: i128 = 16;

/// Less is a number whose unit was forgotten.
const LEAST_MEMORY: u64 = 1 << 20;

/// What a process whose CPU time is up still gets, to do something about its SIGXCPU.
pub const CPU_GRACE: u64 = 1;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resources {
    /// CPU time, in seconds.
    Cpu,
    /// Address space, in bytes.
    Memory,
    /// Open files.
    OpenFiles,
    /// Processes of its user.
    Processes,
    /// Bytes in a file that it writes.
    FileSize,
}

impl Resources {
    /// Its key.
    pub fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::OpenFiles => "open_files",
            Self::Processes => "processes",
            Self::FileSize => "file_size",
        }
    }

    fn resource(self) -> Resource {
        match self {
            Self::Cpu => Resource::RLIMIT_CPU,
            Self::Memory => Resource::RLIMIT_AS,
            Self::OpenFiles => Resource::RLIMIT_NOFILE,
            Self::Processes => Resource::RLIMIT_NPROC,
            Self::FileSize => Resource::RLIMIT_FSIZE,
        }
    }
}

/// The limits that a definition sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits(pub Vec<(Resources, u64)>);

impl Limits {
    /// The limit on `what`, if there is one.
    pub fn of(&self, what: Resources) -> Option<u64> {
        self.0.iter().find(|(limited, _)| *limited == what).map(|(_, limit)| *limit)
    }

    /// Sets them on this process and all that it will start, and that none dumps core.
    ///
    /// # Errors
    /// The one that could not be set: a process without privilege can't have more than it was started with.
    pub fn set(&self) -> Result<(), (Resources, Errno)> {
        dump_no_core();
        for (what, limit) in &self.0 {
            let hard = if *what == Resources::Cpu { limit.saturating_add(CPU_GRACE) } else { *limit };
            setrlimit(what.resource(), *limit, hard).map_err(|errno| (*what, errno))?;
        }
        Ok(())
    }
}

/// Keeps this process, and all that it will start, from dumping core, which would hold its secrets. The limit of one byte
/// is too little for a file, and the one by which the kernel gives a pipe's program (core_pattern, core(5)) nothing either:
/// 0 would not.
pub fn dump_no_core() {
    // Nobody asked for this one, and a sandbox may forbid it.
    let _ = setrlimit(Resource::RLIMIT_CORE, 1, 1);
}

/// Reads the map `rlimits:`.
pub fn read(node: &Node, problems: &Problems, header: &Header) -> Option<Limits> {
    let mut section = Section::open("rlimits", node, problems)?;
    let mut all = Vec::new();
    let cpu = section.node("cpu").and_then(|node| read_seconds(node, problems));
    all.extend(cpu.map(|limit| (Resources::Cpu, limit)));
    let memory = section.optional::<Size>("memory").map(|size| size.0);
    if memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        let message = "no program starts in less than 1 MiB of memory";
        section.report("memory", Wrong::new(message, "write a size with its unit, such as 256MiB"));
    }
    all.extend(memory.map(|limit| (Resources::Memory, limit)));
    let files = section.node("open_files").and_then(|node| read_count(node, problems, FEWEST_FILES, 1 << 20));
    all.extend(files.map(|limit| (Resources::OpenFiles, limit)));
    let processes = section.node("processes").and_then(|node| read_count(node, problems, 1, 1 << 22));
    if processes.is_some() && runs_as_root(header.user.as_deref()) {
        let message = "the kernel doesn't hold root to `processes`, and this command would run as root";
        section.report("processes", Wrong::new(message, "add `user: ` and a user that is not root"));
    }
    all.extend(processes.map(|limit| (Resources::Processes, limit)));
    let size = section.optional::<Size>("file_size").map(|size| size.0);
    all.extend(size.map(|limit| (Resources::FileSize, limit)));
    section.finish();
    Some(Limits(all))
}

/// Whether a command of `user` would run as root. One that isn't there (yet) is not.
fn runs_as_root(user: Option<&str>) -> bool {
    Uid::effective().is_root()
        && user.is_none_or(|name| {
            name == "root" || User::from_name(name).ok().flatten().is_some_and(|user| user.uid.is_root())
        })
}

fn read_count(node: &Node, problems: &Problems, low: i128, high: i128) -> Option<u64> {
    read_integer(node, problems, low, high).and_then(|count| u64::try_from(count).ok())
}

/// The kernel counts whole seconds.
fn read_seconds(node: &Node, problems: &Problems) -> Option<u64> {
    let time = Duration::read(node, problems)?;
    if time.as_secs() == 0 || time.subsec_nanos() != 0 {
        let message = "the kernel limits CPU time in whole seconds";
        problems.report(node, Wrong::new(message, "write a whole number of seconds, 1s or more"));
        return None;
    }
    Some(time.as_secs())
}
