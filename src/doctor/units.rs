//! What systemd says of units, and what a unit's sandbox makes of a path. Asked once; pure from there.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::Host;
use super::access::{Identity, WRITE};
use super::check::Check;
use crate::collect::command::ask::ask;
use crate::textfile::Status;

/// The service that runs promdrop, and its timer.
pub const SERVICE: &str = "promdrop.service";
/// See [`SERVICE`].
pub const TIMER: &str = "promdrop.timer";

const SANDBOX: &str = "service";

/// How long systemd may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,UnitFileState,Result,NeedDaemonReload,\
    NextElapseUSecRealtime,User,Group,CapabilityBoundingSet,Environment,ExecStart,ProtectSystem,ProtectHome,PrivateTmp,\
    ReadWritePaths,ReadOnlyPaths,InaccessiblePaths,TemporaryFileSystem,RootDirectory,BindPaths";

/// A unit, as `systemctl show` tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit(HashMap<String, String>);

/// Whether systemd runs this host.
pub fn is_running() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The units of these names, in their order; `None` where systemd can't be asked.
pub fn show(names: &[&str]) -> Option<Vec<Unit>> {
    let arguments: Vec<&str> =
        ["show", "--no-pager", PROPERTIES, "--"].iter().chain(names).copied().collect();
    let units = read(&ask("systemctl", &arguments, PATIENCE)?);
    (units.len() == names.len()).then_some(units)
}

fn read(text: &str) -> Vec<Unit> {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let line = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    blocks.map(|block| Unit(block.lines().filter_map(line).collect())).collect()
}

/// What a sandbox makes of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// As it is.
    Open,
    /// It can't be written; what says so.
    ReadOnly(String),
    /// Something else is there, or nothing; what says so.
    Hidden(String),
}

impl Unit {
    /// A property.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// Whether there is such a unit.
    pub fn is_loaded(&self) -> bool {
        self.get("LoadState") == "loaded"
    }

    fn paths(&self, key: &str) -> impl Iterator<Item = &Path> {
        let words = self.get(key).split_whitespace();
        words.map(|word| {
            let word = word.trim_start_matches(['-', '+']);
            Path::new(word.split(':').next().unwrap_or(word))
        })
    }

    /// What its sandbox makes of `path`.
    pub fn view(&self, path: &Path) -> View {
        let is_below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        if self.paths("BindPaths").any(|place| path.starts_with(place)) {
            return View::Open;
        }
        for key in ["InaccessiblePaths", "TemporaryFileSystem"] {
            if let Some(place) = self.paths(key).find(|place| path.starts_with(place)) {
                return View::Hidden(format!("{key}={}", place.display()));
            }
        }
        if !matches!(self.get("RootDirectory"), "" | "/") {
            return View::Hidden(format!("RootDirectory={}", self.get("RootDirectory")));
        }
        let home = self.get("ProtectHome");
        if matches!(home, "yes" | "tmpfs") && is_below(&["/home", "/root", "/run/user"]) {
            return View::Hidden(format!("ProtectHome={home}"));
        }
        if !matches!(self.get("PrivateTmp"), "" | "no") && is_below(&["/tmp", "/var/tmp"]) {
            return View::Hidden(format!("PrivateTmp={}", self.get("PrivateTmp")));
        }
        self.read_only(path).map_or(View::Open, View::ReadOnly)
    }

    /// What keeps it from writing to `path`: of what is said of several places on the way, the last counts.
    fn read_only(&self, path: &Path) -> Option<String> {
        let system = self.get("ProtectSystem");
        let protected: &[&str] = match system {
            "strict" => &["/"],
            "full" => &["/usr", "/boot", "/efi", "/etc"],
            "yes" => &["/usr", "/boot", "/efi"],
            _ => &[],
        };
        let homes: &[&str] = match self.get("ProtectHome") {
            "read-only" => &["/home", "/root", "/run/user"],
            _ => &[],
        };
        let depth = |place: &Path| path.starts_with(place).then(|| place.components().count());
        let by = |places: &[&str], what: String| {
            let depth = places.iter().filter_map(|place| depth(Path::new(place))).max();
            depth.map(|depth| (depth, what))
        };
        let told = self.paths("ReadOnlyPaths").filter_map(depth).max();
        let closed = [
            by(protected, format!("ProtectSystem={system}")),
            by(homes, "ProtectHome=read-only".to_owned()),
            told.map(|depth| (depth, "ReadOnlyPaths=".to_owned())),
        ];
        let (closed, what) = closed.into_iter().flatten().max_by_key(|(depth, _)| *depth)?;
        let open = self.paths("ReadWritePaths").filter_map(depth).max();
        open.is_none_or(|open| open < closed).then_some(what)
    }

    /// Whether it is able to do `capability`, by the name of it.
    pub fn is_capable(&self, capability: &str) -> bool {
        self.get("CapabilityBoundingSet").split_whitespace().any(|word| word == capability)
    }

    /// Another textfile directory than promdrop's own, where it sets one.
    fn textfile_dir(&self) -> Option<String> {
        let words: Vec<&str> = self.get("ExecStart").split_whitespace().collect();
        let option =
            words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--textfile-dir") {
                Some("") => words.get(at + 1).copied(),
                Some(value) => value.strip_prefix('='),
                None => None,
            });
        let mut environment = self.get("Environment").split_whitespace();
        let variable =
            environment.find_map(|word| word.trim_matches('"').strip_prefix("PROMDROP_TEXTFILE_DIR="));
        option.or(variable).map(|path| path.trim_matches(['"', '\'']).to_owned())
    }
}

/// How a drop-in of `unit` is written that says `lines`.
pub fn drop_in(unit: &str, lines: &str) -> String {
    format!("systemctl edit {unit}, and there: [Service] {lines}; then systemctl restart {unit}")
}

/// Whether the service can write to the directory at `path`.
pub fn check(service: &Unit, host: &Host<'_>, directory: Option<&Status>) -> Option<Check> {
    let path = host.textfile_dir;
    if !service.is_loaded() {
        return None;
    }
    if service.get("NeedDaemonReload") == "yes" {
        let message = "promdrop.service was changed, and systemd doesn't know it yet";
        return Some(Check::warning(SANDBOX, message, "systemctl daemon-reload"));
    }
    let shown = path.display();
    if let Some(check) = host.elsewhere(SANDBOX, SERVICE, service.textfile_dir()) {
        return Some(check);
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Some(match service.view(&real) {
        View::Hidden(what) => {
            let message = format!("promdrop.service doesn't see {shown}: {what}");
            let (option, _) = what.split_once('=').unwrap_or((&what, ""));
            Check::failure(SANDBOX, message, edit(&format!("{option}={}", opened(option))))
        }
        View::ReadOnly(what) => {
            let message = format!("promdrop.service may not write to {shown}: {what}");
            Check::failure(SANDBOX, message, edit(&format!("ReadWritePaths={}", real.display())))
        }
        View::Open => by_mode(service, path, directory?),
    })
}

/// What lets the service see what that option of a unit hides from it.
pub fn opened(option: &str) -> &'static str {
    if matches!(option, "ProtectHome" | "PrivateTmp") { "no" } else { "" }
}

fn edit(lines: &str) -> String {
    format!("systemctl edit {SERVICE}, and there: [Service] {lines}")
}

/// Whether it can, by the directory's mode.
fn by_mode(service: &Unit, path: &Path, status: &Status) -> Check {
    let shown = path.display();
    let named = |key: &str| Some(service.get(key)).filter(|name| !name.is_empty());
    let user = named("User").and_then(|name| nix::unistd::User::from_name(name).ok().flatten());
    let (uid, gid) = user.map_or((0, 0), |user| (user.uid.as_raw(), user.gid.as_raw()));
    let group = named("Group").and_then(|name| nix::unistd::Group::from_name(name).ok().flatten());
    let groups = vec![group.map_or(gid, |group| group.gid.as_raw())];
    let overrides = uid == 0 && service.is_capable("cap_dac_override");
    let identity = Identity { uid, groups, capabilities: if overrides { 1 << 1 } else { 0 } };
    if identity.may((status.mode, status.uid, status.gid), WRITE) {
        return Check::ok(SANDBOX, format!("promdrop.service may write to {shown}"));
    }
    let message = format!(
        "promdrop.service runs as {}, who may not write to {shown}: that is {}:{} {:04o}",
        super::access::user_name(uid),
        super::access::user_name(status.uid),
        super::access::group_name(status.gid),
        status.mode & 0o7777
    );
    let cure = if uid == 0 {
        edit("CapabilityBoundingSet=CAP_DAC_OVERRIDE")
    } else {
        format!("give the directory to that user's group: chgrp GROUP {shown}; chmod g+w {shown}")
    };
    Check::failure(SANDBOX, message, cure)
}

#[cfg(test)]
mod tests {
    use super::testing::unit;
    use super::*;

    #[test]
    fn units_are_told_one_after_the_other() {
        let units =
            read("Id=a.service\nLoadState=loaded\nEnvironment=A=b\n\nId=b.timer\nLoadState=not-found\n");
        assert_eq!(units.len(), 2);
        assert!(units[0].is_loaded() && !units[1].is_loaded());
        assert_eq!(
            (units[0].get("Environment"), units[1].get("Id"), units[1].get("x")),
            ("A=b", "b.timer", "")
        );
        assert_eq!(read(""), []);
        assert_eq!(read("no such thing\n\n\n"), [Unit::default()]);
    }

    #[test]
    fn the_last_place_on_the_way_decides() {
        let strict = "ProtectSystem=strict\nReadWritePaths=-/var/lib/a /srv\nReadOnlyPaths=/srv/b\nProtectHome=read-only\n";
        let read_only = |what: &str| View::ReadOnly(what.to_owned());
        let hidden = |what: &str| View::Hidden(what.to_owned());
        for (lines, path, view) in [
            (strict, "/var/lib/a", View::Open),
            (strict, "/var/lib/a/b", View::Open),
            (strict, "/var/lib/ab", read_only("ProtectSystem=strict")),
            (strict, "/srv/a", View::Open),
            (strict, "/srv/b/c", read_only("ReadOnlyPaths=")),
            (strict, "/home/x", read_only("ProtectHome=read-only")),
            ("ProtectSystem=full\n", "/var/x", View::Open),
            ("ProtectSystem=full\n", "/etc/x", read_only("ProtectSystem=full")),
            ("ProtectHome=yes\n", "/root/x", hidden("ProtectHome=yes")),
            ("ProtectHome=yes\n", "/rootless", View::Open),
            ("PrivateTmp=yes\n", "/var/tmp/x", hidden("PrivateTmp=yes")),
            ("PrivateTmp=yes\nBindPaths=/tmp/x:/tmp/x:rbind\n", "/tmp/x", View::Open),
            ("InaccessiblePaths=-/srv\n", "/srv/x", hidden("InaccessiblePaths=/srv")),
            ("TemporaryFileSystem=/srv:ro\n", "/srv/x", hidden("TemporaryFileSystem=/srv")),
            ("RootDirectory=/jail\n", "/srv/x", hidden("RootDirectory=/jail")),
            ("", "/srv/x", View::Open),
        ] {
            assert_eq!(unit(lines).view(Path::new(path)), view, "{lines}{path}");
        }
    }

    #[test]
    fn another_directory_is_found_wherever_it_is_set() {
        for (lines, other) in [
            ("Environment=PROMDROP_TEXTFILE_DIR=/a X=y\n", Some("/a")),
            ("Environment=X=y \"PROMDROP_TEXTFILE_DIR=/a\"\n", Some("/a")),
            (
                "ExecStart={ path=/usr/bin/promdrop ; argv[]=/usr/bin/promdrop --textfile-dir /b run ; }\n",
                Some("/b"),
            ),
            (
                "ExecStart={ argv[]=promdrop --textfile-dir=/b run ; }\nEnvironment=PROMDROP_TEXTFILE_DIR=/a\n",
                Some("/b"),
            ),
            ("ExecStart={ argv[]=promdrop run ; }\nEnvironment=\n", None),
        ] {
            assert_eq!(unit(lines).textfile_dir().as_deref(), other, "{lines}");
        }
    }
}

#[cfg(test)]
pub mod testing {
    use super::{Unit, read};

    /// The last unit of what systemctl shows.
    pub fn unit(lines: &str) -> Unit {
        read(lines).pop().unwrap_or_default()
    }
}
