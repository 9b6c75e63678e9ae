//! The manual pages and the program say the same.

mod sections;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::CommandFactory as _;
use promdrop::cli::Cli;
use promdrop::collect::{MAX_SERIES, MODULES};
use promdrop::config::load::load_file;
use promdrop::config::{Header, OnFailure};
use promdrop::exposition::{Harm, Rule};

use crate::support::{need, promdrop};

pub fn page() -> String {
    plain("promdrop.yaml.5")
}

/// The header keys of the page, each with what its text says.
fn documented() -> BTreeMap<String, String> {
    let page = page();
    let section = page.split(".Sh ").find(|section| section.starts_with("HEADER KEYS\n")).unwrap();
    let items = section.split(".It Ic ").skip(1);
    items.map(|item| (item.split(' ').next().unwrap().to_owned(), item.to_owned())).collect()
}

/// A page of man, its dashes, backslashes and quotes as a reader sees them.
pub fn plain(page: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(page)).unwrap();
    page.replace("\\-", "-").replace("\\e", "\\").replace("\\(dq", "\"").replace("\\(aq", "'")
}

/// The defaults that promdrop.yaml(5) states as one word, by the section's name, "" for the header keys, and the key.
pub fn defaults() -> BTreeMap<(String, String), String> {
    let page = page().replace("\n.Ql ", " ").replace("\n.Sx ", " ").replace(" .\n", ".\n");
    let mut found = BTreeMap::new();
    for section in page.split("\n.S").skip(1) {
        let title = section.split_once(' ').unwrap().1.lines().next().unwrap();
        let mut section_is = match title {
            "HEADER KEYS" => "",
            "OUTPUT FORMATS" => "prometheus",
            "Metrics" => "metric",
            other => other,
        };
        for item in section.split("\n.It Ic ").skip(1) {
            let key = item.split(' ').next().unwrap();
            // The maps within.
            section_is = match (section_is, key) {
                ("ping", "host") => "target",
                ("target", "count") => "ping",
                ("command", "cpu") => "rlimits",
                ("rlimits", "output") => "command",
                (same, _) => same,
            };
            let Some((_, default)) = item.split_once("Default: ") else { continue };
            let default =
                default.split(".\n").next().unwrap().split(", ").next().unwrap().trim_end_matches([' ', '.']);
            if !default.contains([' ', '\n']) && default != "none" {
                found.insert((section_is.to_owned(), key.to_owned()), default.to_owned());
            }
        }
    }
    found
}

fn header(text: &str) -> Header {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    load_file(file.path(), None, &|_, _| Some(())).unwrap().0
}

#[test]
fn the_pages_are_clean_mdoc() {
    need("mandoc");
    for page in ["man/promdrop.yaml.5", "man/promdrop.8"] {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(page).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&lint.stdout), "");
        assert!(lint.status.success(), "{lint:?}");
    }
}

/// What a program says it knows where it meets `yaml`, which has a key that it doesn't.
pub fn known(yaml: &str) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), yaml).unwrap();
    let check = promdrop().current_dir(dir.path()).args(["check", "x"]).output().unwrap();
    let stderr = String::from_utf8(check.stderr).unwrap();
    match stderr.split_once("known here: ") {
        Some((_, keys)) => keys.lines().next().unwrap().split(", ").map(str::to_owned).collect(),
        None => {
            assert!(stderr.contains("takes no keys"), "{stderr}");
            BTreeSet::new()
        }
    }
}

/// The formats that a program knows, told where it meets another.
pub fn known_formats() -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("x"),
        "module: command\ncommand: {argv: [a], output: {format: zzzzzzzzzz}}\n",
    )
    .unwrap();
    let check = promdrop().current_dir(dir.path()).args(["check", "x"]).output().unwrap();
    let stderr = String::from_utf8(check.stderr).unwrap();
    let (_, formats) = stderr.trim_end().split_once("formats: ").expect(&stderr);
    formats.split(", ").map(str::to_owned).collect()
}

/// A module without its section in the manual, or with other keys there, is not finished.
#[test]
fn the_page_has_the_keys_of_every_module() {
    let page = page();
    for module in MODULES.iter().map(|module| module.name) {
        let section = page.split(".Ss ").find(|text| text.starts_with(&format!("{module}\n")));
        let section = section.unwrap_or_else(|| panic!("promdrop.yaml(5) has no section {module}"));
        let section = section.split("\n.Sh ").next().unwrap();
        let documented: BTreeSet<String> =
            section.split(".It Ic ").skip(1).map(|item| item.split(' ').next().unwrap().to_owned()).collect();
        let mut keys = known(&format!("module: {module}\n{module}: {{zzzzzzzzzz: 1}}\n"));
        // The keys of the maps below.
        match module {
            "ping" => keys.extend(known(
                "module: ping
ping: {targets: [{host: a, zzzzzzzzzz: 1}]}
",
            )),
            "command" => keys.extend(known(
                "module: command
command: {argv: [a], rlimits: {zzzzzzzzzz: 1}}
",
            )),
            _ => {}
        }
        assert_eq!(documented, keys, "{module}");
    }
}

/// The keys of a format are its own and those of all formats; where it gives records, those of metrics too.
#[test]
fn the_page_has_the_keys_of_every_format() {
    let page = page();
    let formats = page.split(".Sh ").find(|section| section.starts_with("OUTPUT FORMATS\n")).unwrap();
    let keys = |section: &str| -> BTreeSet<String> {
        section.split(".It Ic ").skip(1).map(|item| item.split(' ').next().unwrap().to_owned()).collect()
    };
    let mut sections = formats.split(".Ss ");
    let common = keys(sections.next().unwrap());
    let mut sections: BTreeMap<&str, &str> =
        sections.map(|section| section.split_once('\n').unwrap()).collect();
    let metrics = keys(sections.remove("Metrics").unwrap());
    sections.remove("Numbers and units").unwrap();
    let knows = |rest: &str| {
        known(&format!(
            "module: command\ncommand: {{argv: [a], output: {{format: {rest}, zzzzzzzzzz: 1}}}}\n"
        ))
    };
    for format in known_formats() {
        let section = sections.remove(format.as_str());
        let section = section.unwrap_or_else(|| panic!("promdrop.yaml(5) has no format {format}"));
        let mut documented = &keys(section) | &common;
        if !["prometheus", "nagios"].contains(&format.as_str()) {
            documented.extend(metrics.iter().cloned());
            let several =
                &(&(&knows(&format!("{format}, metrics: [{{name: a}}]")) - &keys(section)) - &common);
            assert_eq!(several.iter().collect::<Vec<_>>(), ["metrics"], "{format}");
        }
        assert_eq!(documented, knows(&format), "{format}");
    }
    assert_eq!(sections.keys().next(), None, "a format that there is not");
}

#[test]
fn the_page_has_the_options_and_commands_of_the_program() {
    let plain = plain("promdrop.8");
    let command = Cli::command();
    let mut options = BTreeSet::from(["help".to_owned(), "version".to_owned()]);
    let mut words = BTreeSet::new();
    for part in std::iter::once(&command).chain(command.get_subcommands()) {
        options.extend(part.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned));
    }
    words.extend(command.get_subcommands().map(|part| part.get_name().to_owned()));
    let documented: BTreeSet<String> = plain
        .lines()
        .filter(|line| line.starts_with(".It Fl "))
        .filter_map(|line| line.split("Fl -").last()?.split(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(documented, options);
    let commands: BTreeSet<String> = plain
        .lines()
        .filter_map(|line| line.strip_prefix(".It Cm ")?.split(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(commands, words);
    for argument in command.get_arguments() {
        for default in argument.get_default_values() {
            let default = default.to_str().unwrap();
            let said = ["Pa", "Li"].map(|word| plain.contains(&format!("Default:\n.{word} {default} .")));
            assert!(said.contains(&true), "{default}");
        }
        if let Some(variable) = argument.get_env().and_then(|name| name.to_str()) {
            assert!(
                plain.lines().any(|line| line.starts_with(".It Ev ") && line.contains(variable)),
                "{variable}"
            );
        }
    }
}

/// Each rule with its class and what comes of it, in the program's order.
#[test]
fn the_page_has_the_rules_that_the_program_has() {
    let plain = plain("promdrop.8");
    let (_, rules) = plain.split_once("\nThe rules are:\n").unwrap();
    let (rules, _) = rules.split_once("\n.El\n").unwrap();
    let documented: Vec<(&str, &str)> = rules
        .split(".It Li ")
        .skip(1)
        .map(|item| {
            let (rule, text) = item.split_once('\n').unwrap();
            (rule, text.split_once("\nElse: ").unwrap().1.trim_end())
        })
        .collect();
    let known: Vec<(String, String)> = Rule::ALL
        .iter()
        .map(|rule| {
            let class = rule.harm().map_or("advice", Harm::word);
            (format!("{} Pq {class}", rule.name()), format!("{}.", rule.effect()))
        })
        .collect();
    let known: Vec<(&str, &str)> = known.iter().map(|(rule, effect)| (&**rule, &**effect)).collect();
    assert_eq!(documented, known);
}

/// The program lists its keys when it meets one that it doesn't know.
#[test]
fn the_page_has_the_header_keys_that_the_program_knows() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), "module: netstat\nzzzzzzzzzz: 1\n").unwrap();
    let check = promdrop().current_dir(dir.path()).args(["check", "x"]).output().unwrap();
    let stderr = String::from_utf8(check.stderr).unwrap();
    let (_, keys) = stderr.trim_end().split_once("known here: ").expect(&stderr);
    let mut known: Vec<&str> = keys.split(", ").filter(|key| *key != "netstat").collect();
    known.sort_unstable();
    assert_eq!(documented().keys().map(String::as_str).collect::<Vec<_>>(), known);
}

#[test]
fn the_page_has_the_defaults_that_the_program_has() {
    let items = documented();
    let default = |key: &str| {
        let text = items[key].split_once("Default: ").map(|(_, text)| text.split(".\n").next().unwrap());
        text.map(str::to_owned)
    };
    let of = |duration: Duration| humantime::format_duration(duration).to_string();
    let usual = header("module: netstat\n");
    let Header {
        module: _,
        interval,
        timeout,
        max_age,
        on_failure,
        splay,
        enabled,
        user,
        group,
        max_series,
        labels,
    } = usual;
    assert_eq!(default("module"), None);
    assert_eq!(default("interval"), Some(of(interval)));
    assert_eq!(default("timeout"), Some(format!("the smaller of {} and the interval", of(timeout))));
    assert_eq!(header("module: netstat\ninterval: 3s\n").timeout, Duration::from_secs(3));
    let intervals = max_age.as_secs() / interval.as_secs();
    assert_eq!(default("max_age"), Some(format!("{intervals} intervals")));
    let word = match on_failure {
        OnFailure::Drop => "drop",
        OnFailure::Keep => "keep",
    };
    assert_eq!(default("on_failure").as_deref(), Some(word));
    assert_eq!(default("splay"), Some(splay.to_string()));
    assert_eq!(default("enabled"), Some(enabled.to_string()));
    assert_eq!((user, default("user").as_deref()), (None, Some("the user that promdrop runs as")));
    let most = default("max_series").unwrap();
    assert_eq!((max_series, most), (None, format!("{MAX_SERIES} for command and file, none for the others")));
    assert_eq!((group, default("group").as_deref()), (None, Some("the user's primary group")));
    assert_eq!((labels, default("labels").as_deref()), (Vec::new(), Some("none")));
}

/// The bounds that the page states are the last values that pass.
#[test]
fn the_page_has_the_bounds_that_the_program_has() {
    let items = documented();
    for (key, words) in [
        ("interval", "from 1s to 7days"),
        ("timeout", "from 100ms to the interval"),
        ("max_age", "From the interval to 35days"),
    ] {
        assert!(items[key].contains(words), "{key}: {}", items[key]);
    }
    header("module: m\ninterval: 1s\ntimeout: 100ms\nmax_age: 1s\n");
    header("module: m\ninterval: 7days\ntimeout: 7days\nmax_age: 35days\n");
}
