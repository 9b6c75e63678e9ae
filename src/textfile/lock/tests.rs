use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use super::*;

const SHORT: Duration = Duration::from_millis(20);

fn open(path: &Path) -> Directory {
    Directory::open(path).unwrap()
}

#[test]
fn one_holder_at_a_time_each_with_its_own_byte() {
    let place = tempfile::tempdir().unwrap();
    // The same directory for both: threads of one process exclude each other too.
    let directory = open(place.path());
    let held = directory.lock_collector("ping").unwrap().unwrap();
    assert!(directory.lock_collector("ping").unwrap().is_none());
    assert!(directory.lock_collector("netstat").unwrap().is_some());
    let other = open(place.path());
    let publishing = other.lock_publishing(SHORT).unwrap();
    assert_eq!(directory.lock_publishing(SHORT).unwrap_err().class, Class::Lock);
    drop(held);
    drop(publishing);
    assert!(directory.lock_collector("ping").unwrap().is_some());
    assert!(directory.lock_publishing(SHORT).is_ok());
}

#[test]
fn who_asks_whether_it_runs_makes_and_takes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(place.path());
    assert_eq!(directory.is_running("ping"), Some(false));
    assert!(!place.path().join(LOCK_FILE).exists());
    let held = directory.lock_collector("ping").unwrap().unwrap();
    assert_eq!(directory.is_running("ping"), Some(true));
    assert_eq!(directory.is_running("netstat"), Some(false));
    drop(held);
    assert_eq!(directory.is_running("ping"), Some(false));
    assert!(directory.lock_collector("ping").unwrap().is_some());
    set_permissions(place.path().join(LOCK_FILE), Permissions::from_mode(0o666)).unwrap();
    assert_eq!(directory.is_running("ping"), None);
    std::fs::remove_file(place.path().join(LOCK_FILE)).unwrap();
    nix::unistd::mkfifo(&place.path().join(LOCK_FILE), Mode::S_IRWXU).unwrap();
    assert_eq!(directory.is_running("ping"), None);
}

#[test]
fn the_bytes_are_the_same_in_every_version() {
    // FNV-1a's published test vectors, shifted.
    assert_eq!(byte_of(""), 1 + (0xcbf2_9ce4_8422_2325_u64 >> 2) as libc::off_t);
    assert_eq!(byte_of("foobar"), 1 + (0x8594_4171_f739_67e8_u64 >> 2) as libc::off_t);
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_given_back() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(place.path());
    for holder in [&directory, &open(place.path())] {
        let held = holder.lock_publishing(SHORT).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| directory.lock_publishing(Duration::from_secs(60)).is_ok());
            drop(held);
            assert!(waiter.join().unwrap());
        });
    }
}

/// Each would find it taken at every try, were it not in a queue.
#[test]
fn however_many_threads_want_it_each_gets_it() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(place.path());
    let hold = || {
        let held = directory.lock_publishing(SHORT);
        std::thread::sleep(SHORT / 4);
        held.is_ok()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..40).map(|_| scope.spawn(hold)).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
}

#[test]
fn a_lock_on_a_replaced_file_does_not_count() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(place.path());
    let (old, stat) = directory.open_lock_file().unwrap();
    std::fs::remove_file(place.path().join(LOCK_FILE)).unwrap();
    assert!(directory.take(old, &stat, PUBLISH_BYTE, SHORT).unwrap().is_none());
    let (old, stat) = directory.open_lock_file().unwrap();
    std::fs::remove_file(place.path().join(LOCK_FILE)).unwrap();
    std::fs::write(place.path().join(LOCK_FILE), "").unwrap();
    assert!(directory.take(old, &stat, PUBLISH_BYTE, SHORT).unwrap().is_none());
    assert!(directory.lock_publishing(Duration::ZERO).is_ok());
}

#[test]
fn removing_the_file_again_and_again_stops_nobody() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(place.path());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::fs::remove_file(place.path().join(LOCK_FILE));
                // Any pace hits some moment between opening and locking; without one, nobody gets anywhere.
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let all = (0..2000).all(|_| {
            let publishing = directory.lock_publishing(Duration::from_secs(60));
            // Nobody else asks for this one: it is never taken.
            let collector = directory.lock_collector("ping");
            publishing.is_ok() && matches!(collector, Ok(Some(_)))
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(all);
    });
}

#[test]
fn only_its_user_can_open_it_or_the_directorys_group() {
    for (mode, expected) in [(0o755, 0o600), (0o775, 0o660), (0o1777, 0o600)] {
        let place = tempfile::tempdir().unwrap();
        chown(place.path(), None, Some(4321)).unwrap();
        set_permissions(place.path(), Permissions::from_mode(mode)).unwrap();
        drop(open(place.path()).lock_collector("ping").unwrap());
        let lock = place.path().join(LOCK_FILE).metadata().unwrap();
        assert_eq!(lock.mode() & 0o7777, expected, "{mode:o}");
        assert_eq!(lock.gid() == 4321, expected == 0o660, "{mode:o}");
    }
}

#[test]
fn one_made_before_the_directory_was_the_groups_is_given_to_the_group() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(LOCK_FILE);
    let look = || path.metadata().map(|stat| (stat.mode() & 0o7777, stat.gid(), stat.ino())).unwrap();
    set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    drop(open(place.path()).lock_collector("ping").unwrap());
    let (mode, group, inode) = look();
    assert_eq!(mode, 0o600);
    chown(place.path(), None, Some(4321)).unwrap();
    drop(open(place.path()).lock_collector("ping").unwrap());
    assert_eq!(look(), (0o600, group, inode), "the directory is not the group's");
    set_permissions(place.path(), Permissions::from_mode(0o1775)).unwrap();
    drop(open(place.path()).lock_collector("ping").unwrap());
    assert_eq!(look(), (0o660, 4321, inode));
}

#[test]
fn a_lock_file_that_others_could_hold_is_refused() {
    let refused = |prepare: &dyn Fn(&Path)| {
        let place = tempfile::tempdir().unwrap();
        prepare(&place.path().join(LOCK_FILE));
        let error = open(place.path()).lock_collector("ping").unwrap_err();
        assert_eq!(error.class, Class::Refused, "{error}");
        error.to_string()
    };
    let file = |path: &Path, mode, owner| {
        std::fs::write(path, "").unwrap();
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
        chown(path, Some(owner), None).unwrap();
    };
    assert!(refused(&|path| symlink("/dev/null", path).unwrap()).contains("is a symbolic link"));
    assert!(refused(&|path| std::fs::create_dir(path).unwrap()).contains("is not a regular file"));
    assert!(refused(&|path| nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap()).contains("is a FIFO"),);
    assert!(refused(&|path| file(path, 0o666, 0)).contains("can be written by anyone"));
    assert!(refused(&|path| file(path, 0o600, 4321)).contains("belongs to user 4321"));
}
