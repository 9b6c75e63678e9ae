//! Debian's cron in namespaces of its own: the machine's tables, its mail and its cron are neither seen nor touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{need, wait_for};

/// No table, spool, process or run of systemd of the machine's is in there; a stand-in takes the mail.
const SCRIPT: &str = r##"
set -eu
mount -t tmpfs -o mode=755 tmpfs /run
[ "$SYSTEMD" = no ] || mkdir -p /run/systemd/system
: >/run/empty
mount --bind /run/empty /etc/crontab
mount -t tmpfs -o mode=755 tmpfs /etc/cron.d
install -m 644 "$TABLES/system" /etc/cron.d/promdrop
mount -t tmpfs -o mode=755 tmpfs /var/spool/cron
mkdir /var/spool/cron/crontabs
for user in $USERS; do
    install -m 600 -o "$user" -g crontab "$TABLES/$user" "/var/spool/cron/crontabs/$user"
done
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
touch /usr/local/bin/promdrop
mount --bind "$PROGRAM" /usr/local/bin/promdrop
mkdir /run/sbin
mount --bind /usr/sbin /run/sbin
mount -t tmpfs -o mode=755 tmpfs /usr/sbin
ln -s /run/sbin/* /usr/sbin
ln -sf "$SENDMAIL" /usr/sbin/sendmail
exec "$@"
"##;

/// What cron finds to do.
#[derive(Debug)]
pub struct Tables<'a> {
    /// A file of /etc/cron.d.
    pub system: &'a str,
    /// Crontabs of users, who must be known to the machine.
    pub users: &'a [(&'a str, &'a str)],
}

/// A running cron; it and all that it started end with this value.
#[derive(Debug)]
pub struct Cron {
    child: Child,
    place: TempDir,
}

impl Cron {
    /// Starts cron by `program`, on a host with or without a running systemd.
    pub fn start(tables: &Tables<'_>, systemd: bool, program: &[&str]) -> Self {
        need("unshare");
        need("/usr/sbin/cron");
        let place = TempDir::new().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("system"), tables.system).unwrap();
        for (user, table) in tables.users {
            fs::write(path(user), table).unwrap();
        }
        let users: Vec<&str> = tables.users.iter().map(|(user, _)| *user).collect();
        fs::create_dir(path("mail")).unwrap();
        let (sendmail, mail) = (path("sendmail"), path("mail"));
        // By whatever user cron sends it.
        for place in [place.path(), &mail] {
            fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::write(&sendmail, format!("#!/bin/sh\nexec cat >\"$(mktemp {}/XXXXXX)\"\n", mail.display()))
            .unwrap();
        fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SCRIPT, "sh"])
            .args(program)
            .env("TABLES", place.path())
            .env("USERS", users.join(" "))
            .env("SENDMAIL", sendmail)
            .env("PROGRAM", env!("CARGO_BIN_EXE_promdrop"))
            .env("SYSTEMD", if systemd { "yes" } else { "no" })
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, place }
    }

    /// What it has mailed.
    pub fn mails(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place.path().join("mail")).unwrap();
        entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }

    /// Waits until no line of it runs.
    pub fn await_idle(&self) {
        let children = |pid: &str| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let cron = children(&self.child.id().to_string());
        wait_for(Duration::from_secs(90), "no line of cron runs", || match children(cron.trim()).as_str() {
            "" => Ok(()),
            running => Err(running.to_owned()),
        });
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        // Its namespace, and all that is in it, goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
