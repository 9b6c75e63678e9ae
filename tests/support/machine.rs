//! A machine of a test's own: this one's files with what the test changes over them, its own processes,
//! cgroup, machine id and name, and, where it is booted, a systemd as PID 1. So units, timers, sandboxes, packages and
//! what rolls them out are real and leave no trace.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::netns::Namespace;
use super::server::ask;
use super::{need, wait_for};

/// A boot takes two seconds, on a busy machine some more.
const PATIENCE: Duration = Duration::from_secs(90);

/// Makes the root, which goes with the mount namespace that this runs in, and starts the machine in a cgroup of its own:
/// two of them in one would take each other's processes for their own. The timers of this machine are not the test's,
/// nor is what keeps packages from starting services where this one is an image's.
const SCRIPT: &str = r##"
set -eu
place=/run/promdrop-machine
mkdir -p "$place"
mount -t tmpfs -o mode=755 tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" overlay "$place/root"
tr -d - </proc/sys/kernel/random/uuid >"$place/root/etc/machine-id"
echo "$NAME" >"$place/root/etc/hostname"
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all e2scrub_reap fstrim man-db; do
    ln -sf /dev/null "$place/root/etc/systemd/system/$timer.timer"
done
rm -f "$place/root/usr/sbin/policy-rc.d"
cgroup=/sys/fs/cgroup
[ ! -d "$cgroup/systemd" ] || cgroup=$cgroup/systemd
mkdir -p "$cgroup/$NAME"
echo $$ >"$cgroup/$NAME/cgroup.procs"
exec systemd-nspawn --quiet --directory="$place/root" --machine="$NAME" --register=no --keep-unit --link-journal=no \
    --console=pipe --resolv-conf=off --timezone=off "$@"
"##;

/// A machine that runs; it, and all that runs in it, ends with this value.
#[derive(Debug)]
pub struct Machine {
    nspawn: Child,
    leader: u32,
    name: String,
    log: TempDir,
}

/// The option of systemd-nspawn that puts the promdrop which cargo built where its package would.
pub fn with_promdrop() -> String {
    format!("--bind-ro={}:/usr/bin/promdrop", env!("CARGO_BIN_EXE_promdrop"))
}

impl Machine {
    /// Boots one with systemd. `options` are systemd-nspawn's; without any its network is this machine's.
    #[track_caller]
    pub fn boot(options: &[&str]) -> Self {
        let words = ["--boot", "systemd.unit=multi-user.target", "systemd.show_status=no"];
        let machine = Self::start(&[options, &words].concat(), "systemd");
        wait_for(PATIENCE, "the machine has booted", || {
            let state = machine.command("systemctl").arg("is-system-running").output().unwrap();
            let text = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            // It may run in a degraded state, for some unit of this machine's that has no place in there.
            if ["running", "degraded"].contains(&&*text) { Ok(()) } else { Err(text) }
        });
        machine
    }

    /// One without systemd, where nothing runs but what is started.
    #[track_caller]
    pub fn without_systemd(options: &[&str]) -> Self {
        // systemd-nspawn's own first process, by whose death all others die at once.
        Self::start(&[options, &["--as-pid2", "sleep", "infinity"]].concat(), "(sd-stubinit)")
    }

    fn start(arguments: &[&str], leads: &str) -> Self {
        need("systemd-nspawn");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("promdrop-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let log = TempDir::new().unwrap();
        let nspawn = Command::new("unshare")
            .args(["--mount", "--propagation=private", "sh", "-c", SCRIPT, "sh"])
            .args(arguments)
            .env("NAME", &name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        // Owned from here on, so that a machine that doesn't come up is ended too.
        let mut machine = Self { nspawn, leader: 0, name, log };
        machine.leader = wait_for(PATIENCE, "the machine's first process runs", || {
            if let Some(status) = machine.nspawn.try_wait().unwrap() {
                panic!("{status}: {}", fs::read_to_string(machine.log.path().join("log")).unwrap());
            }
            machine.find(leads).ok_or(())
        });
        machine
    }

    /// The first process inside: with systemd, itself, else the one that `leads` names.
    fn find(&self, leads: &str) -> Option<u32> {
        let mut parents = vec![self.nspawn.id()];
        while let Some(parent) = parents.pop() {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
            for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                let comm = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
                if comm.trim() == leads {
                    return Some(child);
                }
                parents.push(child);
            }
        }
        None
    }

    /// `program` inside, to be given its arguments and started.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.leader.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid"])
            .args(["--cgroup", "--root", "--wd", program])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// The number of its first process.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// Its network.
    pub fn network(&self) -> Namespace {
        Namespace::of(self.leader)
    }

    /// What its node_exporter serves, which must answer soon.
    #[track_caller]
    pub fn scrape(&self) -> String {
        let address = ([127, 0, 0, 1], 9100).into();
        wait_for(PATIENCE, "node_exporter answers", || self.network().run(|| ask(address, "/metrics")))
            .unwrap_or_else(|answer| panic!("{answer}"))
    }

    /// What a line of sh does inside.
    pub fn attempt(&self, line: &str) -> Output {
        self.command("sh").args(["-euc", line]).output().unwrap()
    }

    /// What a line of sh prints inside, where it must succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.attempt(line);
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{line}: {status}\n{stdout}{stderr}");
        stdout.into_owned()
    }

    /// Where this machine finds the path `inside` of that one. A link on the way leads astray.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.leader))
    }

    /// Copies a file of this machine's in there.
    #[track_caller]
    pub fn copy(&self, from: &Path, inside: &str) -> &Self {
        fs::copy(from, self.path(inside)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self
    }

    /// Installs a package, as an administrator does; what dpkg says.
    #[track_caller]
    pub fn install(&self, package: &Path) -> String {
        self.copy(package, "/run/package.deb")
            .sh("DEBIAN_FRONTEND=noninteractive dpkg --install /run/package.deb 2>&1")
    }

    /// Writes a file inside, and its directories.
    #[track_caller]
    pub fn write(&self, inside: &str, text: &str) -> &Self {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap_or_else(|error| panic!("{inside}: {error}"));
        self
    }

    /// The text of a file inside.
    #[track_caller]
    pub fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"))
    }

    /// Whether there is such a path inside.
    pub fn has(&self, inside: &str) -> bool {
        self.path(inside).symlink_metadata().is_ok()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // All of its processes go with the first.
        let _ = match self.leader {
            0 => self.nspawn.kill(),
            leader => kill(Pid::from_raw(leader as i32), Signal::SIGKILL).map_err(Into::into),
        };
        let _ = self.nspawn.wait();
        for hierarchy in ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup"] {
            remove_cgroup(&Path::new(hierarchy).join(&self.name));
        }
    }
}

/// Removes a cgroup and those below it.
fn remove_cgroup(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
