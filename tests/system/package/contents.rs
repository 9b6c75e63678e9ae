//! What is in the package.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::{built, printed, repository};
use crate::support::names;

/// Its files, each with its mode and owner.
fn files() -> BTreeMap<String, String> {
    let listing = printed(Command::new("dpkg-deb").arg("--contents").arg(built()));
    let entries = listing.lines().map(|line| {
        let mut words = line.split_whitespace();
        let (mode, owner) = (words.next().unwrap(), words.next().unwrap());
        (words.last().unwrap().trim_start_matches('.').to_owned(), format!("{mode} {owner}"))
    });
    entries.filter(|(path, _)| !path.ends_with('/')).collect()
}

#[test]
fn the_package_holds_the_program_and_all_that_belongs_to_it() {
    let mut files = files();
    let program = files.remove("/usr/bin/promdrop").unwrap();
    assert_eq!(program, "-rwxr-xr-x 0/0");
    for (path, mode) in &files {
        assert_eq!(mode, "-rw-r--r-- 0/0", "{path}");
    }
    const EXAMPLES: &str = "/usr/share/doc/promdrop/examples/";
    let (examples, rest): (Vec<_>, Vec<_>) = files.into_keys().partition(|path| path.starts_with(EXAMPLES));
    for (folder, from) in [("collectors.d/", "collectors.d/examples"), ("systemd/", "packaging/systemd")] {
        let shown = examples.iter().filter_map(|path| path.strip_prefix(EXAMPLES)?.strip_prefix(folder));
        let mut there = names(&repository(from));
        there.retain(|name| !name.contains(".service") && !name.contains(".timer"));
        assert_eq!(shown.collect::<Vec<_>>(), there);
    }
    let wanted = "\
        /etc/cron.d/promdrop \
        /etc/default/promdrop \
        /etc/promdrop/collectors.d/netstat.yaml \
        /etc/promdrop/collectors.d/ping.yaml \
        /usr/lib/systemd/system/promdrop.service \
        /usr/lib/systemd/system/promdrop.timer \
        /usr/share/bash-completion/completions/promdrop \
        /usr/share/doc/promdrop/README.md \
        /usr/share/doc/promdrop/RUNBOOK.md \
        /usr/share/doc/promdrop/changelog.Debian.gz \
        /usr/share/doc/promdrop/changelog.gz \
        /usr/share/doc/promdrop/copyright \
        /usr/share/fish/vendor_completions.d/promdrop.fish \
        /usr/share/lintian/overrides/promdrop \
        /usr/share/man/man5/promdrop.yaml.5.gz \
        /usr/share/man/man8/promdrop.8.gz \
        /usr/share/promdrop/collector.schema.json \
        /usr/share/promdrop/promdrop.json \
        /usr/share/promdrop/promdrop.rules.yml \
        /usr/share/zsh/vendor-completions/_promdrop";
    assert_eq!(rest, wanted.split(' ').collect::<Vec<_>>());

    let conffiles = printed(Command::new("dpkg-deb").arg("--info").arg(built()).arg("conffiles"));
    let mut conffiles: Vec<&str> = conffiles.split_whitespace().collect();
    conffiles.sort_unstable();
    let configuration: Vec<_> = rest.iter().filter(|path| path.starts_with("/etc/")).collect();
    assert_eq!(conffiles, configuration);
}

#[test]
fn lintian_finds_no_fault() {
    // What it finds goes to stdout; that it runs as root, to stderr.
    let found = Command::new("lintian").args(["--fail-on", "error,warning"]).arg(built()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert!(found.status.success(), "{found:?}");
}

#[test]
fn the_package_is_of_the_programs_version_and_of_any_architecture() {
    let version = concat!(env!("CARGO_PKG_VERSION"), "-1");
    let changelog = fs::read_to_string(repository("packaging/debian/changelog")).unwrap();
    assert!(changelog.starts_with(&format!("promdrop ({version}) ")), "{changelog}");
    let field = |name| printed(Command::new("dpkg-deb").arg("--field").arg(built()).arg(name));
    assert_eq!(field("Version").trim(), version);
    assert_eq!(field("Architecture"), printed(Command::new("dpkg").arg("--print-architecture")));
    assert!(field("Depends").contains("libc6 (>= "), "{}", field("Depends"));
    // It is arm64's by `--target` alone.
    let manifest = fs::read_to_string(repository("Cargo.toml")).unwrap();
    let (_, metadata) = manifest.split_once("\n[package.metadata.deb]\n").unwrap();
    let (metadata, _) = metadata.split_once("\n[").unwrap();
    for architecture in ["amd64", "x86", "linux-gnu"] {
        assert!(!metadata.contains(architecture), "{metadata}");
    }
}
