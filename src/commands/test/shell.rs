//! Why a command works by hand and fails from the timer: what it gets otherwise than the shell that `promdrop test` was
//! started from.

use std::io::IsTerminal;

use nix::unistd::{Uid, User};

use crate::collect::trace::Start;

/// Variables whose values are worth seeing side by side; of others the names are, since a value may be a secret.
const SHOWN: [&str; 6] = ["LANG", "LC_ALL", "TZ", "HOME", "USER", "SHELL"];

/// What the shell has.
#[derive(Debug, Clone)]
pub struct Shell {
    user: String,
    directory: String,
    umask: Option<u32>,
    terminal: bool,
    environment: Vec<(String, String)>,
}

impl Shell {
    /// That of this process.
    pub fn of_this_process() -> Self {
        let uid = Uid::effective();
        let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            user,
            directory: std::env::current_dir()
                .map_or_else(|_| "?".to_owned(), |dir| lossy(dir.into_os_string())),
            umask: umask(),
            terminal: std::io::stdin().is_terminal(),
            environment: std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect(),
        }
    }

    /// What a command started so gets otherwise, a line each.
    pub fn unlike(&self, start: &Start) -> Vec<String> {
        let mut lines = Vec::new();
        let user = start.user.split([' ', ',']).next().unwrap_or_default();
        if user != self.user {
            lines.push(format!("you are {}, it is {user}", self.user));
        }
        if self.directory != start.directory {
            lines.push(format!("you are in {}, it is in {}", self.directory, start.directory));
        }
        if let Some(umask) = self.umask.filter(|umask| *umask != start.umask) {
            lines.push(format!("your umask is {umask:03o}, its {:03o}", start.umask));
        }
        if self.terminal {
            lines.push("your stdin is a terminal, its is empty".to_owned());
        }
        let its = |name: &str| value(&start.environment, name);
        let yours = |name: &str| value(&self.environment, name);
        if let (Some(yours), Some(its)) = (yours("PATH"), its("PATH")) {
            let its: Vec<&str> = its.split(':').collect();
            let more: Vec<&str> =
                yours.split(':').filter(|dir| !dir.is_empty() && !its.contains(dir)).collect();
            if !more.is_empty() {
                lines.push(format!("only your PATH has {}", more.join(" ")));
            }
        }
        for name in SHOWN {
            let (yours, its) = (yours(name), its(name));
            if yours != its {
                lines.push(format!("your {name} is {}, its {}", told(yours), told(its)));
            }
        }
        let unknown = |(name, _): &&(String, String)| its(name).is_none() && !SHOWN.contains(&name.as_str());
        let mut names: Vec<&str> =
            self.environment.iter().filter(unknown).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if !names.is_empty() {
            lines.push(format!("only you have the variables {}", names.join(" ")));
        }
        lines
    }
}

fn value<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn told(value: Option<&str>) -> &str {
    match value {
        None => "not set",
        Some("") => "empty",
        Some(value) => value,
    }
}

/// This process' umask, which can't be asked for without setting it but here (proc_pid_status(5)).
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn start() -> Start {
        Start {
            program: "/bin/x".into(),
            argv: vec!["x".into()],
            user: "nobody (uid 65534, gid 65534, groups 65534)".into(),
            directory: "/".into(),
            umask: 0o022,
            limits: Vec::new(),
            environment: pairs(&[("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("HOME", "/"), ("A", "1")]),
        }
    }

    #[test]
    fn each_difference_is_a_line() {
        let shell = Shell {
            user: "root".into(),
            directory: "/root".into(),
            umask: Some(0o077),
            terminal: true,
            environment: pairs(&[
                ("PATH", "/root/bin:/usr/bin:/opt/bin"),
                ("HOME", "/root"),
                ("TOKEN", "SECRET"),
                ("A", "2"),
                ("EDITOR", "vi"),
            ]),
        };
        assert_eq!(
            shell.unlike(&start()),
            [
                "you are root, it is nobody",
                "you are in /root, it is in /",
                "your umask is 077, its 022",
                "your stdin is a terminal, its is empty",
                "only your PATH has /root/bin /opt/bin",
                "your LC_ALL is not set, its C",
                "your HOME is /root, its /",
                "only you have the variables EDITOR TOKEN",
            ]
        );
    }

    #[test]
    fn what_is_alike_is_no_line() {
        let shell = Shell {
            user: "nobody".into(),
            directory: "/".into(),
            umask: Some(0o022),
            terminal: false,
            environment: start().environment,
        };
        assert_eq!(shell.unlike(&start()), Vec::<String>::new());
    }
}
