use std::fs::{File, Permissions, set_permissions, write};
use std::io::{Seek as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat, makedev, mknod};
use nix::unistd::{Uid, mkfifo, setfsuid};

use super::super::look::{read_at, read_path};
use super::*;
use crate::textfile::{Class, MAX_FILE};

type Texts = Survey<String>;

fn setup() -> (tempfile::TempDir, Directory, Texts) {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    (place, directory, Survey::new(MAX_FILE as u64))
}

fn text(_: &OsStr, text: &mut dyn Text) -> String {
    let mut bytes = Vec::new();
    text.each(&mut |piece| {
        bytes.extend_from_slice(piece);
        ControlFlow::Continue(())
    });
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A time at which no file is young any more.
fn later() -> Duration {
    now() + Duration::from_secs(3600)
}

/// A look at files that are not young; whether anything had changed, and the names of what was read.
fn refresh(survey: &mut Texts, directory: &Directory) -> (bool, Vec<String>) {
    let mut read = Vec::new();
    let keep = |name: &OsStr, text| {
        read.push(name.to_string_lossy().into_owned());
        text
    };
    let changed = survey.refresh_at(directory, later, text, keep);
    (changed.unwrap(), read)
}

fn content<'s>(survey: &'s Texts, name: &str) -> &'s Content<String> {
    &survey.entry(name).unwrap_or_else(|| panic!("no {name}")).content
}

fn is_text(survey: &Texts, name: &str, text: &str) -> bool {
    *content(survey, name) == Content::Text(text.to_owned())
}

/// As a user who owns nothing here. Only this thread's file accesses become that user's.
fn as_nobody<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setfsuid(Uid::from_raw(65534));
            run()
        });
        thread.join().unwrap()
    })
}

#[test]
fn every_name_that_node_exporter_reads_in_its_order() {
    let (place, directory, mut survey) = setup();
    let names: [&[u8]; 6] = [b".prom", b".x.prom", b"B.prom", b"a.prom", b"a\xff.prom", b"\xff\n.prom"];
    for name in names {
        write(place.path().join(OsString::from_vec(name.to_vec())), "").unwrap();
    }
    for other in ["x.PROM", "x.prom.tmp", "xprom", "x.prom~", "prom", ".promdrop.lock"] {
        write(place.path().join(other), "").unwrap();
    }
    assert!(survey.settle(&directory, text).unwrap());
    assert_eq!(survey.entries().map(|(name, _)| name.as_bytes()).collect::<Vec<_>>(), names);
    assert!(survey.entries().all(|(_, entry)| entry.content == Content::Text(String::new())));
}

#[test]
fn every_kind_of_entry_is_told_and_nothing_hangs() {
    let (place, directory, mut survey) = setup();
    let at = |name: &str| place.path().join(name);
    write(at("text.prom"), "a 1\n").unwrap();
    set_permissions(at("text.prom"), Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(at("text.prom"), Some(12), Some(34)).unwrap();
    mkfifo(&at("fifo.prom"), Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(at("socket.prom")).unwrap();
    mknod(&at("device.prom"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5)).unwrap();
    mknod(&at("block.prom"), SFlag::S_IFBLK, Mode::S_IRWXU, makedev(7, 250)).unwrap();
    std::fs::create_dir(at("directory.prom")).unwrap();
    write(at("target"), "b 2\n").unwrap();
    for (link, target) in [
        ("link.prom", "target"),
        ("link-to-link.prom", "link.prom"),
        ("absolute.prom", at("target").to_str().unwrap()),
        ("null.prom", "/dev/null"),
        ("zero.prom", "/dev/zero"),
        ("tty.prom", "/dev/tty"),
        ("link-to-fifo.prom", "fifo.prom"),
        ("link-to-directory.prom", "."),
        ("link-to-socket.prom", "socket.prom"),
        ("dangling.prom", "nowhere"),
        ("loop.prom", "loop.prom"),
    ] {
        symlink(target, at(link)).unwrap();
    }
    assert!(survey.settle(&directory, text).unwrap());
    let told: Vec<_> = survey
        .entries()
        .map(|(name, entry)| {
            let content = match &entry.content {
                Content::Text(text) => format!("{text:?}"),
                content => format!("{content:?}"),
            };
            format!("{}{}: {content}", name.to_str().unwrap(), if entry.is_link { " ->" } else { "" })
        })
        .collect();
    let expected = [
        r#"absolute.prom ->: "b 2\n""#,
        r#"block.prom: NoFile("a device")"#,
        r#"dangling.prom ->: Unreadable(ENOENT)"#,
        r#"device.prom: NoFile("a device")"#,
        r#"directory.prom: NoFile("a directory")"#,
        r#"fifo.prom: Fifo"#,
        r#"link-to-directory.prom ->: NoFile("a directory")"#,
        r#"link-to-fifo.prom ->: Fifo"#,
        r#"link-to-link.prom ->: "b 2\n""#,
        r#"link-to-socket.prom ->: NoFile("a socket")"#,
        r#"link.prom ->: "b 2\n""#,
        r#"loop.prom ->: Unreadable(ELOOP)"#,
        r#"null.prom ->: """#,
        r#"socket.prom: NoFile("a socket")"#,
        r#"text.prom: "a 1\n""#,
        r#"tty.prom ->: NoFile("a device")"#,
        r#"zero.prom ->: NoFile("a device")"#,
    ];
    assert_eq!(told, expected);
    let entry = survey.entry("text.prom").unwrap();
    assert_eq!((entry.mode & 0o7777, entry.uid, entry.gid, entry.size), (0o640, 12, 34, 4));
    assert_eq!(survey.entry("link.prom").unwrap().mode & SFlag::S_IFMT.bits(), SFlag::S_IFREG.bits());
    assert_eq!(survey.entry("dangling.prom").unwrap().mode & SFlag::S_IFMT.bits(), SFlag::S_IFLNK.bits());
    // Nor is any of it new at the next look.
    assert_eq!(refresh(&mut survey, &directory), (false, vec![]));
    for (name, entry) in survey.entries() {
        let alone = read_path(&place.path().join(name), |bytes| text(name, bytes));
        assert_eq!(alone, entry.content, "{name:?}");
    }
    assert_eq!(read_path(&at("none"), |_| ()), Content::Unreadable(Errno::ENOENT));
}

#[test]
fn only_what_changed_is_read_again() {
    let (place, directory, mut survey) = setup();
    let at = |name: &str| place.path().join(name);
    for i in 0..1000 {
        write(at(&format!("{i:03}.prom")), format!("a {i}\n")).unwrap();
    }
    symlink("target", at("link.prom")).unwrap();
    write(at("target"), "b 1\n").unwrap();
    assert!(survey.is_new());
    let (changed, read) = refresh(&mut survey, &directory);
    assert!(changed && !survey.is_new());
    assert_eq!(read.len(), 1001);
    assert_eq!(survey.entries().count(), 1001);
    assert_eq!(refresh(&mut survey, &directory), (false, vec![]));

    let mut expect = |what: &str, read: &[&str], text: Option<(&str, &str)>| {
        let (changed, found) = refresh(&mut survey, &directory);
        assert!(changed, "{what}");
        assert_eq!(found, read, "{what}");
        if let Some((name, text)) = text {
            assert!(is_text(&survey, name, text), "{what}");
        }
        assert_eq!(refresh(&mut survey, &directory), (false, vec![]), "{what}");
        survey.entries().count()
    };
    write(at("500.prom"), "a 5\n").unwrap();
    expect("written", &["500.prom"], Some(("500.prom", "a 5\n")));
    let file = File::options().write(true).open(at("501.prom")).unwrap();
    let mtime = file.metadata().unwrap().modified().unwrap();
    (&file).write_all(b"c 501").unwrap();
    file.set_modified(mtime).unwrap();
    expect("in place, its mtime put back", &["501.prom"], Some(("501.prom", "c 501\n")));
    write(at("other"), "d 1\n").unwrap();
    #[expect(clippy::disallowed_methods, reason = "what others do")]
    std::fs::rename(at("other"), at("502.prom")).unwrap();
    expect("replaced", &["502.prom"], Some(("502.prom", "d 1\n")));
    write(at("new.prom"), "e 1\n").unwrap();
    assert_eq!(expect("added", &["new.prom"], Some(("new.prom", "e 1\n"))), 1002);
    std::fs::remove_file(at("503.prom")).unwrap();
    assert_eq!(expect("removed", &[], None), 1001);
    write(at("target"), "b 22\n").unwrap();
    expect("target written", &["link.prom"], Some(("link.prom", "b 22\n")));
    std::fs::remove_file(at("link.prom")).unwrap();
    symlink("504.prom", at("link.prom")).unwrap();
    expect("link moved", &["link.prom"], Some(("link.prom", "a 504\n")));
    std::fs::remove_file(at("link.prom")).unwrap();
    std::fs::hard_link(at("504.prom"), at("link.prom")).unwrap();
    // The file's own times change with the number of its names.
    expect("link hardened", &["504.prom", "link.prom"], Some(("link.prom", "a 504\n")));
    std::fs::remove_file(at("link.prom")).unwrap();
    std::fs::create_dir(at("link.prom")).unwrap();
    expect("no text any more", &["504.prom"], None);
    assert_eq!(*content(&survey, "link.prom"), Content::NoFile("a directory"));
}

#[test]
fn what_was_published_just_now_is_not_read() {
    let (place, directory, mut survey) = setup();
    write(place.path().join("x.prom"), "a 1\n").unwrap();
    let stat = nix::sys::stat::stat(&place.path().join("x.prom")).unwrap();
    survey.note("x.prom", &stat, "noted".to_owned());
    assert_eq!(refresh(&mut survey, &directory), (false, vec![]));
    assert!(is_text(&survey, "x.prom", "noted"));
    std::fs::remove_file(place.path().join("x.prom")).unwrap();
    survey.forget("x.prom");
    assert_eq!(refresh(&mut survey, &directory), (false, vec![]));
    assert_eq!(survey.entries().count(), 0);
}

#[test]
fn a_young_file_is_looked_into_until_its_times_tell() {
    let (place, directory, mut survey) = setup();
    write(place.path().join("x.prom"), "a 1\n").unwrap();
    let mut look = |now: fn() -> Duration| {
        let mut read = 0;
        let mut make = |name: &OsStr, bytes: &mut dyn Text| {
            read += 1;
            text(name, bytes)
        };
        let changed = survey.refresh_at(&directory, now, &mut make, |_, made| made).unwrap();
        (changed, read, survey.entry("x.prom").unwrap().young.is_some())
    };
    let young: fn() -> Duration = || Duration::ZERO;
    assert_eq!(look(young), (true, 1, true));
    assert_eq!(look(young), (false, 0, true));
    assert_eq!(look(later), (false, 0, false));
    assert_eq!(look(later), (false, 0, false));
}

#[test]
fn a_young_file_that_changed_within_one_tick_is_met() {
    let (place, directory, mut survey) = setup();
    write(place.path().join("x.prom"), "a 1\n").unwrap();
    survey.refresh_at(&directory, || Duration::ZERO, text, |_, made| made).unwrap();
    // As if the text had been another one with the same times.
    survey.entries.get_mut(OsStr::new("x.prom")).unwrap().young = Some(survey.hasher.hash_one("b 1\n"));
    assert_eq!(refresh(&mut survey, &directory), (true, vec!["x.prom".into()]));
}

#[test]
fn times_move_in_steps() {
    let place = tempfile::NamedTempFile::new().unwrap();
    let mut stat = fstat(place.as_file()).unwrap();
    let mut is_young = |seconds, nanoseconds, now| {
        (stat.st_ctime, stat.st_ctime_nsec) = (seconds, nanoseconds);
        super::is_young(&stat, Duration::from_millis(now))
    };
    assert!(is_young(100, 1_000_000, 100_020));
    assert!(!is_young(100, 1_000_000, 100_022));
    assert!(is_young(100, 0, 102_000));
    assert!(!is_young(100, 0, 102_001));
    assert!(is_young(100, 1, 5));
    assert!(!is_young(-1, 1, 100));
    // The clock of the files is this one.
    assert!(fstat(place.as_file()).is_ok_and(|stat| now().as_secs().abs_diff(stat.st_ctime as u64) < 3600));
}

#[test]
fn what_is_larger_than_asked_for_is_not_read() {
    let (place, directory, _) = setup();
    let mut survey = Texts::new(4);
    let path = place.path().join("x.prom");
    write(&path, "a 1\n").unwrap();
    assert_eq!(refresh(&mut survey, &directory), (true, vec!["x.prom".into()]));
    write(&path, "a 12\n").unwrap();
    assert_eq!(refresh(&mut survey, &directory), (true, vec![]));
    assert_eq!(*content(&survey, "x.prom"), Content::TooLarge(5));
    assert_eq!(refresh(&mut survey, &directory), (false, vec![]));
    write(&path, "a 123\n").unwrap();
    let name = OsStr::new("x.prom");
    assert_eq!(read_path(&path, |bytes| text(name, bytes)), Content::Text("a 123\n".into()));
    assert_eq!(read_at(directory.fd(), name, 5, |bytes| text(name, bytes)), Content::TooLarge(6));
    assert_eq!(read_at(directory.fd(), name, 6, |bytes| text(name, bytes)), Content::Text("a 123\n".into()));
}

#[test]
fn a_file_that_grows_is_whole_or_changing() {
    let (place, directory, mut survey) = setup();
    let path = place.path().join("x.prom");
    let done = AtomicBool::new(false);
    write(&path, "").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut file = File::options().append(true).open(&path).unwrap();
                while !done.load(Ordering::Relaxed) {
                    file.write_all(b"a 1\n").unwrap();
                    if file.stream_position().unwrap() > 1 << 22 {
                        file.set_len(0).unwrap();
                        file.rewind().unwrap();
                    }
                }
            });
        }
        // It comes to that sooner or later.
        let start = std::time::Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(120), "never told");
            survey.refresh(&directory, text).unwrap();
            match content(&survey, "x.prom") {
                Content::Text(text) => assert_eq!(text.len() as u64, survey.entry("x.prom").unwrap().size),
                Content::Changing => break,
                content => panic!("{content:?}"),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    // Once it is left alone it is a text.
    assert!(survey.settle(&directory, text).unwrap());
    assert!(matches!(content(&survey, "x.prom"), Content::Text(_)));
}

#[test]
fn a_file_that_is_longer_than_it_says_is_changing() {
    let (place, directory, mut survey) = setup();
    assert_eq!(Path::new("/proc/version").metadata().unwrap().len(), 0);
    symlink("/proc/version", place.path().join("x.prom")).unwrap();
    assert_eq!(refresh(&mut survey, &directory), (true, vec![]));
    assert_eq!(*content(&survey, "x.prom"), Content::Changing);
    // It does not keep the rest from being settled.
    assert_eq!(refresh(&mut survey, &directory), (false, vec![]));
}

#[test]
fn one_moment_is_told_while_others_write() {
    let (place, directory, mut survey) = setup();
    let set = |name: &str, i: usize| write(place.path().join(name), format!("a {i}\n")).unwrap();
    for (writes, settles) in [(0, true), (1, true), (3, true), (usize::MAX, false)] {
        set("a.prom", 0);
        set("b.prom", 0);
        let mut written = 0;
        // While a is looked into, another tool writes first b, then a: what was read of a is old.
        let made = survey.settle(&directory, |name, bytes| {
            if name == "a.prom" && written < writes {
                written += 1;
                set("b.prom", written);
                set("a.prom", written);
            }
            text(name, bytes)
        });
        assert_eq!(made.unwrap(), settles, "{writes}");
        if settles {
            let last = format!("a {writes}\n");
            assert!(is_text(&survey, "a.prom", &last) && is_text(&survey, "b.prom", &last), "{writes}");
        }
    }
}

#[test]
fn a_file_that_may_not_be_read_is_tried_again() {
    let (place, directory, mut survey) = setup();
    let path = place.path().join("x.prom");
    set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    write(&path, "a 1\n").unwrap();
    symlink("x.prom", place.path().join("y.prom")).unwrap();
    set_permissions(&path, Permissions::from_mode(0o0)).unwrap();
    as_nobody(|| {
        assert!(refresh(&mut survey, &directory).0);
        for name in ["x.prom", "y.prom"] {
            assert_eq!(*content(&survey, name), Content::Unreadable(Errno::EACCES));
        }
        assert_eq!(survey.entry("x.prom").unwrap().mode & 0o7777, 0);
        assert_eq!(refresh(&mut survey, &directory), (false, vec![]));
    });
    // The file is what it was; only who looks at it is another one.
    assert_eq!(refresh(&mut survey, &directory), (true, vec!["x.prom".into(), "y.prom".into()]));
}

#[test]
fn a_directory_that_cant_be_listed_is_an_error_and_nothing_is_forgotten() {
    let (place, directory, mut survey) = setup();
    write(place.path().join("x.prom"), "a 1\n").unwrap();
    refresh(&mut survey, &directory);
    set_permissions(place.path(), Permissions::from_mode(0o711)).unwrap();
    let error = as_nobody(|| survey.refresh(&directory, text).unwrap_err());
    assert_eq!(error.class, Class::Io);
    assert_eq!(
        error.to_string(),
        format!(
            "{}: can't list it: permission denied\n   = give the user that promdrop runs as permission, or run \
             promdrop as the directory's owner",
            place.path().display()
        )
    );
    assert_eq!(refresh(&mut survey, &directory), (false, vec![]));
    assert_eq!(survey.entries().count(), 1);
}

/// What another survey, which looks at everything for the first time, says of the directory.
#[track_caller]
fn assert_as_anew(watched: &mut Texts, directory: &Directory, what: &str) {
    watched.refresh(directory, text).unwrap();
    let mut anew = Survey::new(MAX_FILE as u64);
    anew.refresh(directory, text).unwrap();
    let all = |survey: &Texts| -> Vec<(OsString, bool, u32, u64, Content<String>)> {
        let of = |(name, entry): (&OsStr, &Entry<String>)| {
            let size = if entry.content.text().is_some() { entry.size } else { 0 };
            (name.to_owned(), entry.is_link, entry.mode, size, entry.content.clone())
        };
        survey.entries().map(of).collect()
    };
    assert_eq!(all(watched), all(&anew), "after {what}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what others do in the directory")]
fn with_a_watch_every_change_is_seen() {
    let (place, directory, survey) = setup();
    let mut survey = survey.watching();
    let at = |name: &str| place.path().join(name);
    write(at("a.prom"), "a 1\n").unwrap();
    write(at("target"), "t 1\n").unwrap();
    symlink("target", at("link.prom")).unwrap();
    assert_as_anew(&mut survey, &directory, "the first look");
    assert!(survey.watch.is_some(), "is fs.inotify.max_user_instances used up?");
    let changes: [(&str, &dyn Fn()); 14] = [
        ("nothing", &|| {}),
        ("a new file", &|| write(at("b.prom"), "b 1\n").unwrap()),
        ("a file written to, as long as before", &|| write(at("a.prom"), "a 2\n").unwrap()),
        ("one that is appended to", &|| {
            let mut file = File::options().append(true).open(at("a.prom")).unwrap();
            file.write_all(b"a2 1\n").unwrap();
        }),
        ("one that is cut", &|| File::options().write(true).open(at("a.prom")).unwrap().set_len(4).unwrap()),
        ("another in its place", &|| {
            write(at("new"), "a 3\n").unwrap();
            std::fs::rename(at("new"), at("a.prom")).unwrap();
        }),
        ("another mode", &|| set_permissions(at("a.prom"), Permissions::from_mode(0o600)).unwrap()),
        ("what a link leads to", &|| write(at("target"), "t 2\n").unwrap()),
        ("a link that leads nowhere", &|| std::fs::remove_file(at("target")).unwrap()),
        ("a link that leads elsewhere", &|| {
            std::fs::remove_file(at("link.prom")).unwrap();
            symlink("a.prom", at("link.prom")).unwrap();
        }),
        ("another name", &|| std::fs::rename(at("b.prom"), at("c.prom")).unwrap()),
        ("a directory", &|| std::fs::create_dir(at("d.prom")).unwrap()),
        ("what was removed", &|| std::fs::remove_file(at("c.prom")).unwrap()),
        ("more than the kernel keeps", &|| {
            let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
            for number in 0..most.trim().parse::<u64>().unwrap() {
                // Two events that are the same would be one.
                write(at(if number % 2 == 0 { "e.prom" } else { "f.prom" }), format!("x {number}\n"))
                    .unwrap();
            }
            write(at("a.prom"), "a 4\n").unwrap();
        }),
    ];
    for (what, change) in changes {
        change();
        assert_as_anew(&mut survey, &directory, what);
    }
    assert!(survey.watch.is_none(), "it was told that something was lost");
    write(at("a.prom"), "a 5\n").unwrap();
    assert_as_anew(&mut survey, &directory, "a change without a watch");
}

#[test]
fn what_a_watch_does_not_tell_of_is_not_looked_at() {
    let (place, directory, survey) = setup();
    let mut survey = survey.watching();
    write(place.path().join("a.prom"), "a 1\n").unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::hard_link(place.path().join("a.prom"), other.path().join("b")).unwrap();
    assert!(survey.refresh(&directory, text).unwrap());
    // A write by another name of the file is what only the next process meets.
    write(other.path().join("b"), "a 2\n").unwrap();
    assert!(!survey.refresh(&directory, text).unwrap());
    assert!(is_text(&survey, "a.prom", "a 1\n"));
}
