//! From the directory to node_exporter: does it run, does it read the same directory, may it?

use std::path::Path;

use super::access::{self, Identity, PASS, READ, closed_above, group_name, user_name};
use super::check::{AS_ROOT, Check};
use super::drop_in::drop_in;
use super::exporters::{Exporter, Reads};
use super::plural;
use super::units::{self, Unit, View};
use crate::textfile::{Own, Status};

const EXPORTER: &str = "node_exporter";
const SAME: &str = "textfile-directory";
const READABLE: &str = "readable";

/// Who node_exporter runs as where it doesn't run: what packages, roles and modules make.
const USERS: [&str; 4] = ["prometheus", "node-exp", "node_exporter", "node-exporter"];

/// What else there is to know of the way.
pub struct Way<'a> {
    /// The textfile directory.
    pub path: &'a Path,
    /// What that is.
    pub status: Option<Status>,
    /// node_exporters, the one that counts first.
    pub exporters: &'a [Exporter],
    /// The unit of that.
    pub unit: Option<&'a Unit>,
    /// promdrop's files.
    pub files: &'a [Own],
    /// Whether a node_exporter answers.
    pub answers: bool,
    /// Whether a scrape has shown them all.
    pub is_served: bool,
}

impl Way<'_> {
    /// Whether one runs.
    pub fn exporter(&self) -> Check {
        let Some(first) = self.exporters.first() else {
            // In another container, maybe.
            if self.answers {
                return Check::ok(EXPORTER, "answers, though no process of it is seen here");
            }
            let cure = "start it: systemctl start prometheus-node-exporter; Debian's package is prometheus-node-exporter";
            return Check::failure(EXPORTER, "no node_exporter runs on this host", cure);
        };
        let who =
            first.identity.as_ref().map_or_else(String::new, |who| format!(" as {}", user_name(who.uid)));
        let unit = first.unit.as_ref().map_or_else(String::new, |unit| format!(", {unit}"));
        let more = match self.exporters.len() {
            1 => String::new(),
            all => format!("; {} more", all - 1),
        };
        Check::ok(EXPORTER, format!("runs{who}, process {}{unit}{more}", first.pid))
    }

    /// Whether it reads the same directory.
    pub fn same(&self) -> Check {
        let ours = self.path.display();
        let Some(first) = self.exporters.first() else {
            return match self.is_served {
                true => Check::ok(SAME, format!("node_exporter serves {ours}")),
                false => Check::skipped(SAME, "no process of a node_exporter is seen", ""),
            };
        };
        if self.status.is_none() {
            return Check::skipped(SAME, "the directory can't be looked at", "");
        }
        let told = first.flags.directories.join(", ");
        match &first.reads {
            Reads::Ours => Check::ok(SAME, format!("node_exporter reads {ours}")),
            _ if self.is_served => Check::ok(SAME, format!("node_exporter serves {ours}")),
            Reads::Off => {
                let message = "node_exporter's textfile collector is off";
                let cure = "remove --no-collector.textfile, or add --collector.textfile to its options, and restart it";
                Check::failure(SAME, message, cure)
            }
            Reads::Nothing => {
                let message = "node_exporter was told no directory to read";
                let cure =
                    format!("add --collector.textfile.directory={ours} to its options, and restart it");
                Check::failure(SAME, message, cure)
            }
            Reads::Others => self.elsewhere(first),
            Reads::Hidden => self.hidden(first),
            Reads::Unknown(errno) => {
                let why = format!(
                    "node_exporter was told {told}; what it sees there: {}",
                    errno.desc().to_lowercase()
                );
                Check::skipped(SAME, why, AS_ROOT)
            }
        }
    }

    /// It reads other directories.
    fn elsewhere(&self, exporter: &Exporter) -> Check {
        let (told, ours) = (exporter.flags.directories.join(", "), self.path.display());
        let message = format!("node_exporter reads {told}, and promdrop publishes to {ours}");
        let directory = exporter.flags.directories.first().map_or("", String::as_str);
        let cure = format!(
            "have promdrop publish there: PROMDROP_TEXTFILE_DIR={directory} in /etc/default/promdrop; or restart \
             node_exporter with --collector.textfile.directory={ours}"
        );
        Check::failure(SAME, message, cure)
    }

    /// What it finds at the very path is something else.
    fn hidden(&self, exporter: &Exporter) -> Check {
        let ours = self.path.display();
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.to_owned());
        let unit = exporter.unit.as_deref().unwrap_or("its unit");
        let view = self.unit.filter(|unit| unit.is_loaded()).map(|unit| unit.view(&real));
        let option = match view {
            Some(View::Hidden(what)) => Some(what),
            // By where it is: a unit that was changed since it was started says something else.
            _ if exporter.unit.is_none() => None,
            _ if ["/home", "/root", "/run/user"].iter().any(|home| real.starts_with(home)) => {
                Some("ProtectHome=".to_owned())
            }
            _ if ["/tmp", "/var/tmp"].iter().any(|tmp| real.starts_with(tmp)) => {
                Some("PrivateTmp=".to_owned())
            }
            _ => None,
        };
        match option {
            Some(what) => {
                let key = what.split('=').next().unwrap_or_default();
                let message = format!("node_exporter doesn't see {ours}: {what} of {unit} hides it");
                let drop_in = drop_in(unit, &[format!("{key}={}", units::opened(key))]);
                Check::failure(SAME, message, format!("{drop_in} && systemctl restart {unit}"))
            }
            None => {
                let message =
                    format!("what node_exporter sees at {ours} is another directory: its mounts are its own");
                let cure = format!(
                    "give it this one: where it runs in a container, mount {ours} into that; else restart it, since it may \
                     have been started before {ours} was mounted"
                );
                Check::failure(SAME, message, cure)
            }
        }
    }

    /// Whether its user can read the directory and promdrop's files.
    pub fn readable(&self) -> Check {
        let Some(status) = &self.status else {
            return Check::skipped(READABLE, "the directory can't be looked at", "");
        };
        let reader = self.reader();
        if self.is_served {
            let seen = reader.filter(|_| !self.exporters.is_empty());
            let who = seen.map_or_else(|| "node_exporter".to_owned(), |(who, _)| who);
            return Check::ok(READABLE, format!("{who} reads {}", plural(self.files.len(), "file")));
        }
        let Some((who, identity)) = reader else {
            return Check::skipped(READABLE, "it is not known who node_exporter runs as", "");
        };
        if let Some((path, class)) = closed_above(self.path, &identity) {
            let cure = format!("chmod {class}+x {path}");
            return Check::failure(READABLE, format!("{who} can't pass {path}"), cure);
        }
        let shown = self.path.display();
        if !identity.may((status.mode, status.uid, status.gid), READ | PASS) {
            let (owner, group) = (user_name(status.uid), group_name(status.gid));
            let mode = status.mode & 0o7777;
            let message = format!("{who} can't read {shown}: that is {owner}:{group} {mode:04o}");
            let class = identity.class((status.uid, status.gid));
            return Check::failure(READABLE, message, format!("chmod {class}+rx {shown}"));
        }
        let unread: Vec<&Own> = self.files.iter().filter(|own| !identity.may(own.access, READ)).collect();
        if let Some(first) = unread.first() {
            let (mode, ..) = first.access;
            let more =
                if unread.len() > 1 { format!(" and {} more", unread.len() - 1) } else { String::new() };
            let message = format!("{who} can't read {}{more}: mode {:04o}", first.file, mode & 0o7777);
            let cure = format!("chmod a+r {}", self.path.join(&first.file).display());
            return Check::failure(READABLE, message, cure);
        }
        Check::ok(READABLE, format!("{who} may read {shown} and {}", plural(self.files.len(), "file")))
    }

    /// Who reads, and as whom.
    fn reader(&self) -> Option<(String, Identity)> {
        if let Some(first) = self.exporters.first() {
            let identity = first.identity.clone()?;
            return Some((format!("node_exporter's user {}", user_name(identity.uid)), identity));
        }
        let (name, (uid, groups)) = USERS.iter().find_map(|name| Some((name, access::user(name)?)))?;
        Some((format!("the user {name}"), Identity { uid, groups, capabilities: 0 }))
    }
}
