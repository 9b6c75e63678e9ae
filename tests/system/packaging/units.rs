//! The unit files as systemd itself judges them, none of it installed: in a tree of their own beside systemd's units.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::shipped;
use crate::support::need;

/// The most that `systemd-analyze security` may find, in tenths: how exposed the service is at present, so that a line
/// that goes missing shows.
const EXPOSURE: u32 = 22;
/// Likewise, with the drop-in.
const EXPOSURE_FOR_COMMANDS: u32 = 30;
/// And with the one for other network namespaces.
const EXPOSURE_FOR_NETNS: u32 = 26;

/// A root directory with systemd's own units, promdrop's, and something at /usr/bin/promdrop.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(TempDir::new().unwrap());
        for directory in ["usr/bin", "lib/systemd", "etc/systemd/system"] {
            fs::create_dir_all(tree.0.path().join(directory)).unwrap();
        }
        let units = tree.0.path().join("lib/systemd/system");
        let copied = Command::new("cp").arg("-r").arg("/lib/systemd/system").arg(units).status();
        assert!(copied.is_ok_and(|status| status.success()), "systemd's units are not here: see tests/run");
        fs::copy(env!("CARGO_BIN_EXE_promdrop"), tree.0.path().join("usr/bin/promdrop")).unwrap();
        for unit in ["promdrop.service", "promdrop.timer"] {
            tree.install(&format!("systemd/{unit}"), unit, |text| text);
        }
        tree
    }

    /// The same with the drop-in for commands, changed by `change`.
    fn for_commands(change: impl Fn(String) -> String) -> Self {
        let tree = Self::new();
        fs::create_dir(tree.0.path().join("etc/systemd/system/promdrop.service.d")).unwrap();
        tree.install("systemd/commands.conf", "promdrop.service.d/commands.conf", change);
        tree
    }

    /// The same with the drop-in for other network namespaces.
    fn for_netns() -> Self {
        let tree = Self::new();
        fs::create_dir(tree.0.path().join("etc/systemd/system/promdrop.service.d")).unwrap();
        tree.install("systemd/netns.conf", "promdrop.service.d/netns.conf", |text| text);
        tree
    }

    fn install(&self, file: &str, name: &str, change: impl Fn(String) -> String) {
        let text = change(fs::read_to_string(shipped(file)).unwrap());
        fs::write(self.0.path().join("etc/systemd/system").join(name), text).unwrap();
    }

    #[track_caller]
    fn assert_clean(&self) {
        let units = ["promdrop.service", "promdrop.timer"];
        let (output, text) = analyze(Some(self.0.path()), &[&["verify", "--man=no"][..], &units].concat());
        assert!(output.status.success() && text.is_empty(), "{}: {text}", output.status);
    }

    /// Fails where the service is more exposed than `most`, in tenths.
    #[track_caller]
    fn assert_exposure(&self, most: u32) {
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--no-pager", "--offline=true", &threshold, "promdrop.service"];
        let (output, text) = analyze(Some(self.0.path()), &arguments);
        let verdict = text.lines().rfind(|line| line.contains("exposure level")).unwrap_or(&text);
        println!("{verdict}");
        assert!(output.status.success(), "more than {most} tenths:\n{text}");
    }
}

/// What `systemd-analyze` says, on the machine itself or in a tree.
fn analyze(root: Option<&Path>, arguments: &[&str]) -> (Output, String) {
    need("systemd-analyze");
    let mut command = Command::new("systemd-analyze");
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    // Its verdict has a face where the locale has one.
    let output = command.args(arguments).env("LC_ALL", "C").env("TZ", "UTC").output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(text).unwrap())
}

#[test]
fn systemd_takes_the_units_without_a_word() {
    Tree::new().assert_clean();
    Tree::for_commands(|text| text).assert_clean();
    Tree::for_netns().assert_clean();
}

#[test]
fn systemd_takes_what_the_drop_in_offers_beyond_what_it_sets() {
    let offered = |text: String| {
        let uncommented = |line: &str| match line.strip_prefix('#') {
            Some(setting) if setting.split_once('=').is_some_and(|(key, _)| is_key(key)) => {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        };
        let offered = text.lines().map(uncommented).collect::<String>();
        assert!(offered.contains("\nPrivateDevices=no\n"), "{offered}");
        offered
    };
    Tree::for_commands(offered).assert_clean();
}

fn is_key(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric())
}

#[test]
fn the_service_is_hardly_exposed_and_with_the_drop_in_no_more_than_commands_need() {
    Tree::new().assert_exposure(EXPOSURE);
    Tree::for_commands(|text| text).assert_exposure(EXPOSURE_FOR_COMMANDS);
    Tree::for_netns().assert_exposure(EXPOSURE_FOR_NETNS);
}

#[test]
fn the_timer_ticks_four_times_a_minute_on_the_quarters() {
    let text = fs::read_to_string(shipped("systemd/promdrop.timer")).unwrap();
    let calendar = text.lines().find_map(|line| line.strip_prefix("OnCalendar=")).unwrap();
    let base = ["--base-time=2026-01-01 00:00:01 UTC", "--iterations=5"];
    let (output, text) = analyze(None, &[&["calendar", calendar][..], &base].concat());
    assert!(output.status.success(), "{text}");
    let times = text.lines().filter_map(|line| line.strip_suffix(" UTC")?.rsplit(' ').next());
    assert_eq!(
        times.collect::<Vec<_>>(),
        ["00:00:15", "00:00:30", "00:00:45", "00:01:00", "00:01:15"],
        "{text}"
    );
}
