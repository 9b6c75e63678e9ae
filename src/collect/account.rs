//! Whom a collector runs as, and the environment that a command of that user gets.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use serde::{Deserialize, Serialize};

use super::{Failure, Outcome};

/// Where programs without a path are looked for, and what PATH says.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The ids of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// All groups, the primary one among them.
    pub groups: Vec<u32>,
}

/// A user as the system knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    home: String,
    shell: String,
    /// `None`: promdrop itself is this user.
    pub identity: Option<Identity>,
}

impl Account {
    /// The account of `user`, or promdrop's own, with `group` as its primary group where that is given.
    ///
    /// # Errors
    /// Where there is no such user or group, or promdrop may not become it.
    pub fn of(user: Option<&str>, group: Option<&str>) -> Result<Self, Failure> {
        let account = Self::of_user(user)?;
        let Some(group) = group else { return Ok(account) };
        account.with_group(group)
    }

    fn of_user(user: Option<&str>) -> Result<Self, Failure> {
        let own = Uid::effective();
        let Some(name) = user else {
            let found = User::from_uid(own).ok().flatten();
            // A container's user, say, which passwd doesn't list.
            return Ok(found.map_or_else(|| Self::unlisted(own), |user| Self::new(&user, None)));
        };
        let failure = |message: String| Err(Failure::new(Outcome::Spawn, message));
        let user = match User::from_name(name) {
            Ok(Some(user)) => user,
            Ok(None) => {
                return failure(format!("there is no user `{name}` here: create it or change `user`"));
            }
            Err(errno) => return failure(format!("can't look up user `{name}`: {}", errno.desc())),
        };
        if own.is_root() {
            let identity = identity(name, user.uid, user.gid)?;
            return Ok(Self::new(&user, Some(identity)));
        }
        if user.uid != own {
            let own = User::from_uid(own).ok().flatten().map_or_else(|| own.to_string(), |user| user.name);
            return failure(format!(
                "promdrop runs as {own} and can't become `{name}`: run it as root, or remove `user`"
            ));
        }
        Ok(Self::new(&user, None))
    }

    /// The same user with `group` as its primary group.
    fn with_group(self, group: &str) -> Result<Self, Failure> {
        let failure = |message: String| Err(Failure::new(Outcome::Spawn, message));
        let gid = match Group::from_name(group) {
            Ok(Some(group)) => group.gid,
            Ok(None) => {
                return failure(format!("there is no group `{group}` here: create it or change `group`"));
            }
            Err(errno) => return failure(format!("can't look up group `{group}`: {}", errno.desc())),
        };
        let own = Uid::effective();
        if own.is_root() {
            let uid = self.identity.as_ref().map_or(own, |identity| Uid::from_raw(identity.uid));
            let identity = identity(&self.name, uid, gid)?;
            return Ok(Self { identity: Some(identity), ..self });
        }
        if gid != Gid::effective() {
            return failure(format!(
                "promdrop runs as {} and can't take the group `{group}`: run it as root, or remove `group`",
                self.name
            ));
        }
        Ok(self)
    }

    fn new(user: &User, identity: Option<Identity>) -> Self {
        let or_root = |path: &std::path::Path| path.to_str().unwrap_or("/").to_owned();
        Self { name: user.name.clone(), home: or_root(&user.dir), shell: or_root(&user.shell), identity }
    }

    fn unlisted(uid: Uid) -> Self {
        Self { name: uid.to_string(), home: "/".into(), shell: "/bin/sh".into(), identity: None }
    }

    /// All that a command of this account finds in its environment: the same by hand, by cron and by systemd.
    /// `timezone` is promdrop's own TZ, `more` what the definition adds or changes.
    pub fn environment(&self, timezone: Option<String>, more: &[(String, String)]) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = [
            ("PATH", PATH),
            ("LC_ALL", "C"),
            ("LANG", "C"),
            ("HOME", &self.home),
            ("USER", &self.name),
            ("LOGNAME", &self.name),
            ("SHELL", &self.shell),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        all.extend(timezone.map(|zone| ("TZ".to_owned(), zone)));
        all.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        all.extend_from_slice(more);
        all
    }
}

/// The ids of user `name` in the primary group `gid`, with its other groups.
fn identity(name: &str, uid: Uid, gid: Gid) -> Result<Identity, Failure> {
    let groups = CString::new(name).ok().and_then(|name| getgrouplist(&name, gid).ok());
    let Some(groups) = groups else {
        return Err(Failure::new(Outcome::Spawn, format!("can't look up the groups of user `{name}`")));
    };
    let groups = groups.into_iter().map(Gid::as_raw).collect();
    Ok(Identity { uid: uid.as_raw(), gid: gid.as_raw(), groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_wins_and_nothing_stands_twice() {
        let account = Account::unlisted(Uid::from_raw(7));
        let more = [("PATH".to_owned(), "/opt/bin".to_owned()), ("TOKEN".to_owned(), "x".to_owned())];
        let all = account.environment(Some("UTC".into()), &more);
        let lines: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            lines,
            [
                "LC_ALL=C",
                "LANG=C",
                "HOME=/",
                "USER=7",
                "LOGNAME=7",
                "SHELL=/bin/sh",
                "TZ=UTC",
                "PATH=/opt/bin",
                "TOKEN=x"
            ]
        );
    }

    #[test]
    fn an_unknown_user_is_a_spawn_failure_that_names_it() {
        let failure = Account::of(Some("nobody-of-that-name"), None).unwrap_err();
        assert_eq!(failure.outcome, Outcome::Spawn);
        assert_eq!(
            failure.message,
            "there is no user `nobody-of-that-name` here: create it or change `user`"
        );
        let failure = Account::of(None, Some("no-group-of-that-name")).unwrap_err();
        assert_eq!(failure.outcome, Outcome::Spawn);
        assert_eq!(
            failure.message,
            "there is no group `no-group-of-that-name` here: create it or change `group`"
        );
    }
}
