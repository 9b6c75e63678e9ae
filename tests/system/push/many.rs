//! A hundred pushes at once: slower, maybe, but none is lost and none is mixed with another.

use std::collections::BTreeSet;
use std::thread;

use super::push;
use crate::support::host::Host;
use crate::support::series::Series;
use crate::support::{names, the_machine};

const PUSHES: usize = 100;

/// Has all of them push at once: to the group, and what, that each is told by its number.
fn at_once(host: &Host, what: impl Fn(usize) -> (String, String) + Sync) {
    thread::scope(|scope| {
        for number in 0..PUSHES {
            let what = &what;
            scope.spawn(move || {
                let (group, text) = what(number);
                assert_eq!(push(host, &[&group], text.as_bytes()), (true, String::new()), "{number}");
            });
        }
    });
}

fn groups(host: &Host) -> Vec<Series> {
    let files = names(&host.textfile_dir()).into_iter().filter(|name| name.starts_with("push."));
    files.map(|file| Series::parse(&host.text(&file))).collect()
}

#[test]
fn of_a_hundred_pushes_at_once_to_one_group_none_is_lost() {
    let _alone = the_machine();
    let host = Host::new();
    at_once(&host, |number| ("job/one".to_owned(), format!("t_{number} {number}\n")));
    let groups = groups(&host);
    assert_eq!(groups.len(), 1);
    for number in 0..PUSHES {
        assert_eq!(groups[0].value(&format!("t_{number}"), &[("job", "one")]), number as f64);
    }
}

#[test]
fn of_a_hundred_pushes_at_once_of_one_family_none_is_mixed_with_another() {
    let _alone = the_machine();
    let host = Host::new();
    at_once(&host, |number| {
        let series = (0..50).map(|series| format!("t_a{{q=\"{number}_{series}\"}} {number}\n"));
        ("job/one".to_owned(), series.collect())
    });
    let text = host.text(names(&host.textfile_dir()).iter().find(|name| name.starts_with("push.")).unwrap());
    let pushed: Vec<&str> = text.lines().filter(|line| line.starts_with("t_a{")).collect();
    let of: BTreeSet<&str> = pushed.iter().map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!((pushed.len(), of.len()), (50, 1), "{text}");
}

#[test]
fn of_a_hundred_pushes_at_once_to_a_hundred_groups_none_is_lost() {
    let _alone = the_machine();
    let host = Host::new();
    at_once(&host, |number| {
        (format!("job/many/n/{number}"), format!("# HELP t_a A number.\n# TYPE t_a gauge\nt_a {number}\n"))
    });
    let groups = groups(&host);
    assert_eq!(groups.len(), PUSHES);
    let values: BTreeSet<usize> = (0..PUSHES)
        .filter(|number| {
            let labels = [("job", "many"), ("n", &*number.to_string())];
            groups.iter().any(|group| group.get("t_a", &labels) == Some(*number as f64))
        })
        .collect();
    assert_eq!(values.len(), PUSHES);
    assert_eq!(host.outcome(&["lint"]), (0, String::new(), String::new()));
}

#[test]
fn what_a_push_says_of_a_family_takes_it_from_no_other_group_even_for_a_moment() {
    let _alone = the_machine();
    let host = &Host::new();
    let text = |help: usize| format!("# HELP t_a Text {help}.\n# TYPE t_a gauge\nt_a 1\n");
    for number in 0..20 {
        assert!(push(host, &[&format!("job/many/n/{number}")], text(0).as_bytes()).0);
    }
    let files: Vec<String> =
        names(&host.textfile_dir()).into_iter().filter(|name| name.starts_with("push.")).collect();
    thread::scope(|scope| {
        let pushes: Vec<_> = (1..20)
            .map(|number| {
                scope.spawn(move || push(host, &[&format!("job/many/n/{number}")], text(number).as_bytes()))
            })
            .collect();
        while !pushes.iter().all(|push| push.is_finished()) {
            for file in &files {
                assert!(host.text(file).contains("\nt_a{"), "{file}: {}", host.text(file));
            }
        }
        for push in pushes {
            assert_eq!(push.join().unwrap(), (true, String::new()));
        }
    });
    assert_eq!(host.outcome(&["lint"]), (0, String::new(), String::new()));
}
