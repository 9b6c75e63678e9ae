//! The module `file`, over real files, as other users.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use crate::support::host::Host;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A host with a folder `data` that everyone can enter.
fn host() -> Host {
    let host = Host::new();
    mode(&host.path(""), 0o755);
    fs::create_dir(host.path("data")).unwrap();
    host
}

fn write(host: &Host, name: &str, text: &str, permissions: u32) {
    let path = host.path("data").join(name);
    fs::write(&path, text).unwrap();
    mode(&path, permissions);
}

/// A collector `x` over the files that `paths` name in `data`.
fn collector(host: &Host, header: &str, paths: &str, more: &str) {
    let paths = format!("[{}/{paths}]", host.path("data").display());
    host.collector("x", &format!("module: file\n{header}file:\n  paths: {paths}\n{more}"));
}

const VALUE: &str = "  output: {format: value, name: a}\n";

/// What a run that fails says, without the directory's name.
fn failure(host: &Host) -> String {
    let (status, _, stderr) = host.outcome(&["run", "x"]);
    assert_eq!(status, 1, "{stderr}");
    assert!(!host.text("x.prom").lines().any(|line| line.starts_with("a ") || line.starts_with("a{")));
    stderr.replace(host.path("").to_str().unwrap(), "").replace("//", "/")
}

#[test]
fn the_kernels_own_files_are_read() {
    let host = Host::new();
    host.collector(
        "x",
        "module: file\nuser: nobody\nfile:\n  paths: [/proc/loadavg, /proc/sys/kernel/ostype*]\n  output:\n    \
         format: regex\n    pattern: '^(?P<value>\\d\\S+) |^(?P<os>Linux)'\n    metrics:\n      \
         - {name: load, value: value, labels_from: {}, where: {value: .+}, optional: true}\n      \
         - {name: os, reduce: count, labels_from: {os: os}, where: {os: .+}, optional: true}\n",
    );
    host.run_well(&["x"]);
    let published = host.published("x");
    assert_eq!(published.value("os", &[("os", "Linux")]), 1.0);
    assert!(published.value("load", &[]) >= 0.0);
}

#[test]
fn a_pattern_names_files_and_their_path_gives_labels() {
    let host = host();
    for (name, value) in [("zone0", "41000"), ("zone1", "42500"), (".zone2", "9"), ("other", "x")] {
        write(&host, name, value, 0o644);
    }
    let more = "  path_labels: '/zone(?P<zone>\\d+)$'\n  output: {format: value, name: temp_celsius, scale: 0.001}\n";
    collector(&host, "labels: {host: a}\n", "zone*", more);
    host.run_well(&["x"]);
    let text = host.text("x.prom");
    let published: Vec<&str> = text.lines().filter(|line| line.starts_with("temp_celsius")).collect();
    assert_eq!(
        published,
        ["temp_celsius{zone=\"0\",host=\"a\"} 41", "temp_celsius{zone=\"1\",host=\"a\"} 42.5"]
    );
}

#[test]
fn what_the_user_may_not_read_is_not_read() {
    let host = host();
    write(&host, "secret", "7", 0o600);
    symlink(host.path("data/secret"), host.path("data/link")).unwrap();
    fs::create_dir(host.path("data/closed")).unwrap();
    write(&host, "closed/open", "7", 0o644);
    mode(&host.path("data/closed"), 0o700);
    for name in ["secret", "link", "closed/open"] {
        collector(&host, "user: nobody\n", name, VALUE);
        assert_eq!(
            failure(&host),
            format!("promdrop: x: output: data/{name}: Permission denied (os error 13)\n"),
            "{name}"
        );
        // As root, all of them.
        collector(&host, "", name, VALUE);
        host.run_well(&["x"]);
        assert_eq!(host.published("x").value("a", &[]), 7.0, "{name}");
        fs::remove_file(host.textfile_dir().join("x.prom")).unwrap();
    }
    // The group is the user's, and none of root's.
    write(&host, "of-group", "8", 0o640);
    collector(&host, "user: nobody\n", "of-group", VALUE);
    assert!(failure(&host).contains("Permission denied"));
    nix::unistd::chown(&host.path("data/of-group"), None, Some(nix::unistd::Gid::from_raw(65534))).unwrap();
    host.run_well(&["x"]);
    assert_eq!(host.published("x").value("a", &[]), 8.0);
}

/// /proc/self is promdrop's own, which the kernel lets promdrop's threads see.
#[test]
fn no_link_leads_through_promdrop_itself() {
    let host = host();
    write(&host, "secret", "7", 0o644);
    mode(&host.path("data"), 0o700);
    fs::create_dir(host.path("links")).unwrap();
    symlink("/proc/self/cwd/secret", host.path("links/cwd")).unwrap();
    symlink("/proc/self/oom_score", host.path("links/score")).unwrap();
    for (link, why) in
        [("cwd", "Too many levels of symbolic links (os error 40)"), ("score", "it is about promdrop itself")]
    {
        let path = host.path("links").join(link);
        let yaml = format!("module: file\nuser: nobody\nfile:\n  paths: [{}]\n{VALUE}", path.display());
        host.collector("x", &yaml);
        let run = host.run().arg("x").current_dir(host.path("data")).output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(said.contains(why), "{link}: {said}");
    }
}

#[test]
fn a_directory_that_can_not_be_listed_is_told() {
    let host = host();
    write(&host, "open", "7", 0o644);
    mode(&host.path("data"), 0o711);
    collector(&host, "user: nobody\n", "*", VALUE);
    assert_eq!(failure(&host), "promdrop: x: output: data/*: Permission denied (os error 13)\n  data\n");
}

#[test]
fn no_device_fifo_or_directory_is_opened() {
    let host = host();
    let fifo = host.path("data/fifo");
    nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o644)).unwrap();
    fs::create_dir(host.path("data/dir")).unwrap();
    symlink("/dev/zero", host.path("data/zero")).unwrap();
    for (name, why) in [
        ("fifo", "it is no regular file"),
        ("zero", "it is no regular file"),
        ("dir", "it is no regular file"),
        ("missing", "No such file or directory (os error 2)"),
    ] {
        collector(&host, "", name, VALUE);
        assert_eq!(failure(&host), format!("promdrop: x: output: data/{name}: {why}\n"));
    }
}

#[test]
fn what_can_not_be_read_may_be_passed_over() {
    let host = host();
    write(&host, "n1", "7", 0o644);
    write(&host, "n2", "8", 0o600);
    let more = format!("  path_labels: 'n(?P<n>\\d)$'\n  skip_unreadable: true\n{VALUE}");
    collector(&host, "user: nobody\n", "n*", &more);
    let said = String::from_utf8(host.run_well(&["x"]).stderr).unwrap();
    assert!(said.contains("n*: Permission denied"), "{said}");
    let published = host.published("x");
    assert_eq!(published.value("a", &[("n", "1")]), 7.0);
    fs::remove_file(host.path("data/n1")).unwrap();
    assert!(failure(&host).contains("there is no such file, or none that can be read"));
    let empty = "  output: {format: value, name: a, allow_empty: true}\n";
    collector(&host, "", "none-such*", empty);
    host.run_well(&["x"]);
    assert_eq!(host.published("x").value("promdrop_collector_series", &[("collector", "x")]), 0.0);
}

#[test]
fn too_much_is_refused() {
    let host = host();
    write(&host, "large", &"1".repeat((4 << 20) + 1), 0o644);
    collector(&host, "", "large", VALUE);
    assert_eq!(failure(&host), "promdrop: x: limit: the files hold more than 4 MiB\n");
    for n in 0..=1000 {
        write(&host, &format!("n{n}"), "1", 0o644);
    }
    collector(&host, "", "n*", VALUE);
    assert_eq!(failure(&host), "promdrop: x: limit: there are more than 1000 files: name fewer\n");
}

/// Reading the kernel's log waits for the next message.
#[test]
fn a_file_that_hangs_ends_with_the_timeout() {
    let host = Host::new();
    host.collector(
        "x",
        "module: file\ntimeout: 500ms\nfile: {paths: [/proc/kmsg], output: {format: value, name: a}}\n",
    );
    let began = Instant::now();
    assert_eq!(failure(&host), "promdrop: x: timeout: reading did not end within 500ms\n");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn series_are_budgeted() {
    let host = host();
    let many: String = (0..6000).map(|n| format!("a{{n=\"{n}\"}} 1\n")).collect();
    write(&host, "many", &many, 0o644);
    collector(&host, "", "many", "");
    assert_eq!(
        failure(&host),
        "promdrop: x: limit: it has 6000 series, its `max_series` is 5000: drop a label, or raise it\n  \
         most of them: 6000 a\n"
    );
    collector(&host, "max_series: 6000\n", "many", "");
    host.run_well(&["x"]);
    assert_eq!(host.published("x").value("promdrop_collector_series", &[("collector", "x")]), 6000.0);
}
