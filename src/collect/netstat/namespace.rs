//! Another network namespace: how it is named, and entering it.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::collect::{Failure, Outcome};
use crate::config::yaml::{Field, Node, Problems, Wrong, quote, read_text};
use crate::diagnostic::printable;

/// Where ip-netns(8) and its like keep the names.
const NAMES: &str = "/run/netns";

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    /// As it is written: the label `netns`, the word of ip-netns(8). `namespace` is one that Prometheus Operator puts on
    /// what it scrapes.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn path(&self) -> String {
        if self.0.starts_with('/') { self.0.clone() } else { format!("{NAMES}/{}", self.0) }
    }

    /// Moves the calling thread there, for good. May hang where the path leads into a dead file system.
    ///
    /// # Errors
    /// Why it can't be entered, and what to do.
    pub fn enter(&self) -> Result<(), Failure> {
        let path = self.path();
        let failure = |what: String| Failure::new(Outcome::Internal, what);
        // Nothing waits for the other end of a FIFO.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags.bits()).open(&path).map_err(|error| {
            let path = printable(&path);
            failure(match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT) if !self.0.starts_with('/') => {
                    format!("there is no network namespace {path}; `ip netns` lists them")
                }
                // To look at another process' namespaces is to trace it (`proc_ns_get_link`, fs/proc/namespaces.c).
                Some(Errno::ACCESS | Errno::PERM) if self.0.starts_with("/proc/") => format!(
                    "may not open the network namespace {path}: that of another process takes CAP_SYS_PTRACE; \
                     a name in {NAMES} doesn't, and `ip netns attach` gives one"
                ),
                _ => format!("can't open the network namespace {path}: {error}"),
            })
        })?;
        // With the type, which is what RestrictNamespaces= looks at.
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|errno| {
            let path = printable(&path);
            failure(match errno {
                Errno::INVAL | Errno::BADF => format!("{path} is not a network namespace"),
                Errno::PERM | Errno::ACCESS => format!(
                    "may not enter the network namespace {path}: that takes CAP_SYS_ADMIN, and of a unit \
                     RestrictNamespaces=net"
                ),
                errno => format!("can't enter the network namespace {path}: {errno}"),
            })
        })
    }
}

impl Field for Namespace {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| {
            let is_path = text.starts_with('/') && text.len() < 4096;
            let is_name = !text.contains('/') && !["", ".", ".."].contains(&text) && text.len() < 256;
            if (is_path || is_name) && !text.contains(char::is_control) {
                return Ok(Self(text.to_owned()));
            }
            Err(Wrong::new(
                format!("{} is not a network namespace", quote(text)),
                format!("write its name in {NAMES}, or the absolute path of its file"),
            ))
        })
    }
}
