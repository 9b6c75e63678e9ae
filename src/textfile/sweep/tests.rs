use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode;

use super::super::header::Header;
use super::*;
use crate::textfile::{Class, LOCK_FILE, Process};

const NOW: u64 = 1_754_900_000_000;
const AGE: u64 = 60_000;
const NUMBERS: &str = "c_a 1\n# TYPE promdrop_x gauge\npromdrop_x 1\n";

fn header(kind: Kind) -> Header {
    Header {
        last_success: Some(NOW),
        max_age: Some(Duration::from_millis(AGE)),
        ..Header::new(kind, "/c", "x.prom")
    }
}

const MENDING: Mending<'static> = Mending {
    stale: &|families| families.retain(|family| family.name.starts_with(OWN_PREFIX)),
    lives: &|running| running.job.pid % 2 == 0,
    lost: &|header, _| header.running.retain(|running| running.job.pid % 2 == 0),
};

fn running(pid: u32) -> Running {
    let process = Process { pid, start: 1 };
    Running { job: process, waiter: process, namespace: 1, boot: 1 }
}

fn setup() -> (tempfile::TempDir, Directory) {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    (place, directory)
}

fn lay(place: &Path, name: &str, header: &Header) {
    let mut text = String::new();
    header.render(&mut text);
    std::fs::write(place.join(name), text + NUMBERS).unwrap();
}

fn claims(definitions: &[&str]) -> Claims {
    let definitions = definitions.iter().map(|file| ((*file).to_owned(), None)).collect();
    Claims { source: "/c".into(), definitions, ..Claims::default() }
}

/// What a sweep comes to: the fates, after a look.
fn sweep(directory: &Directory, claims: &Claims, now: u64) -> Vec<(String, Fate)> {
    directory.look().unwrap();
    let foreseen = directory.to_sweep(claims, now, None, MENDING);
    let Sweep { done, failed } = directory.sweep(claims, &|| now, None, MENDING);
    assert_eq!((&foreseen, &failed), (&done, &None));
    done.into_iter().map(|swept| (swept.file, swept.fate)).collect()
}

#[test]
fn what_is_past_its_age_goes() {
    let (place, directory) = setup();
    let claims = claims(&["x.prom"]);
    for (kind, fate) in [
        (Kind::Write, Fate::Aged),
        (Kind::Push, Fate::Aged),
        (Kind::Exec, Fate::Aged),
        (Kind::Collector, Fate::Stale),
    ] {
        for (now, goes) in [
            (NOW, false),
            (NOW + AGE, false),
            (NOW + AGE + 1, true),
            (NOW - AGE, false),
            (NOW - AGE - 1, true),
            (0, true),
            (u64::MAX, true),
        ] {
            lay(place.path(), "x.prom", &header(kind));
            let expected = if goes { vec![("x.prom".to_owned(), fate)] } else { Vec::new() };
            assert_eq!(sweep(&directory, &claims, now), expected, "{kind:?} {now}");
            let there = place.path().join("x.prom").exists();
            assert_eq!(there, !goes || fate == Fate::Stale, "{kind:?} {now}");
        }
    }
}

#[test]
fn a_stale_file_keeps_its_health_its_header_and_its_time() {
    let (place, directory) = setup();
    let path = place.path().join("x.prom");
    lay(place.path(), "x.prom", &header(Kind::Collector));
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(NOW);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(sweep(&directory, &claims(&["x.prom"]), NOW + AGE + 1).len(), 1);
    let text = std::fs::read_to_string(&path).unwrap();
    let expected = Header { stale: true, ..header(Kind::Collector) };
    assert_eq!(Header::ours(text.as_bytes(), "x.prom"), Some(expected));
    assert!(text.ends_with("\n# TYPE promdrop_x gauge\npromdrop_x 1\n") && !text.contains("c_a"), "{text}");
    assert_eq!(path.metadata().unwrap().modified().unwrap(), old);
    // Once is enough.
    assert_eq!(sweep(&directory, &claims(&["x.prom"]), NOW + AGE + 2), []);
}

#[test]
fn what_says_that_a_job_runs_which_does_not_is_mended() {
    let (place, directory) = setup();
    let path = place.path().join("x.prom");
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(NOW);
    for (kind, pids, now, fate) in [
        (Kind::Exec, &[1, 3][..], NOW, Some(Fate::Lost)),
        (Kind::Exec, &[1, 2], NOW, Some(Fate::Lost)),
        (Kind::Exec, &[2, 4], NOW, None),
        // What still runs is not past any age.
        (Kind::Exec, &[2], NOW + AGE + 1, None),
        (Kind::Exec, &[1, 2], NOW + AGE + 1, Some(Fate::Lost)),
        (Kind::Exec, &[1], NOW + AGE + 1, Some(Fate::Aged)),
    ] {
        let running = pids.iter().copied().map(running).collect();
        lay(place.path(), "x.prom", &Header { running, ..header(kind) });
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let expected: Vec<_> = fate.map(|fate| ("x.prom".to_owned(), fate)).into_iter().collect();
        assert_eq!(sweep(&directory, &claims(&[]), now), expected, "{pids:?} {now}");
        if fate == Some(Fate::Aged) {
            assert!(!path.exists());
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let living: Vec<u32> =
            Header::ours(&text, "x.prom").unwrap().running.iter().map(|running| running.job.pid).collect();
        assert_eq!(living, pids.iter().copied().filter(|pid| pid % 2 == 0).collect::<Vec<_>>());
        assert_eq!(path.metadata().unwrap().modified().unwrap(), old);
    }
}

#[test]
fn what_no_definition_claims_goes() {
    let (place, directory) = setup();
    for name in ["x.prom", "y.prom", "z.prom", RUN_FILE] {
        lay(place.path(), name, &Header { file: name.into(), ..header(Kind::Collector) });
    }
    assert_eq!(sweep(&directory, &claims(&["x.prom", "z.prom"]), NOW), [("y.prom".into(), Fate::Left)]);
    assert_eq!(sweep(&directory, &Claims { source: "/d".into(), ..Claims::default() }, NOW), []);
    assert_eq!(sweep(&directory, &Claims::default(), NOW), []);
    let mut left = sweep(&directory, &claims(&[]), NOW);
    left.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(left, [("x.prom".into(), Fate::Left), ("z.prom".into(), Fate::Left)]);
    assert!(place.path().join(RUN_FILE).exists());
}

#[test]
fn a_definition_that_came_since_claims_its_file() {
    let (place, directory) = setup();
    let source = tempfile::tempdir().unwrap();
    let source_text = source.path().display().to_string();
    let claims = Claims { source: source_text.clone(), ..Claims::default() };
    lay(place.path(), "x.prom", &Header { source: source_text, ..header(Kind::Collector) });
    std::fs::write(source.path().join("x.yaml"), "").unwrap();
    assert_eq!(sweep(&directory, &claims, NOW), []);
    std::fs::remove_file(source.path().join("x.yaml")).unwrap();
    assert_eq!(sweep(&directory, &claims, NOW), [("x.prom".into(), Fate::Left)]);
}

#[test]
fn of_a_disabled_collector_all_goes_with_its_age() {
    let (place, directory) = setup();
    let disabled = Claims { disabled: ["x.prom".to_owned()].into(), ..claims(&["x.prom"]) };
    for stale in [false, true] {
        lay(place.path(), "x.prom", &Header { stale, ..header(Kind::Collector) });
        assert_eq!(sweep(&directory, &disabled, NOW + AGE), []);
        assert_eq!(sweep(&directory, &disabled, NOW + AGE + 1), [("x.prom".into(), Fate::Aged)]);
    }
    // That it never succeeded is no reason to stay for ever.
    lay(place.path(), "x.prom", &Header { last_success: None, ..header(Kind::Collector) });
    assert_eq!(sweep(&directory, &claims(&["x.prom"]), NOW), []);
    assert_eq!(sweep(&directory, &disabled, NOW), [("x.prom".into(), Fate::Aged)]);
    // Another source's of the same name is not what is disabled.
    lay(place.path(), "x.prom", &Header { source: "/d".into(), ..header(Kind::Collector) });
    assert_eq!(sweep(&directory, &disabled, NOW + AGE + 1), [("x.prom".into(), Fate::Stale)]);
}

/// Lays what is not to be swept, whatever its age.
fn lay_what_stays(place: &Path) {
    for (file, header) in [
        ("none.prom", Header { max_age: None, ..header(Kind::Write) }),
        ("never.prom", Header { last_success: None, ..header(Kind::Write) }),
        ("x.txt", header(Kind::Write)),
    ] {
        lay(place, file, &Header { file: file.into(), ..header });
    }
    lay(place, "copy.prom", &header(Kind::Collector));
    std::fs::write(place.join("foreign.prom"), "c_a 1\n").unwrap();
    lay(place, "target", &Header { file: "link.prom".into(), ..header(Kind::Collector) });
    symlink("target", place.join("link.prom")).unwrap();
    nix::unistd::mkfifo(&place.join("fifo.prom"), Mode::S_IRWXU).unwrap();
    std::fs::create_dir(place.join("dir.prom")).unwrap();
}

fn names(place: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        place.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_in_doubt_or_somebody_elses_stays() {
    let (place, directory) = setup();
    lay_what_stays(place.path());
    std::fs::write(place.path().join("doubtful.prom"), "# promdrop-format: 9\nc_a 1\n").unwrap();
    let before = names(place.path());
    assert_eq!(sweep(&directory, &claims(&[]), u64::MAX), []);
    assert_eq!(names(place.path()), before);
}

#[test]
fn the_one_that_is_about_to_be_published_stays() {
    let (place, directory) = setup();
    lay(place.path(), "x.prom", &header(Kind::Write));
    directory.look().unwrap();
    let swept = directory.sweep(&claims(&[]), &|| u64::MAX, Some("x.prom"), MENDING);
    assert_eq!((swept.done, swept.failed), (vec![], None));
    assert!(place.path().join("x.prom").exists());
}

#[test]
fn what_is_published_anew_meanwhile_stays() {
    let (place, directory) = setup();
    lay(place.path(), "x.prom", &header(Kind::Write));
    directory.look().unwrap();
    assert_eq!(directory.to_sweep(&claims(&[]), NOW + AGE + 1, None, MENDING).len(), 1);
    let again = Header { last_success: Some(NOW + AGE), ..header(Kind::Write) };
    lay(place.path(), "x.prom", &again);
    let Sweep { done, failed } = directory.sweep(&claims(&[]), &|| NOW + AGE + 1, None, MENDING);
    assert_eq!((done, failed), (vec![], None));
    assert!(place.path().join("x.prom").exists());
}

#[test]
fn all_of_promdrops_goes_and_nothing_else() {
    let (place, directory) = setup();
    lay_what_stays(place.path());
    let stays = ["copy.prom", "dir.prom", "fifo.prom", "foreign.prom", "link.prom", "target", "x.txt"];
    for (name, kind) in [("x.prom", Kind::Collector), ("y.prom", Kind::Exec), (RUN_FILE, Kind::Collector)] {
        lay(place.path(), name, &Header { file: name.into(), source: "/d".into(), ..header(kind) });
    }
    std::fs::write(place.path().join("doubtful.prom"), "# promdrop-format: 9\nc_a 1\n").unwrap();
    let running = directory.lock_collector("x").unwrap();
    let Sweep { done, failed } = directory.sweep_all();
    assert_eq!(done.len(), 6, "{done:?}");
    // It still runs: with another lock file somebody could run it beside itself.
    assert_eq!(failed.unwrap().class, Class::Lock);
    assert!(names(place.path()).contains(&LOCK_FILE.to_owned()));
    drop(running);
    let Sweep { done, failed } = directory.sweep_all();
    assert_eq!((done, failed), (vec![], None));
    assert_eq!(names(place.path()), stays);
}
