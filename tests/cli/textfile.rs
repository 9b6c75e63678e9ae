//! The textfile directory through the library: what may stand at a name, who may write at once, who may die when.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use promdrop::exposition::{self, Descriptor, Family, Kind as FamilyKind};
use promdrop::textfile::{Class, Directory, Header, Kind, LOCK_FILE, collector_file};

pub const FILE: &str = "x.prom";
const NUMBER: Descriptor =
    Descriptor { name: "textfile_test_number", help: "The same in the whole file.", kind: FamilyKind::Gauge };

pub fn header() -> Header {
    Header {
        slot: Some(1_754_900_000_000),
        max_age: Some(Duration::from_secs(60)),
        ..Header::new(Kind::Collector, "/etc/promdrop/collectors.d", FILE)
    }
}

/// Families that all hold `value`, so that a mixture of two files shows.
pub fn families(count: usize, value: u32) -> Vec<Family> {
    (0..count)
        .map(|i| {
            let mut family = Family::new(&NUMBER);
            family.name = format!("{}_{i}", NUMBER.name).into();
            family.push(Vec::new(), f64::from(value));
            family
        })
        .collect()
}

fn temporaries(place: &Path) -> Vec<String> {
    names(place).into_iter().filter(|name| name.ends_with(".tmp")).collect()
}

pub fn names(place: &Path) -> BTreeSet<String> {
    place.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A process that plays `role` of [`child`] in `place`; it is past its first step once this returns.
fn start(role: &str, place: &Path) -> Child {
    let mut child = command(role, place).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("ready")), "{role} failed");
    // Kept open, since the child goes on writing.
    std::mem::forget(lines);
    child
}

fn command(role: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "textfile::child", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("TEXTFILE_TEST_ROLE", role).env("TEXTFILE_TEST_PLACE", place);
    command
}

/// No test: what the other tests run as a process of its own.
#[test]
#[ignore = "run by the other tests"]
fn child() {
    let (Ok(role), Some(place)) =
        (std::env::var("TEXTFILE_TEST_ROLE"), std::env::var_os("TEXTFILE_TEST_PLACE"))
    else {
        return;
    };
    let directory = Directory::open(Path::new(&place)).unwrap();
    let ready = || {
        println!("ready");
        std::io::stdout().flush().unwrap();
    };
    match role.as_str() {
        "publishes once" => {
            nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
            directory.publish(&header(), &families(1, 1)).unwrap();
        }
        "publishes for ever" => {
            for value in std::process::id().. {
                directory.publish(&header(), &families(2000, value)).unwrap();
                if value == std::process::id() {
                    ready();
                }
            }
        }
        "holds a lock" => {
            let _guard = directory.lock_collector("ping").unwrap().unwrap();
            ready();
            let _ = std::io::stdin().read(&mut [0]);
        }
        other => panic!("no role {other}"),
    }
}

/// Raises the flag, also where a failed assertion unwinds: the reader must end then too.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the published file until `done`; every time it must be one writer's whole file. How often it was read.
fn read_until(done: &AtomicBool, place: &Path) -> usize {
    let mut reads = 0;
    while !done.load(Ordering::Relaxed) {
        let text = std::fs::read(place.join(FILE)).unwrap();
        let families = exposition::read(&text).unwrap();
        let values: BTreeSet<u64> = families.iter().map(|family| family.samples[0].value as u64).collect();
        assert_eq!((families.len(), values.len()), (2000, 1));
        reads += 1;
    }
    reads
}

#[test]
fn what_is_published_is_read_back() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    assert_eq!(directory.previous(FILE).unwrap(), None);
    let mut first = header();
    first.state.set("sent", 5);
    directory.publish(&first, &families(2, 7)).unwrap();
    let previous = directory.previous(FILE).unwrap().unwrap();
    assert_eq!((previous.families(), previous.header), (Some(families(2, 7)), first));
    // Again, with and without having looked, and from another process' view.
    directory.publish(&header(), &families(2, 8)).unwrap();
    let other = Directory::open(place.path()).unwrap();
    other.publish(&header(), &families(2, 9)).unwrap();
    directory.publish(&header(), &families(1, 10)).unwrap();
    directory.sync().unwrap();
    assert_eq!(other.previous(FILE).unwrap().unwrap().families(), Some(families(1, 10)));
    assert_eq!(names(place.path()), BTreeSet::from([FILE.into(), LOCK_FILE.into()]));
}

#[test]
fn readable_by_all_whatever_the_umask() {
    let place = tempfile::tempdir().unwrap();
    let status = command("publishes once", place.path()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let mode = place.path().join(FILE).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
}

#[test]
fn a_file_without_our_header_is_somebody_elses() {
    let theirs = ["", "a 1\n", "# a\n# promdrop-format: 1\n"];
    for text in theirs {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        std::fs::write(place.path().join(FILE), text).unwrap();
        for error in [directory.previous(FILE).unwrap_err(), directory.publish(&header(), &[]).unwrap_err()] {
            assert_eq!(error.class, Class::Refused, "{error}");
            assert!(error.to_string().contains("remove the file if it is stale"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(place.path().join(FILE)).unwrap(), text);
        assert_eq!(names(place.path()), BTreeSet::from([FILE.into()]));
    }
}

#[test]
fn a_copy_under_another_name_is_nobodys_to_replace() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&header(), &families(1, 1)).unwrap();
    std::fs::copy(place.path().join(FILE), place.path().join("y.prom")).unwrap();
    let copied = Header { file: "y.prom".into(), ..header() };
    assert_eq!(directory.publish(&copied, &[]).unwrap_err().class, Class::Refused);
    assert_eq!(directory.previous("y.prom").unwrap_err().class, Class::Refused);
}

#[test]
fn a_damaged_header_is_as_good_as_no_file() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    std::fs::write(place.path().join(FILE), "# promdrop-format: 2\n# promdrop-new: 1\n").unwrap();
    assert_eq!(directory.previous(FILE).unwrap(), None);
    directory.publish(&header(), &families(1, 1)).unwrap();
    assert_eq!(directory.previous(FILE).unwrap().unwrap().header, header());
}

#[test]
fn families_that_cannot_be_read_leave_the_header() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    let mut text = String::new();
    header().render(&mut text);
    std::fs::write(place.path().join(FILE), text + "half a li").unwrap();
    let previous = directory.previous(FILE).unwrap().unwrap();
    assert_eq!((previous.families(), previous.header), (None, header()));
}

#[test]
fn one_name_is_not_for_two_kinds() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&Header { kind: Kind::Write, ..header() }, &families(1, 1)).unwrap();
    for directory in [directory, Directory::open(place.path()).unwrap()] {
        let error = directory.publish(&header(), &families(1, 2)).unwrap_err();
        assert_eq!(error.class, Class::Refused);
        assert!(error.to_string().contains("the file of a write"), "{error}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_untouched() {
    let prepare = |kind: &str, path: &Path| match kind {
        "a symbolic link" => symlink("elsewhere", path).unwrap(),
        "a FIFO" => nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap(),
        "a directory" => std::fs::create_dir(path).unwrap(),
        "a socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        _ => mknod(path, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap(),
    };
    for kind in ["a symbolic link", "a FIFO", "a directory", "a socket", "a device"] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(FILE);
        let mut ours = String::new();
        header().render(&mut ours);
        std::fs::write(place.path().join("elsewhere"), &ours).unwrap();
        prepare(kind, &path);
        let before = path.symlink_metadata().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        for error in [directory.previous(FILE).unwrap_err(), directory.publish(&header(), &[]).unwrap_err()] {
            assert_eq!(error.class, Class::Refused, "{kind}: {error}");
            assert!(error.to_string().contains(kind), "{kind}: {error}");
        }
        let after = path.symlink_metadata().unwrap();
        assert_eq!((before.ino(), before.mode(), before.ctime()), (after.ino(), after.mode(), after.ctime()));
        assert_eq!(std::fs::read_to_string(place.path().join("elsewhere")).unwrap(), ours);
        assert_eq!(names(place.path()).len(), 2, "{kind}");
    }
}

/// Who waits for a reader of the FIFO must not think that promdrop is one.
#[test]
fn a_fifo_is_not_even_opened() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(FILE);
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    let opened = AtomicBool::new(false);
    let (send, thread) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            send.send(nix::unistd::gettid()).unwrap();
            drop(std::fs::File::options().write(true).open(&path).unwrap());
            opened.store(true, Ordering::Relaxed);
        });
        let state = format!("/proc/self/task/{}/stat", thread.recv().unwrap());
        while !std::fs::read_to_string(&state).unwrap().contains(") S ") {
            std::thread::yield_now();
        }
        let directory = Directory::open(place.path()).unwrap();
        let refused = directory.previous(FILE).map_err(|e| e.class);
        let refused_too = directory.publish(&header(), &[]).map_err(|e| e.class);
        // Asked while the writer still sleeps: a reader would have woken it.
        let waits = std::fs::read_to_string(&state).is_ok_and(|state| state.contains(") S "));
        drop(std::fs::File::options().read(true).open(&path).unwrap());
        assert_eq!((refused, refused_too, waits), (Err(Class::Refused), Err(Class::Refused), true));
    });
    assert!(opened.into_inner());
    assert!(path.metadata().unwrap().file_type().is_fifo());
}

#[test]
fn a_huge_file_is_not_read() {
    let place = tempfile::tempdir().unwrap();
    let mut text = String::new();
    header().render(&mut text);
    std::fs::write(place.path().join(FILE), text).unwrap();
    std::fs::File::options().write(true).open(place.path().join(FILE)).unwrap().set_len(1 << 40).unwrap();
    let directory = Directory::open(place.path()).unwrap();
    assert_eq!(directory.previous(FILE).unwrap_err().class, Class::Refused);
}

#[test]
fn only_plain_names_that_node_exporter_reads() {
    let place = tempfile::tempdir().unwrap();
    let inner = place.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let directory = Directory::open(&inner).unwrap();
    let long = collector_file(&"x".repeat(251));
    for file in
        ["x", "x.prom.tmp", "../x.prom", "/x.prom", "a/../../x.prom", "x\n.prom", "\0.prom", "", &long]
    {
        let header = Header { file: file.into(), ..header() };
        assert_eq!(directory.publish(&header, &[]).unwrap_err().class, Class::Refused, "{file:?}");
        assert_eq!(directory.previous(file).unwrap_err().class, Class::Refused, "{file:?}");
    }
    assert_eq!(names(place.path()), BTreeSet::from(["inner".into()]));
    assert_eq!(names(&inner), BTreeSet::new());
}

#[test]
fn what_is_not_proven_does_not_pass() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&header(), &families(1, 1)).unwrap();
    let mut bad = families(1, 2);
    bad[0].name = "not-a-name".into();
    bad[0].samples[0].name = "not-a-name".into();
    let error = directory.publish(&header(), &bad).unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert!(error.text.contains("not-a-name") && !error.problems.is_empty(), "{error}");
    assert_eq!(directory.previous(FILE).unwrap().unwrap().families(), Some(families(1, 1)));
    assert_eq!(temporaries(place.path()), Vec::<String>::new());
}

#[test]
fn a_directory_is_opened_only_where_it_is_one_and_safe() {
    let place = tempfile::tempdir().unwrap();
    let missing = Directory::open(&place.path().join("missing")).unwrap_err().to_string();
    assert!(missing.contains("--textfile-dir") && missing.contains("mkdir"), "{missing}");
    assert!(!place.path().join("missing").exists());
    std::fs::write(place.path().join("file"), "").unwrap();
    assert_eq!(Directory::open(&place.path().join("file")).unwrap_err().class, Class::Refused);
    let mode = |mode| {
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        Directory::open(place.path())
    };
    let error = mode(0o777).unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert!(error.to_string().contains("chmod o-w"), "{error}");
    assert!(mode(0o1777).is_ok());
    assert!(mode(0o775).is_ok());
}

#[test]
fn a_directory_that_is_moved_is_still_the_one() {
    let place = tempfile::tempdir().unwrap();
    let (first, moved) = (place.path().join("first"), place.path().join("moved"));
    std::fs::create_dir(&first).unwrap();
    let directory = Directory::open(&first).unwrap();
    std::fs::rename(&first, &moved).unwrap();
    std::fs::create_dir(&first).unwrap();
    directory.publish(&header(), &families(1, 1)).unwrap();
    assert!(moved.join(FILE).is_file());
    assert_eq!(names(&first), BTreeSet::new());
    std::fs::remove_dir_all(&moved).unwrap();
    assert_eq!(directory.publish(&header(), &families(1, 1)).unwrap_err().class, Class::Io);
}

#[test]
fn a_directory_of_another_user_says_no() {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&header(), &families(1, 1)).unwrap();
    let result = std::thread::scope(|scope| {
        // The user of one thread's file accesses.
        let thread = scope.spawn(|| {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            directory.publish(&header(), &families(1, 2))
        });
        thread.join().unwrap()
    });
    let error = result.unwrap_err();
    assert_eq!(error.class, Class::Io);
    assert!(error.to_string().contains("permission denied"), "{error}");
    assert_eq!(directory.previous(FILE).unwrap().unwrap().families(), Some(families(1, 1)));
}

#[test]
fn readers_see_whole_files_while_threads_and_processes_publish() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&header(), &families(2000, 1)).unwrap();
    let done = AtomicBool::new(false);
    let mut children: Vec<Child> = (0..2).map(|_| start("publishes for ever", place.path())).collect();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&done, place.path()));
        let end = OnDrop(&done);
        let publishers: Vec<_> = (0..2_u32)
            .map(|thread| {
                let directory = &directory;
                scope.spawn(move || {
                    for i in 0..30 {
                        directory.publish(&header(), &families(2000, thread * 1000 + i)).unwrap();
                        assert_eq!(directory.sweep_temporaries(SystemTime::now()).unwrap(), 0);
                    }
                })
            })
            .collect();
        for thread in publishers {
            thread.join().unwrap();
        }
        drop(end);
        assert!(reader.join().unwrap() > 10);
    });
    for child in &mut children {
        assert_eq!(child.try_wait().unwrap(), None, "a publishing process failed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_file_and_nothing_for_good() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&header(), &families(2000, 1)).unwrap();
    let done = AtomicBool::new(false);
    let mut left = 0;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&done, place.path()));
        let end = OnDrop(&done);
        // At least 30 deaths, and as many as it takes for some to come in the middle of a write.
        for round in 0.. {
            if round >= 30 && left > 2 || round >= 300 {
                break;
            }
            let mut child = start("publishes for ever", place.path());
            // Any moment will do, another in every round; every second one soon after a write began.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
            if round % 2 == 0 {
                while temporaries(place.path()).len() == left {
                    assert_eq!(child.try_wait().unwrap(), None, "a publishing process failed");
                }
                std::thread::sleep(Duration::from_nanos(u64::from(now % 500_000)));
            } else {
                std::thread::sleep(Duration::from_nanos(u64::from(now % 15_000_000)));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            left = temporaries(place.path()).len();
        }
        drop(end);
        reader.join().unwrap();
    });
    assert!(left > 0, "no kill came in the middle of a write: the test proves nothing");
    // No lock died with its holder.
    directory.publish(&header(), &families(1, 1)).unwrap();
    let later = SystemTime::now() + Duration::from_secs(120);
    assert_eq!(directory.sweep_temporaries(later).unwrap(), left);
    assert_eq!(names(place.path()), BTreeSet::from([FILE.into(), LOCK_FILE.into()]));
}

#[test]
fn a_collectors_lock_ends_with_its_process() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    let mut child = start("holds a lock", place.path());
    assert!(directory.lock_collector("ping").unwrap().is_none());
    assert!(directory.lock_collector("netstat").unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(directory.lock_collector("ping").unwrap().is_some());
}
