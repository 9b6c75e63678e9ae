//! The textfile directory on filesystems that refuse: full, without inodes, read-only. Needs root.

use std::path::Path;

use promdrop::exposition::{Descriptor, Family, Kind as FamilyKind};
use promdrop::textfile::{Claims, Class, Directory, Header, Kind};

use crate::support::mounts::{in_private, mount, mount_tmpfs, unmount};
use crate::support::names;

fn header() -> Header {
    Header {
        max_age: Some(std::time::Duration::from_secs(60)),
        ..Header::new(Kind::Collector, "/etc/promdrop/collectors.d", "x.prom")
    }
}

/// Runs `body` on a tmpfs that only its thread sees, so that nothing stays mounted however the test ends.
fn on_tmpfs(options: &str, body: impl FnOnce(&Path) + Send) {
    let place = tempfile::tempdir().unwrap();
    in_private(|| {
        mount_tmpfs(options, place.path());
        body(place.path());
        unmount(place.path());
    });
}

/// Publishes what must fail for `reason`; the old file stands and nothing is left.
fn refused(place: &Path, directory: &Directory, header: &Header, families: &[Family], reason: &str) {
    let old = std::fs::read(place.join("x.prom")).unwrap();
    let before = names(place);
    let error = directory.publish(header, families).unwrap_err();
    assert_eq!(error.class, Class::Io);
    assert!(error.to_string().contains(reason) && error.to_string().contains("\n   = "), "{error}");
    assert!(error.to_string().starts_with(place.to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read(place.join("x.prom")).unwrap(), old);
    assert_eq!(names(place), before);
}

#[test]
fn a_full_disk_keeps_the_old_file() {
    on_tmpfs("size=64k", |place| {
        let directory = Directory::open(place).unwrap();
        directory.publish(&header(), &[]).unwrap();
        let mut large = header();
        for i in 0..10_000 {
            large.state.set(format!("key{i}"), 1);
        }
        refused(place, &directory, &large, &[], "no space left on device");
    });
}

#[test]
fn no_inode_left_keeps_the_old_file() {
    on_tmpfs("nr_inodes=4", |place| {
        let directory = Directory::open(place).unwrap();
        directory.publish(&header(), &[]).unwrap();
        // The root, the file and the lock are three.
        std::fs::write(place.join("other"), "").unwrap();
        refused(place, &directory, &header(), &[], "no space left on device");
    });
}

#[test]
fn what_is_contradicted_goes_whole_where_there_is_no_room_to_write_it_anew() {
    on_tmpfs("nr_inodes=5", |place| {
        let directory = Directory::open(place).unwrap();
        let families = ["c_a", "c_b"].map(|name| {
            let mut family = Family::new(&Descriptor { name, help: "H.", kind: FamilyKind::Gauge });
            family.push(Vec::new(), 1.0);
            family
        });
        directory.publish(&header(), &families).unwrap();
        let theirs = "# HELP c_a H.\n# TYPE c_a gauge\nc_a 2\n";
        std::fs::write(place.join("other.prom"), theirs).unwrap();
        std::fs::write(place.join("last"), "").unwrap();
        let audit = directory.audit(&Claims::default());
        assert_eq!(audit.withdrawn.len(), 1);
        assert_eq!(audit.withdrawn[0].families, ["c_a"]);
        assert_eq!(names(place), [".promdrop.lock", "last", "other.prom"]);
        assert_eq!(std::fs::read_to_string(place.join("other.prom")).unwrap(), theirs);
    });
}

#[test]
fn where_one_file_cant_give_way_none_does() {
    // The directory, the lock, three files, and what is written for the first to give way.
    on_tmpfs("nr_inodes=6", |place| {
        let directory = Directory::open(place).unwrap();
        let publish = |name: &str, help: &'static str| {
            let mut family = Family::new(&Descriptor { name: "c_a", help, kind: FamilyKind::Gauge });
            family.push(vec![("x".into(), name.to_owned().into())], 1.0);
            let file = format!("{name}.prom");
            directory.publish(&Header { kind: Kind::Write, file, ..header() }, &[family])
        };
        publish("a", "Old.").unwrap();
        publish("b", "Old.").unwrap();
        let text = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
        let before = (text("a.prom"), text("b.prom"));
        let error = publish("c", "New.").unwrap_err();
        assert!(error.to_string().contains("no space left"), "{error}");
        assert_eq!((text("a.prom"), text("b.prom")), before);
        assert_eq!(names(place), [".promdrop.lock", "a.prom", "b.prom"]);
    });
}

#[test]
fn a_read_only_disk_keeps_the_old_file() {
    on_tmpfs("size=64k", |place| {
        let directory = Directory::open(place).unwrap();
        directory.publish(&header(), &[]).unwrap();
        mount(&["-o", "remount,ro"], place);
        refused(place, &directory, &header(), &[], "read-only file system");
        // What is there can still be read.
        assert!(directory.previous("x.prom").unwrap().is_some());
    });
}
