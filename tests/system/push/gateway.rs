//! One scripted sequence of pushes to a real Pushgateway and to promdrop: accepted and refused alike, and after each step
//! the same families come out of node_exporter as out of the gateway.

use std::collections::BTreeSet;

use super::push;
use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::pushgateway::{Pushed, Pushgateway};

/// A push: method, path, body; and whether it is to be accepted.
type Step = (&'static str, &'static str, &'static [u8], bool);

const YES: bool = true;
const NO: bool = false;

const HISTOGRAM: &[u8] = b"# HELP t_h Times.\n# TYPE t_h histogram\nt_h_bucket{le=\"0.5\"} 1\nt_h_bucket{le=\"+Inf\"} 2\nt_h_sum 3.25\nt_h_count 2\n";
const SUMMARY: &[u8] =
    b"# TYPE t_s summary\nt_s{quantile=\"0.5\"} 1\nt_s{quantile=\"0.9\"} 4\nt_s_sum 9\nt_s_count 3\n";

const STEPS: &[Step] = &[
    // Families come, are replaced, and stay.
    ("POST", "job/a", b"# HELP t_a A number.\n# TYPE t_a gauge\nt_a 1\nt_a{q=\"1\"} 2\n", YES),
    ("POST", "job/a", b"# TYPE t_b counter\nt_b 5\n", YES),
    ("POST", "job/a", b"# HELP t_a A number.\n# TYPE t_a gauge\nt_a{q=\"3\"} 4\n", YES),
    ("POST", "job/a/", b"t_c 1\n", YES),
    ("POST", "job/a", HISTOGRAM, YES),
    ("POST", "job/a", SUMMARY, YES),
    ("POST", "job/a", b"", YES),
    // Other groups, by each spelling of a path.
    ("POST", "job/a/zone/1", b"t_c 2\n", YES),
    ("POST", "job/a/zone@base64/MQ==", b"t_c 3\n", YES),
    ("POST", "job/a/path@base64/L3Zhci90bXA", b"t_c 4\n", YES),
    ("POST", "job@base64/L2EvYg==", b"t_c 5\n", YES),
    ("POST", "job/a%20b/text/%C3%A9+%22%5C", b"t_c 6\n", YES),
    ("POST", "job/a/x/1/y/2", b"t_c 7\n", YES),
    ("POST", "job/a/y/2/x/1", b"t_d 8\n", YES),
    ("POST", "job/a/x/0/x/1/y/2", b"t_e 9\n", YES),
    ("POST", "job/a/job/b", b"t_f 9\n", YES),
    ("POST", "job/a/line@base64/YQpi", b"t_c 10\n", YES),
    ("POST", "job/a/instance/elsewhere", b"t_c 11\n", YES),
    ("POST", "job/a/instance/other:80", HISTOGRAM, YES),
    // The group's labels go before those in the text.
    ("POST", "job/c/a@base64/=", b"t_g{a=\"text\"} 1\n", YES),
    ("POST", "job%2Fc/q/escaped", b"t_g 2\n", YES),
    ("POST", "job/c/q/group", b"t_g{q=\"text\",job=\"text\",r=\"text\"} 1\n", YES),
    // What no path is.
    ("POST", "job/a/b", b"t_x 1\n", NO),
    ("POST", "job/a/b%2Fc/d", b"t_x 1\n", NO),
    ("POST", "job/a//b", b"t_x 1\n", NO),
    ("POST", "job/a/./b", b"t_x 1\n", NO),
    ("POST", "job/a/__b/c", b"t_x 1\n", NO),
    ("POST", "job/a/b-c/d", b"t_x 1\n", NO),
    ("POST", "job/a/b@base64/+w==", b"t_x 1\n", NO),
    ("POST", "job/a/b@base64/Y", b"t_x 1\n", NO),
    ("POST", "job@base64/=", b"t_x 1\n", NO),
    ("POST", "job/%zz", b"t_x 1\n", NO),
    ("POST", "jobs/a", b"t_x 1\n", NO),
    // What no text is: nothing of it is taken.
    ("POST", "job/a", b"t_x 1\nno number\n", NO),
    ("POST", "job/a", b"t_x 1,5\n", NO),
    ("POST", "job/a", b"t_x{q=\"1} 1\n", NO),
    ("POST", "job/a", b"t_x{q=\"\xff\"} 1\n", NO),
    ("POST", "job/a", b"t_x{q=\"1\",q=\"2\"} 1\n", NO),
    ("POST", "job/a", b"1t_x 1\n", NO),
    ("POST", "job/a", b"# TYPE t_x gauge\n# TYPE t_x gauge\nt_x 1\n", NO),
    ("POST", "job/a", b"t_x 1\n# TYPE t_x gauge\n", NO),
    ("POST", "job/a", b"# TYPE t_x strange\nt_x 1\n", NO),
    // Timestamps.
    ("POST", "job/a", b"t_x 1 1700000000000\n", NO),
    // Series that are there twice: in the text, by the group's labels.
    ("POST", "job/a", b"t_x 1\nt_x 1\n", NO),
    ("POST", "job/a/q/1", b"t_x{q=\"1\"} 1\nt_x{q=\"2\"} 1\n", NO),
    // What contradicts another group.
    ("POST", "job/a/zone/1", b"# TYPE t_b gauge\nt_b 1\n", NO),
    ("POST", "job/a/zone/1", b"# TYPE t_h counter\nt_h 1\n", NO),
    ("POST", "job/a/zone/1", b"t_h_count 1\n", NO),
    // What contradicts the same group, and goes with it.
    ("POST", "job/a", b"# TYPE t_c counter\nt_c 1\n", NO),
    ("DELETE", "job/a/zone/1", b"", YES),
    // PUT.
    ("PUT", "job/a/instance/other:80", b"t_c 12\n", YES),
    ("PUT", "job/a/x/1/y/2", b"", YES),
    ("PUT", "job/new", b"# TYPE t_n gauge\nt_n{q=\"1\"} NaN\nt_n{q=\"2\"} +Inf\nt_n{q=\"3\"} -1.5e-7\n", YES),
    ("PUT", "job/new", b"t_x 1 5\n", NO),
    // DELETE.
    ("DELETE", "job/a", b"", YES),
    ("DELETE", "job/a", b"", YES),
    ("DELETE", "job/a%20b/text/%C3%A9+%22%5C", b"", YES),
    ("DELETE", "job/never", b"", YES),
    // What stood in the way is gone.
    ("POST", "job/z", b"# TYPE t_b gauge\nt_b 1\n# TYPE t_h gauge\nt_h 2\n", YES),
    ("POST", "job/a", b"# HELP t_a Another text.\n# TYPE t_a counter\nt_a 1\n", YES),
    ("DELETE", "job/a%20b", b"", YES),
];

#[test]
fn what_comes_out_of_node_exporter_1_5_0_is_what_comes_out_of_a_pushgateway() {
    comes_out_alike("1.5.0");
}

#[test]
fn what_comes_out_of_node_exporter_1_9_0_is_what_comes_out_of_a_pushgateway() {
    comes_out_alike("1.9.0");
}

fn comes_out_alike(version: &str) {
    let (gateway, host) = (Pushgateway::start(), Host::new());
    let exporter = Exporter::start_textfile_only(version, &host.textfile_dir());
    let mut before = Pushed::of("");
    for step @ (method, path, body, accepted) in STEPS {
        let (status, answer) = gateway.push(method, path, body);
        let (pushed, said) = promdrop(&host, method, path, body);
        let step = format!("{method} {path} {}: {status} {answer}; {said}", step.2.escape_ascii());
        assert_eq!((status / 100 == 2, pushed), (*accepted, *accepted), "{step}");
        let served = Pushed::of(&exporter.scrape_text());
        alike(&gateway.pushed(), &served, &step);
        // Nor is a failure told of that was none.
        let failures = |pushed: &Pushed| {
            let all = pushed
                .series
                .iter()
                .filter(|(key, time)| key.name == "push_failure_time_seconds" && **time > 0.0);
            all.map(|(key, time)| (key.clone(), time.to_string())).collect::<BTreeSet<_>>()
        };
        assert!(!accepted || failures(&served).is_subset(&failures(&before)), "{step}");
        before = served;
    }
    // Neither was empty at the end.
    assert!(gateway.pushed().series.len() > 20, "{:#?}", gateway.pushed().series);
}

fn promdrop(host: &Host, method: &str, path: &str, body: &[u8]) -> (bool, String) {
    let how: &[&str] = match method {
        "PUT" => &["--replace"],
        "DELETE" => &["--delete"],
        _ => &[],
    };
    push(host, &[&[path], how].concat(), body)
}

/// The times are not of the same moment, and a Pushgateway keeps none for text that it can't read.
#[track_caller]
fn alike(theirs: &Pushed, ours: &Pushed, step: &str) {
    let failed = |name: &str| name == "push_failure_time_seconds";
    let series = |pushed: &Pushed| -> Vec<_> {
        let told = pushed.series.iter().filter(|(key, _)| !failed(&key.name));
        told.filter(|(key, value)| !(key.name == "push_time_seconds" && **value == 0.0))
            .map(|(key, value)| match key.name.as_str() {
                "push_time_seconds" => (key.clone(), "some time".to_owned()),
                _ => (key.clone(), value.to_string()),
            })
            .collect()
    };
    assert_eq!(series(theirs), series(ours), "{step}");
    let kinds = |pushed: &Pushed| -> Vec<_> {
        let families = pushed.families.iter().filter(|(name, _)| !name.starts_with("push_"));
        families.map(|(name, family)| (name.clone(), family.kind().to_owned())).collect()
    };
    assert_eq!(kinds(theirs), kinds(ours), "{step}");
    for (name, family) in theirs.families.iter().filter(|(name, _)| !name.starts_with("push_")) {
        // Without one, node_exporter makes one up.
        if family.help.is_some() {
            assert_eq!(family.help, ours.families[name].help, "{step}");
        }
    }
    // Every failure that the gateway tells of is told, of the same group and within the same minute.
    for (key, theirs) in theirs.series.iter().filter(|(key, value)| failed(&key.name) && **value > 0.0) {
        let told = ours.series.get(key).copied().unwrap_or_default();
        assert!((told - theirs).abs() < 60.0, "{step}: {key:?} {told} {theirs}");
    }
}

/// What promdrop does otherwise, as the manual says: whether the gateway accepts it, whether promdrop does, and a part
/// of what either serves then.
const DIFFERENCES: &[(&str, &[u8], bool, bool, &str)] = &[
    ("job/a", b"t_x 1", NO, YES, "t_x{job=\"a\"} 1"),
    ("job/a", b"t_x 1\r\n", NO, YES, "t_x{job=\"a\"} 1"),
    ("job/a", b"t_x 1 \n", NO, YES, "t_x{job=\"a\"} 1"),
    ("job/a", b"node_load1 1\n", YES, NO, ""),
    ("job/a", b"up 1\n", YES, NO, ""),
    ("job/a", b"promdrop_x 1\n", YES, NO, ""),
    ("job/a", b"# TYPE t_x histogram\nt_x_bucket{le=\"1\"} 1\nt_x_sum 1\nt_x_count 1\n", YES, NO, ""),
    ("job/a/p@base64/=", b"t_x 1\n", YES, YES, "t_x{job=\"a\"} 1"),
    ("job/a/HOST", b"t_x{instance=\"theirs\"} 1\n", YES, YES, "t_x{job=\"a\"} 1"),
    ("job/a", b"# TYPE t_x summary\nt_x{quantile=\"0.5\"} 1\n", YES, NO, ""),
    ("job/a", b"t_x{le=\"1\"} 1\n", YES, NO, ""),
    ("job/a/p@base64/_w", b"t_x 1\n", NO, NO, ""),
];

#[test]
fn what_differs_is_what_the_manual_says() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for (path, body, gateway_accepts, promdrop_accepts, served) in DIFFERENCES {
        let (gateway, host) = (Pushgateway::start(), Host::new());
        let path = path.replace("HOST", &format!("instance/{}", name.trim()));
        let (status, _) = gateway.push("POST", &path, body);
        let (pushed, said) = promdrop(&host, "POST", &path, body);
        let case = format!("{path} {}: {status}; {said}", body.escape_ascii());
        assert_eq!((status / 100 == 2, pushed), (*gateway_accepts, *promdrop_accepts), "{case}");
        let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
        let text = exporter.scrape_text();
        assert_eq!(text.lines().any(|line| line == *served), *promdrop_accepts, "{case}: {text}");
        assert_eq!(text.contains("t_x"), *promdrop_accepts, "{case}: {text}");
        // What is refused is told of, whatever it was, if there is a group to tell it of.
        let failed = Pushed::of(&text);
        let failed = failed.series.iter().find(|(key, _)| key.name == "push_failure_time_seconds");
        let has_group = !said.starts_with("GROUP");
        assert_eq!(failed.is_some_and(|(_, time)| *time > 0.0), !promdrop_accepts && has_group, "{case}");
    }
}
