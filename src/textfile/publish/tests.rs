use super::*;
use crate::exposition::{Descriptor, Kind as FamilyKind};
use crate::textfile::Kind;

const FAMILY: Descriptor = Descriptor { name: "textfile_test", help: "A number.", kind: FamilyKind::Gauge };

fn header() -> Header {
    Header {
        max_age: Some(Duration::from_secs(60)),
        ..Header::new(Kind::Collector, "/etc/promdrop/collectors.d", "x.prom")
    }
}

fn families() -> Vec<Family> {
    let mut family = Family::new(&FAMILY);
    family.push(Vec::new(), 1.0);
    vec![family]
}

#[test]
fn a_lock_that_is_never_free_is_an_error_in_time() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&header(), &families()).unwrap();
    let old = std::fs::read(place.path().join("x.prom")).unwrap();
    let other = Directory::open(place.path()).unwrap();
    let held = other.lock_publishing(Duration::ZERO).unwrap();
    let later = Header { slot: Some(1), ..header() };
    let error = directory
        .publish_within(&Claims::default(), &later, &families(), Duration::from_millis(30))
        .unwrap_err();
    assert_eq!(error.class, Class::Lock);
    assert!(error.to_string().contains("0.03 s"), "{error}");
    assert_eq!(std::fs::read(place.path().join("x.prom")).unwrap(), old);
    // The file and the lock: no temporary is left.
    assert_eq!(place.path().read_dir().unwrap().count(), 2);
    drop(held);
    directory.publish_within(&Claims::default(), &later, &families(), Duration::ZERO).unwrap();
}

#[test]
fn a_target_that_changes_while_the_lock_is_awaited_is_met() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    directory.publish(&header(), &families()).unwrap();
    let other = Directory::open(place.path()).unwrap();
    let held = other.lock_publishing(Duration::ZERO).unwrap();
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            directory.publish_within(&Claims::default(), &header(), &families(), Duration::from_secs(60))
        });
        // It is past its first look at the target once its temporary file is there.
        while place.path().read_dir().unwrap().count() < 3 {
            std::thread::yield_now();
        }
        std::fs::write(place.path().join("x.prom"), "theirs 1\n").unwrap();
        drop(held);
        assert_eq!(publisher.join().unwrap().unwrap_err().class, Class::Refused);
    });
    assert_eq!(std::fs::read(place.path().join("x.prom")).unwrap(), b"theirs 1\n");
}

#[test]
fn what_is_too_large_is_not_published() {
    let path = Path::new("x.prom");
    let mut large = header();
    for i in 0..MAX_HEADER / 10 {
        large.state.set(format!("key{i}"), 1 << 40);
    }
    assert_eq!(compose(path, &large, &[]).unwrap_err().class, Class::Limit);
    let many: Vec<Family> = (0..MAX_FILE / 60)
        .map(|i| {
            let mut family = families().remove(0);
            family.name = format!("textfile_test_{i}").into();
            family.samples[0].name = family.name.clone();
            family
        })
        .collect();
    assert_eq!(compose(path, &header(), &many).unwrap_err().class, Class::Limit);
}
