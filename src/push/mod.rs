//! Groups of metrics, as a Pushgateway has them: what their paths mean, and what a push makes of what is there. Pure, but for
//! the names of this host.
//!
//! The grammar and the rules are those of Prometheus' Pushgateway 1.5.1 (handler/push.go, storage/diskmetricstore.go),
//! whose clients come over without a change. What differs is said in promdrop(8).

mod group;
mod host;

pub use group::Group;
pub use host::Host;

use smol_str::SmolStr;

use crate::exposition::{Descriptor, Family, Kind};

/// When a group was last pushed; 0 for never. The name is the Pushgateway's.
const PUSHED: Descriptor = Descriptor {
    name: "push_time_seconds",
    help: "When the group was last pushed and published, in seconds since the epoch; 0 for never.",
    kind: Kind::Gauge,
};
/// When a push of a group was last refused; 0 for never. The name is the Pushgateway's.
const FAILED: Descriptor = Descriptor {
    name: "push_failure_time_seconds",
    help: "When a push of the group was last refused, in seconds since the epoch; 0 for never.",
    kind: Kind::Gauge,
};

/// All families about pushes.
pub const DESCRIPTORS: [Descriptor; 2] = [PUSHED, FAILED];

/// The families of a group after a push of `pushed` at `now` (seconds since the epoch), where `before` was published:
/// families of the same names are replaced (POST), or with `replace` all of them (PUT). The time of the last push that
/// failed stays.
pub fn pushed(
    before: Vec<Family>,
    mut pushed: Vec<Family>,
    group: &Group,
    replace: bool,
    now: f64,
) -> Vec<Family> {
    let failed = time(&before, &FAILED);
    pushed.retain(|family| !is_about(family));
    for sample in pushed.iter_mut().flat_map(|family| &mut family.samples) {
        group.override_labels(&mut sample.labels);
    }
    let stays = |family: &Family| {
        !replace && !is_about(family) && pushed.iter().all(|other| other.name != family.name)
    };
    let mut families: Vec<Family> = before.into_iter().filter(stays).collect();
    families.append(&mut pushed);
    families.extend(about(group, now, failed));
    families
}

/// Notes in `families`, as published, that a push failed at `now`.
pub fn failed(families: &mut Vec<Family>, group: &Group, now: f64) {
    let pushed = time(families, &PUSHED);
    families.retain(|family| !is_about(family));
    families.extend(about(group, pushed, now));
}

/// Takes out of `families`, which are published beside `pushed`, those of `names` that `pushed` has not: what was pushed
/// before and contradicts a file that came since must not keep a group from what is pushed now. Those about the group lose
/// their HELP, for the one that stands. Whether any is changed.
pub fn give_way(families: &mut Vec<Family>, pushed: &[SmolStr], names: &[String]) -> bool {
    let clashes = |family: &Family| names.iter().any(|name| *name == family.name);
    let mut changed = false;
    families.retain_mut(|family| {
        if !clashes(family) || pushed.contains(&family.name) {
            return true;
        }
        let keeps = is_about(family) && family.help.is_some();
        (family.help, changed) = (None, true);
        keeps
    });
    changed
}

fn is_about(family: &Family) -> bool {
    DESCRIPTORS.iter().any(|descriptor| *descriptor.name == *family.name)
}

fn about(group: &Group, pushed: f64, failed: f64) -> [Family; 2] {
    let labels = group.labels();
    [(&PUSHED, pushed), (&FAILED, failed)].map(|(descriptor, time)| {
        let mut family = Family::new(descriptor);
        family.push(labels.clone(), time);
        family
    })
}

/// The time that `families` tell; 0 where they tell none.
fn time(families: &[Family], descriptor: &Descriptor) -> f64 {
    let family = families.iter().find(|family| *family.name == *descriptor.name);
    match family.map(|family| family.samples.as_slice()) {
        Some([sample]) if sample.value.is_finite() && sample.value >= 0.0 => sample.value,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{read, render};

    fn group() -> Group {
        Group::parse("job/j").unwrap()
    }

    fn text(families: &[Family]) -> String {
        let mut text = String::new();
        render(families, &mut text);
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("# HELP push_") && !line.starts_with("# TYPE push_"));
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn push(before: &str, new: &str, replace: bool) -> String {
        let families = |text: &str| read(text.as_bytes()).unwrap();
        text(&pushed(families(before), families(new), &group(), replace, 7.5))
    }

    const TIMES: &str = "push_time_seconds{job=\"j\"} 7.5\npush_failure_time_seconds{job=\"j\"} 0\n";

    #[test]
    fn a_post_replaces_families_of_its_names_and_a_put_all() {
        let before = "# TYPE a gauge\na{job=\"j\",x=\"1\"} 1\na{job=\"j\",x=\"2\"} 1\nb{job=\"j\"} 1\n";
        let new = "a{x=\"3\"} 2\n";
        assert_eq!(push(before, new, false), format!("b{{job=\"j\"}} 1\na{{x=\"3\",job=\"j\"}} 2\n{TIMES}"));
        assert_eq!(push(before, new, true), format!("a{{x=\"3\",job=\"j\"}} 2\n{TIMES}"));
        assert_eq!(push(before, "", true), TIMES);
    }

    #[test]
    fn the_groups_labels_go_before_those_that_are_pushed() {
        assert_eq!(
            push("", "a{job=\"theirs\",x=\"1\"} 2\n", false),
            format!("a{{x=\"1\",job=\"j\"}} 2\n{TIMES}")
        );
    }

    #[test]
    fn what_was_pushed_before_gives_way_and_what_is_pushed_does_not() {
        let mut families = read(b"a 1\nb 1\n# HELP push_time_seconds x\npush_time_seconds 1\n").unwrap();
        let names = ["a", "b", "push_time_seconds"].map(str::to_owned);
        assert!(give_way(&mut families, &["a".into()], &names));
        let left: Vec<(&str, bool)> =
            families.iter().map(|family| (&*family.name, family.help.is_some())).collect();
        assert_eq!(left, [("a", false), ("push_time_seconds", false)]);
        assert!(!give_way(&mut families, &["a".into()], &names[..2]));
    }

    #[test]
    fn the_times_are_the_groups_own() {
        let before = "push_failure_time_seconds{job=\"j\"} 3\npush_time_seconds{job=\"j\"} 2\n";
        let new = "push_time_seconds 99\npush_failure_time_seconds 99\n";
        let expected = "push_time_seconds{job=\"j\"} 7.5\npush_failure_time_seconds{job=\"j\"} 3\n";
        assert_eq!(push(before, new, false), expected);
        assert_eq!(push(before, new, true), expected);
        let mut families = read(format!("a 1\n{before}").as_bytes()).unwrap();
        failed(&mut families, &group(), 8.0);
        assert_eq!(
            text(&families),
            "a 1\npush_time_seconds{job=\"j\"} 2\npush_failure_time_seconds{job=\"j\"} 8\n"
        );
        // What others wrote there is no time.
        for value in ["NaN", "-1", "+Inf"] {
            let before = format!("push_failure_time_seconds{{job=\"j\"}} {value}\n");
            assert_eq!(push(&before, "", false), TIMES);
        }
    }
}
