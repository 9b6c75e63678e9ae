//! The sections that every manual has, held to the program: environment, files, exit status, examples, security.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{CommandFactory as _, Parser as _};
use promdrop::cli::Cli;
use promdrop::collect::account::Account;
use promdrop::collect::command::protocol::{STDERR_FLOOD, STDERR_LIMIT, STDOUT_LIMIT};
use promdrop::config::defaults;
use promdrop::exporter::PATIENCE;
use promdrop::textfile::{LOCK_FILE, MAX_FILE, RUN_FILE, collector_file, exec_file};
use regex::Regex;

use super::plain;
use crate::support::host::Host;

/// The section `title` of promdrop(8).
fn section(title: &str) -> String {
    let page = plain("promdrop.8");
    let section = page.split("\n.Sh ").find(|section| section.starts_with(&format!("{title}\n")));
    section.unwrap_or_else(|| panic!("promdrop(8) has no section {title}")).to_owned()
}

/// The words of the section's items that are marked by `mark`.
fn items(section: &str, mark: &str) -> BTreeSet<String> {
    let lines = section.lines().filter_map(|line| line.strip_prefix(&format!(".It {mark} ")));
    lines.flat_map(|line| line.split(" , ")).map(str::to_owned).collect()
}

fn commands() -> BTreeSet<String> {
    Cli::command().get_subcommands().map(|part| part.get_name().to_owned()).collect()
}

/// The files below `directory` of the repository.
fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let (directories, mut files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    for inner in directories {
        files.extend(self::files(inner.to_str().unwrap()));
    }
    files
}

/// What `pattern` captures in the program's source, its tests left out.
fn in_source(pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    let mut found = BTreeSet::new();
    for path in files("src") {
        let is_test = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        if !is_test {
            found.extend(pattern.captures_iter(text).map(|captures| captures[1].to_owned()));
        }
    }
    found
}

#[test]
fn the_environment_is_that_which_the_program_reads_and_makes() {
    let mut known: BTreeSet<String> = in_source(r#"(?:var|var_os|variable|is)\("([A-Z][A-Z_]+)""#);
    known.extend(in_source(r#": &str = "([A-Z]+_[A-Z_]+)""#));
    known.extend(in_source(r"\b(PROMDROP_[A-Z_]*[A-Z])\b"));
    let command = Cli::command();
    for part in std::iter::once(&command).chain(command.get_subcommands()) {
        known.extend(part.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned)));
    }
    let of_commands = Account::of(None, None).unwrap().environment(Some("UTC".to_owned()), &[]);
    known.extend(of_commands.into_iter().map(|(name, _)| name));
    assert_eq!(items(&section("ENVIRONMENT"), "Ev"), known);

    let other = plain("promdrop.yaml.5");
    let other =
        items(other.split("\n.Sh ENVIRONMENT\n").nth(1).unwrap().split("\n.Sh ").next().unwrap(), "Ev");
    assert!(other.len() >= 3 && other.is_subset(&known), "{other:?}");
}

#[test]
fn the_files_are_those_that_there_are() {
    let command = Cli::command();
    let place = |id: &str| {
        let argument = command.get_arguments().find(|arg| arg.get_id() == id).unwrap();
        argument.get_default_values()[0].to_str().unwrap().to_owned()
    };
    let names = |directory: &str, of: &'static str| {
        let paths = files(directory)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| of.contains(e.to_str().unwrap())));
        paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut known = BTreeSet::from([
        format!("{}/*.yaml", place("collectors_dir")),
        defaults::FILE.to_owned(),
        "/etc/cron.d/promdrop".to_owned(),
        "/usr/share/doc/promdrop/examples".to_owned(),
    ]);
    known.extend(
        names("packaging/systemd", "service timer")
            .iter()
            .map(|name| format!("/usr/lib/systemd/system/{name}")),
    );
    known.extend(
        names("packaging/systemd", "conf")
            .iter()
            .map(|name| format!("/etc/systemd/system/promdrop.service.d/{name}")),
    );
    let shared = names("packaging/schema", "json").into_iter().chain(names("packaging/grafana", "json"));
    known.extend(shared.map(|name| format!("/usr/share/promdrop/{name}")));
    known.extend(
        ["/usr/share/promdrop/promdrop.rules.yml", "/usr/share/doc/promdrop/RUNBOOK.md"].map(str::to_owned),
    );
    let published =
        [&collector_file("NAME"), &exec_file("NAME"), "push.WORDS-HASH.prom", RUN_FILE, LOCK_FILE];
    known.extend(published.map(|name| format!("{}/{name}", place("textfile_dir"))));
    let told = section("FILES");
    let told = [" Ns Ar ", " Ns Pa ", " Ns Li "].iter().fold(told, |text, mark| text.replace(mark, ""));
    assert_eq!(items(&told, "Pa"), known);
}

/// Both ways: a family that no page describes, and one that there is not.
#[test]
fn the_families_are_those_that_there_are() {
    const FAMILY: &str = r"\b((?:promdrop|ping|netstat|push|count_netstat)_[a-z_]*[a-z])\b";
    // What a host really publishes: tests/system/help.rs holds it.
    let golden = include_str!("../../data/help.txt").lines();
    let known: BTreeSet<String> = golden
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    // The sysctl.
    let pages = (plain("promdrop.8") + &plain("promdrop.yaml.5")).replace("net.ipv4.ping_group_range", "");
    let pattern = Regex::new(FAMILY).unwrap();
    let told: BTreeSet<String> = pattern.captures_iter(&pages).map(|found| found[1].to_owned()).collect();
    assert_eq!(told, known);
    let declared = in_source(&format!(r#"(?:name: |gauge\(|counter\()\s*"{}""#, FAMILY.replace(r"\b", "")));
    let unknown: Vec<&String> = declared.difference(&known).collect();
    assert!(unknown.is_empty() && declared.len() > 40, "{unknown:?} of {}", declared.len());
}

/// Each example with promdrop in it is one that promdrop takes, and no command is without one.
#[test]
fn every_command_has_an_example_that_it_takes() {
    let examples = section("EXAMPLES");
    let lines = examples.lines().filter_map(|line| line.strip_prefix(".Dl "));
    let mut shown = BTreeSet::new();
    let ends = Regex::new(r" (?:\||&&|\|\|) |; | >").unwrap();
    for line in lines {
        let line = line.trim_matches('"');
        for part in ends.split(line).filter(|part| !part.contains("command -v ")) {
            let Some(at) = part.find("promdrop ") else { continue };
            let cli = Cli::try_parse_from(part[at..].split_whitespace());
            assert!(cli.is_ok(), "{line}: {}", cli.unwrap_err());
            shown.extend(part[at..].split_whitespace().nth(1).map(str::to_owned));
        }
    }
    assert_eq!(shown, commands());
}

/// Of options of one command; those of all are with the options themselves.
#[test]
fn the_defaults_of_options_are_the_programs() {
    let page = section("DESCRIPTION");
    let told: BTreeSet<(String, String)> = page
        .split("\n.It Fl -")
        .skip(1)
        .filter_map(|item| {
            let (_, default) = item.split_once("Default: ")?;
            let default = default.split(['\n', ' ']).next()?.trim_end_matches('.').to_owned();
            Some((item.split([' ', '\n']).next()?.to_owned(), default))
        })
        .filter(|(_, default)| default != "never" && default != "the" && default != "of")
        .collect();
    let mut known = BTreeSet::new();
    let command = Cli::command();
    for argument in command.get_subcommands().flat_map(|part| part.get_arguments()) {
        let defaults = argument.get_default_values().iter().filter(|_| argument.get_action().takes_values());
        let long = argument.get_long().unwrap_or_default().to_owned();
        known.extend(defaults.map(|default| (long.clone(), default.to_str().unwrap().to_owned())));
    }
    assert_eq!(told, known);
}

#[test]
fn what_the_pages_refer_to_is_there() {
    for page in ["promdrop.8", "promdrop.yaml.5"].map(plain) {
        let heads: BTreeSet<&str> =
            page.lines().filter_map(|line| line.strip_prefix(".S")?.get(2..)).collect();
        for line in page.lines().filter_map(|line| line.strip_prefix(".Sx ")) {
            let name = line.trim_end_matches([' ', ',', '.', ':', ';', ')']);
            assert!(heads.contains(name), "there is no section {name}");
        }
    }
}

#[test]
fn the_bounds_of_the_security_page_are_the_programs() {
    let page = section("SECURITY CONSIDERATIONS").replace('\n', " ");
    for bound in [
        format!("flood: {} MiB of output, {} MiB on stderr", STDOUT_LIMIT >> 20, STDERR_FLOOD >> 20),
        format!("the {} MiB of a file", MAX_FILE >> 20),
        format!("the last {} KiB of stderr", STDERR_LIMIT >> 10),
        format!("for {} seconds and 32 MiB at most", PATIENCE.as_secs()),
    ] {
        assert!(page.contains(&bound), "{bound}");
    }
}

/// What each command's exit status 0, 1 and 2 are about, seen once each.
#[test]
fn the_exit_statuses_are_as_the_page_says() {
    assert_eq!(items(&section("EXIT STATUS"), "Cm"), commands());
    let host = Host::new();
    host.collector("good", "module: netstat\n");
    host.collector("bad", "module: command\ncommand: {argv: [/nonexistent]}\n");
    host.collector("worse", "module: nothing\n");
    for (name, text) in
        [("good.prom", "a 1\n"), ("bad.prom", "a\n"), ("crontab", "1 2 3\n"), ("line", "0 0 * * * true\n")]
    {
        fs::write(host.path(name), text).unwrap();
    }
    let path = |name: &str| host.path(name).to_str().unwrap().to_owned();
    let definition = |name: &str| host.collectors_dir().join(name).to_str().unwrap().to_owned();
    let nowhere = path("nowhere");
    let elsewhere =
        |command: &'static str| vec![command.to_owned(), "--textfile-dir".to_owned(), nowhere.clone()];
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let with = |mut line: Vec<String>, more: &[&str]| {
        line.extend(more.iter().map(|word| (*word).to_owned()));
        line
    };
    for (status, line, input) in [
        (0, words("run good"), ""),
        (1, words("run bad"), ""),
        (2, words("run nobody"), ""),
        (2, elsewhere("run"), ""),
        (0, words("test good"), ""),
        (1, words("test bad"), ""),
        (2, words("test worse"), ""),
        (0, words("write w"), "a_b 1\n"),
        (1, words("write w"), "a_b\n"),
        (2, with(elsewhere("write"), &["w"]), "a_b 1\n"),
        (2, words("write W"), ""),
        (0, words("push job/x"), "c_d 1\n"),
        (1, words("push job/x"), "c_d\n"),
        (2, words("push x"), ""),
        (0, words("exec e -- true"), ""),
        (1, words("exec e -- false"), ""),
        (3, words("exec e -- sh -c exit\t3").iter().map(|word| word.replace('\t', " ")).collect(), ""),
        (126, words("exec e -- /"), ""),
        (127, words("exec e -- nonexistent-program"), ""),
        (124, words("exec --timeout 10ms e -- sleep 60"), ""),
        (2, words("exec --lock never e -- true"), ""),
        (0, vec!["check".to_owned(), definition("good.yaml")], ""),
        (1, vec!["check".to_owned(), definition("worse.yaml")], ""),
        (2, vec!["check".to_owned(), nowhere.clone()], ""),
        (0, words("completions bash"), ""),
        (2, words("completions nonsense"), ""),
        (1, words("status"), ""),
        (2, elsewhere("status"), ""),
        (0, words("prune"), ""),
        (2, elsewhere("prune"), ""),
        (0, vec!["lint".to_owned(), path("good.prom")], ""),
        (1, vec!["lint".to_owned(), "--strict".to_owned(), path("good.prom")], ""),
        (1, vec!["lint".to_owned(), path("bad.prom")], ""),
        (2, vec!["lint".to_owned(), nowhere.clone()], ""),
        (0, vec!["migrate".to_owned(), path("line")], ""),
        (1, vec!["migrate".to_owned(), path("crontab")], ""),
        (2, vec!["migrate".to_owned(), nowhere.clone()], ""),
    ] {
        let mut command = host.promdrop();
        fs::write(host.path("input"), input).unwrap();
        command.args(&line).stdin(fs::File::open(host.path("input")).unwrap());
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{line:?}: {output:?}");
    }
}
