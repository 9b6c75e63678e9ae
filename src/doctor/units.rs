//! What systemd says of units, and what a unit's sandbox makes of a path. Asked once; pure from there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Host;
use super::access::{
    self, DAC_OVERRIDE, DAC_READ_SEARCH, Identity, PASS, READ, WRITE, closed_above, group_name, user_name,
};
use super::check::Check;
use super::drop_in::drop_in;
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
    NextElapseUSecRealtime,User,Group,SupplementaryGroups,DynamicUser,CapabilityBoundingSet,AmbientCapabilities,\
    Environment,ExecStart,ProtectSystem,ProtectHome,PrivateTmp,ReadWritePaths,ReadOnlyPaths,InaccessiblePaths,TemporaryFileSystem,RootDirectory,BindPaths";

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

    /// Why systemd can't load it, where it should be there.
    pub fn misloaded(&self) -> Option<&str> {
        Some(self.get("LoadState")).filter(|state| !matches!(*state, "" | "loaded" | "masked" | "not-found"))
    }

    /// Whether whoever is in charge forbids it to be started.
    pub fn is_masked(&self) -> bool {
        self.get("LoadState") == "masked"
    }

    /// The places that an option names, as systemd follows their links.
    fn paths(&self, key: &str) -> impl Iterator<Item = PathBuf> {
        let words = self.get(key).split_whitespace();
        words.map(|word| {
            let word = word.trim_start_matches(['-', '+']);
            let path = Path::new(word.split(':').next().unwrap_or(word));
            path.canonicalize().unwrap_or_else(|_| path.to_owned())
        })
    }

    /// What is bound to where.
    fn bound(&self) -> impl Iterator<Item = &Path> {
        let words = self.get("BindPaths").split_whitespace();
        words.map(|word| {
            let mut ends = word.trim_start_matches('-').split(':');
            let source = ends.next().unwrap_or_default();
            Path::new(ends.next().filter(|end| !end.is_empty()).unwrap_or(source))
        })
    }

    /// What its sandbox makes of `path`.
    pub fn view(&self, path: &Path) -> View {
        let is_below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        if self.bound().any(|place| path.starts_with(place)) {
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

    /// What keeps it from writing to `path`: of what is said of several places on the way, the last counts, and of what is
    /// said of one, the stricter.
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
        let deepest = |key| self.paths(key).filter_map(|place| depth(&place)).max();
        let told = deepest("ReadOnlyPaths");
        let closed = [
            by(protected, format!("ProtectSystem={system}")),
            by(homes, "ProtectHome=read-only".to_owned()),
            told.map(|depth| (depth, "ReadOnlyPaths=".to_owned())),
        ];
        let (closed, what) = closed.into_iter().flatten().max_by_key(|(depth, _)| *depth)?;
        deepest("ReadWritePaths").is_none_or(|open| open <= closed).then_some(what)
    }

    /// Whether it is able to do `capability`, by the name of it: another user than root only what is given to that.
    pub fn is_capable(&self, capability: &str) -> bool {
        let holds = |key| self.get(key).split_whitespace().any(|word| word == capability);
        holds("CapabilityBoundingSet") && (self.is_of_root() || holds("AmbientCapabilities"))
    }

    /// Whether root runs it.
    pub fn is_of_root(&self) -> bool {
        matches!(self.get("User"), "" | "root" | "0") && self.get("DynamicUser") != "yes"
    }

    /// Who it runs as; `None` where that user is not known here.
    pub fn identity(&self) -> Option<Identity> {
        let capable = |name, bit| if self.is_capable(name) { bit } else { 0 };
        let capabilities =
            capable("cap_dac_override", DAC_OVERRIDE) | capable("cap_dac_read_search", DAC_READ_SEARCH);
        let (uid, mut groups) = match self.get("User") {
            _ if self.is_of_root() => (0, vec![0]),
            "" => return None,
            name => access::user(name)?,
        };
        // Beside the group that is named, those of its user stay.
        let named = [self.get("Group")].into_iter().chain(self.get("SupplementaryGroups").split_whitespace());
        groups.extend(named.filter_map(access::group));
        Some(Identity { uid, groups, capabilities })
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

/// Whether the service can write to the directory at `path`.
pub fn check(service: &Unit, host: &Host<'_>, status: &Status) -> Option<Check> {
    let path = host.textfile_dir;
    if let Some(state) = service.misloaded() {
        let message = format!("systemd can't load {SERVICE}: {state}");
        return Some(Check::failure(SANDBOX, message, format!("systemd-analyze verify {SERVICE}")));
    }
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
            let mut lines = vec![format!("{option}={}", opened(option))];
            if service.read_only(&real).is_some() {
                lines.push(format!("ReadWritePaths={}", real.display()));
            }
            Check::failure(SANDBOX, message, drop_in(SERVICE, &lines))
        }
        View::ReadOnly(what) => {
            let message = format!("promdrop.service may not write to {shown}: {what}");
            // What is said of the very place twice, the other way too, has to go.
            let line = match service.paths("ReadWritePaths").any(|place| place == real) {
                true => "ReadOnlyPaths=".to_owned(),
                false => format!("ReadWritePaths={}", real.display()),
            };
            Check::failure(SANDBOX, message, drop_in(SERVICE, &[line]))
        }
        View::Open => by_mode(service, path, status),
    })
}

/// What lets the service see what that option of a unit hides from it.
pub fn opened(option: &str) -> &'static str {
    if matches!(option, "ProtectHome" | "PrivateTmp") { "no" } else { "" }
}

/// Whether it can, by the directory's mode.
fn by_mode(service: &Unit, path: &Path, status: &Status) -> Check {
    let shown = path.display();
    let Some(identity) = service.identity() else {
        let why = format!("{SERVICE} runs as a user that is not known here: {}", service.get("User"));
        return Check::skipped(SANDBOX, why, "");
    };
    if let Some((above, class)) = closed_above(path, &identity) {
        let message = format!("{SERVICE} runs as {}, who may not pass {above}", user_name(identity.uid));
        let cure = match service.is_of_root() {
            true => drop_in(SERVICE, &["CapabilityBoundingSet=CAP_DAC_OVERRIDE".to_owned()]),
            false => format!("chmod {class}+x {above}"),
        };
        return Check::failure(SANDBOX, message, cure);
    }
    if identity.may((status.mode, status.uid, status.gid), READ | WRITE | PASS) {
        return Check::ok(SANDBOX, format!("promdrop.service may write to {shown}"));
    }
    let message = format!(
        "promdrop.service runs as {}, who may not write to {shown}: that is {}:{} {:04o}",
        user_name(identity.uid),
        user_name(status.uid),
        group_name(status.gid),
        status.mode & 0o7777
    );
    let cure = match identity.groups.first() {
        Some(group) if !service.is_of_root() => {
            format!("chgrp {} {shown} && chmod g+rwx {shown}", group_name(*group))
        }
        _ => drop_in(SERVICE, &["CapabilityBoundingSet=CAP_DAC_OVERRIDE".to_owned()]),
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
            // Both ways at one place: the stricter.
            ("ReadWritePaths=/srv/x\nReadOnlyPaths=/srv/x\n", "/srv/x", read_only("ReadOnlyPaths=")),
            ("ProtectSystem=full\nReadWritePaths=/etc\n", "/etc/x", read_only("ProtectSystem=full")),
            // As systemd follows links.
            ("ProtectSystem=strict\nReadWritePaths=/proc/self/fd/../root/srv\n", "/srv/x", View::Open),
            ("PrivateTmp=yes\nBindPaths=/srv/x:/tmp/x\n", "/tmp/x", View::Open),
            ("PrivateTmp=yes\nBindPaths=/tmp/x:/srv/x\n", "/tmp/x", hidden("PrivateTmp=yes")),
            ("", "/srv/x", View::Open),
        ] {
            assert_eq!(unit(lines).view(Path::new(path)), view, "{lines}{path}");
        }
    }

    #[test]
    fn who_a_service_is_decides_what_it_may() {
        let all = "CapabilityBoundingSet=cap_net_raw cap_dac_override\n";
        let service = |lines: &str| unit(&format!("{all}{lines}"));
        assert!(service("").is_capable("cap_net_raw") && service("User=root\n").is_capable("cap_net_raw"));
        assert!(!service("User=nobody\n").is_capable("cap_net_raw"));
        assert!(!service("DynamicUser=yes\n").is_capable("cap_net_raw"));
        assert!(service("User=nobody\nAmbientCapabilities=cap_net_raw\n").is_capable("cap_net_raw"));
        assert!(!service("AmbientCapabilities=cap_chown\n").is_capable("cap_chown"));
        let groups = |lines| service(lines).identity().map(|who| (who.uid, who.groups, who.capabilities));
        assert_eq!(groups("Group=7\n"), Some((0, vec![0, 7], DAC_OVERRIDE)));
        assert_eq!(groups("User=nobody\nSupplementaryGroups=8 9\n"), Some((65_534, vec![65_534, 8, 9], 0)));
        assert_eq!(groups("User=no-such-user\n"), None);
        assert_eq!(groups("DynamicUser=yes\n"), None);
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
