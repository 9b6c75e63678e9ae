//! Directories that refuse, and one that goes while a collector runs: for real.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{Door, FILE, Found, NAME, Place, is_temporary, names, said};
use crate::support::host::Host;
use crate::support::mounts::{in_private, mount, mount_tmpfs, unmount};
use crate::support::netns::in_fresh;
use crate::support::{copy_promdrop, need, wait_for};

/// Runs `body` for each door on a tmpfs of these options, which nobody else sees.
fn on_tmpfs(options: &str, body: impl Fn(&Place) + Sync) {
    for door in [Door::Netstat, Door::Command, Door::Write] {
        in_fresh(|| {
            in_private(|| {
                let host = Host::new();
                mount_tmpfs(options, &host.textfile_dir());
                let place = Place::on(host, door, None);
                body(&place);
                unmount(&place.host.textfile_dir());
            });
        });
    }
}

impl Place {
    /// The publish fails for `cause`, says so with the cure, and changes nothing.
    #[track_caller]
    fn refused(&self, over: bool, cause: &str, cure: &str) {
        let (status, said) = self.publish();
        assert_eq!(status, Some(1), "{said}");
        let place = self.host.textfile_dir();
        for part in [place.to_str().unwrap(), cause, &format!("   = {cure}")] {
            assert!(said.contains(part), "no {part:?} in: {said}");
        }
        let stands = if over { Found::Old } else { Found::Nothing };
        let found = self.look(over).unwrap();
        assert!(found.iter().all(|found| *found == stands), "{found:?}");
        assert!(!names(&place).iter().any(|name| is_temporary(name)), "{:?}", names(&place));
    }

    #[track_caller]
    fn recovers(&self, over: bool) {
        let found = self.look(over).unwrap();
        self.recover(&found).unwrap();
    }
}

#[test]
fn a_full_disk_is_told_and_the_next_run_recovers() {
    on_tmpfs("size=256k", |place| {
        for over in [true, false] {
            place.reset(over);
            let foreign = place.host.textfile_dir().join("foreign");
            let mut file = fs::File::create(&foreign).unwrap();
            while file.write_all(&[0; 512]).is_ok() {}
            drop(file);
            place.refused(over, "no space left on device", "free space or inodes");
            fs::remove_file(&foreign).unwrap();
            place.recovers(over);
        }
    });
}

#[test]
fn no_inode_left_is_told_and_the_next_run_recovers() {
    on_tmpfs("size=1m,nr_inodes=20", |place| {
        for over in [true, false] {
            place.reset(over);
            let foreign = |number: usize| place.host.textfile_dir().join(format!("foreign{number}"));
            let count = (0..).take_while(|number| fs::File::create(foreign(*number)).is_ok()).count();
            place.refused(
                over,
                "no space left on device",
                "free space or inodes on its filesystem: see df and df -i",
            );
            (0..count).for_each(|number| fs::remove_file(foreign(number)).unwrap());
            place.recovers(over);
        }
    });
}

#[test]
fn a_read_only_disk_is_told_and_the_next_run_recovers() {
    on_tmpfs("size=1m", |place| {
        for over in [true, false] {
            place.reset(over);
            mount(&["-o", "remount,ro"], &place.host.textfile_dir());
            place.refused(over, "read-only file system", "remount its filesystem writable");
            mount(&["-o", "remount,rw"], &place.host.textfile_dir());
            place.recovers(over);
        }
    });
}

#[test]
fn a_directory_that_a_user_may_not_write_to_is_told_and_the_next_run_recovers() {
    const NOBODY: u32 = 65534;
    need("setpriv");
    for door in [Door::Netstat, Door::Command, Door::Write] {
        in_fresh(|| {
            let host = Host::new();
            copy_promdrop(&host.path("promdrop"));
            for path in [host.path(""), host.collectors_dir(), host.textfile_dir()] {
                fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
            }
            let directory = host.textfile_dir();
            chown(&directory, Some(NOBODY), None).unwrap();
            let place = Place::on(host, door, Some(NOBODY));
            for over in [true, false] {
                place.reset(over);
                let lock = directory.join(".promdrop.lock");
                if over {
                    chown(lock, Some(NOBODY), None).unwrap();
                }
                fs::set_permissions(&directory, Permissions::from_mode(0o555)).unwrap();
                place.refused(over, "permission denied", "give the user that promdrop runs as permission");
                fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
                place.recovers(over);
            }
        });
    }
}

/// A host with a collector that waits for its text.
struct Slow {
    host: Host,
}

impl Slow {
    fn new() -> Self {
        let host = Host::new();
        let fifo = host.path("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        host.collector(
            NAME,
            &format!("module: command\ninterval: 1m\ncommand:\n  argv: [cat, {}]\n", fifo.display()),
        );
        host.collector("other", "module: netstat\n");
        Self { host }
    }

    /// Runs both; `meanwhile` happens once the slow one runs.
    fn run(&self, meanwhile: impl FnOnce(&Path)) -> Output {
        let mut run = self.host.run();
        run.args([NAME, "other"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = run.spawn().unwrap();
        // Nobody can write to it before somebody reads.
        let mut fifo = wait_for(Duration::from_secs(20), "the collector runs", || {
            fs::File::options()
                .write(true)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(self.host.path("fifo"))
        });
        wait_for(Duration::from_secs(20), "the other has published", || {
            fs::metadata(self.host.textfile_dir().join("other.prom"))
        });
        meanwhile(&self.host.textfile_dir());
        fifo.write_all(b"# TYPE told gauge\ntold 1\n").unwrap();
        drop(fifo);
        run.wait_with_output().unwrap()
    }

    #[track_caller]
    fn recovers(&self) {
        assert_eq!(said(&self.run(|_| {})), (Some(0), String::new()));
        let found = names(&self.host.textfile_dir());
        for name in [".promdrop.lock", "other.prom", "promdrop.prom", FILE] {
            assert!(found.iter().any(|found| found == name), "no {name} in {found:?}");
        }
        assert_eq!(self.host.published(NAME).value("told", &[]), 1.0);
    }
}

#[test]
fn a_directory_removed_while_it_runs_is_told_and_the_next_run_recovers() {
    in_fresh(|| {
        let slow = Slow::new();
        let directory = slow.host.textfile_dir();
        let (status, told) = said(&slow.run(|directory| fs::remove_dir_all(directory).unwrap()));
        assert_eq!(status, Some(1), "{told}");
        let what = "the textfile directory was removed while promdrop ran";
        let cure = "     = see what removes it, and run promdrop again";
        let begins =
            format!("promdrop: {NAME}: internal: {what}\n  {}: {what}\n{cure}\n", directory.display());
        assert!(told.starts_with(&begins), "{told}");
        assert!(!directory.exists());

        let (status, told) = said(&slow.host.run().output().unwrap());
        assert_eq!(status, Some(2), "{told}");
        assert!(told.contains("the textfile directory does not exist\n   = "), "{told}");
        fs::create_dir(&directory).unwrap();
        slow.recovers();
    });
}

#[test]
fn a_directory_replaced_while_it_runs_is_told_and_the_next_run_recovers() {
    for is_moved in [false, true] {
        in_fresh(|| {
            let slow = Slow::new();
            let aside = slow.host.path("aside");
            let (status, told) = said(&slow.run(|directory| {
                if is_moved {
                    fs::rename(directory, &aside).unwrap();
                } else {
                    fs::remove_dir_all(directory).unwrap();
                }
                fs::create_dir(directory).unwrap();
                fs::write(directory.join("foreign.prom"), "foreign 1\n").unwrap();
            }));
            assert_eq!(status, Some(1), "{told}");
            let directory = slow.host.textfile_dir();
            let tells = format!(
                "promdrop: {}: another directory took the place of the textfile directory while promdrop ran\n   \
                 = see what replaces it, and run promdrop again\n",
                directory.display()
            );
            assert!(told.ends_with(&tells), "{told}");
            assert_eq!(names(&directory), ["foreign.prom"]);
            slow.recovers();
            assert_eq!(slow.host.text("foreign.prom"), "foreign 1\n");
        });
    }
}
