//! Collector files, right and wrong, as `promdrop check` sees them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use promdrop::collect::read_module;
use promdrop::config::load::{Loaded, load_directory, load_file};

use crate::support::promdrop;

const MODULE: &str = "module: netstat\n";

/// Runs `promdrop check` with `arguments` in `dir`; exit status and stderr, stdout being empty.
fn check(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        promdrop().current_dir(dir).arg("check").args(arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stdout), "", "check {arguments:?}");
    (status.code().expect("ended by a signal"), String::from_utf8(stderr).unwrap())
}

/// A directory that nobody else can write to, holding `files`.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn load(dir: &Path) -> Loaded<()> {
    load_directory(dir, &|top, header| read_module(top, header).map(drop)).unwrap()
}

fn names(loaded: &Loaded<()>) -> (Vec<&str>, Vec<(String, Option<&str>)>) {
    let definitions = loaded.definitions.iter().map(|d| d.stem.as_str()).collect();
    let failed = loaded.failed.iter();
    let failed = failed.map(|f| {
        (f.path.file_name().unwrap().to_string_lossy().into_owned(), f.stem.as_ref().map(|s| s.as_str()))
    });
    (definitions, failed.collect())
}

#[test]
fn bad_configurations_are_told_as_expected() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad-config");
    let bless = std::env::var_os("PROMDROP_BLESS").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in cases.iter().filter(|path| path.extension().is_some_and(|e| e == "yaml")) {
        count += 1;
        let (status, stderr) = check(&dir, &[file.file_name().unwrap().to_str().unwrap()]);
        assert_eq!(status, 1, "{}: {stderr}", file.display());
        let expected = file.with_extension("txt");
        if bless {
            fs::write(&expected, &stderr).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != stderr {
            wrong.push(format!("--- {}\n{stderr}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "PROMDROP_BLESS=1 accepts these:\n{}", wrong.join("\n"));
    assert!(count >= 40, "only {count} cases in {}", dir.display());
    let lonely = cases.iter().find(|p| !p.with_extension("yaml").exists());
    assert_eq!(lonely, None, "a message without its case");
}

#[test]
fn a_huge_file_is_refused_unread() {
    let dir = directory(&[]);
    fs::File::create(dir.path().join("huge.yaml")).unwrap().set_len(1 << 40).unwrap();
    let (status, stderr) = check(dir.path(), &["huge.yaml"]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("huge.yaml: the file is larger than 1 MiB\n"), "{stderr}");

    // The largest that is read; a comment fills it.
    let filler = "#".repeat((1 << 20) - MODULE.len() - 1);
    fs::write(dir.path().join("huge.yaml"), format!("{MODULE}{filler}\n")).unwrap();
    assert_eq!(check(dir.path(), &["huge.yaml"]), (0, String::new()));
}

#[test]
fn hostile_texts_are_refused_in_few_words() {
    let mebibyte = |part: &str| part.repeat((1 << 20) / part.len());
    let keys: String = (0..60_000).map(|i| format!("key{i}: 1\n")).collect();
    let labels: String = (0..40_000).map(|i| format!("  a-{i}: b\n")).collect();
    let bomb = format!(
        "a: &a [{}]\nb: [{}]\n",
        mebibyte("x, ")[..500_000].trim_end_matches(' '),
        "*a, ".repeat(99_000)
    );
    let texts = [
        keys,
        format!("{MODULE}labels:\n{labels}"),
        bomb,
        mebibyte("- "),
        mebibyte("? "),
        mebibyte("a: "),
        mebibyte("&a "),
        mebibyte("!a "),
        mebibyte("\""),
        mebibyte("- a\n"),
        mebibyte("---\n"),
        mebibyte("[]"),
        mebibyte("%"),
        format!("{MODULE}user: {}\n", mebibyte("x")[..1_000_000].to_owned()),
    ];
    let dir = directory(&[]);
    for text in texts {
        let file = dir.path().join("slow.yaml");
        fs::write(&file, &text).unwrap();
        let (status, stderr) = check(dir.path(), &["slow.yaml"]);
        let head = &text[..40];
        assert_eq!(status, 1, "{head:?}: {stderr}");
        assert!(stderr.len() < 10_000, "{head:?}: {} bytes of messages", stderr.len());
    }
}

#[test]
fn what_is_not_a_regular_file_is_not_waited_for() {
    let dir = directory(&[]);
    let fifo = dir.path().join("fifo.yaml");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("device.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
    let (status, stderr) = check(dir.path(), &["."]);
    assert_eq!(status, 1);
    let messages: Vec<&str> = stderr.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        messages,
        [
            "./dangling.yaml: can't be read: No such file or directory",
            "./device.yaml: this is a device, not a regular file",
            "./fifo.yaml: this is a FIFO, not a regular file",
        ]
    );
}

#[test]
fn only_definitions_are_loaded() {
    let dir = directory(&[
        ("b.yaml", MODULE),
        ("a.yaml", "\u{feff}module: netstat\r\nenabled: false\r\n"),
        (".hidden.yaml", "nonsense"),
        ("c.yaml~", "nonsense"),
        ("d.yaml.dpkg-dist", "nonsense"),
        ("e.dpkg-new.yaml", "nonsense"),
        ("README", "nonsense"),
        ("f.yaml.disabled", "nonsense"),
        ("g.json", "nonsense"),
    ]);
    fs::create_dir(dir.path().join("examples")).unwrap();
    fs::write(dir.path().join("examples/x.yaml"), "nonsense").unwrap();
    fs::create_dir(dir.path().join("folder.yaml")).unwrap();
    std::os::unix::fs::symlink("b.yaml", dir.path().join("link.yaml")).unwrap();
    let loaded = load(dir.path());
    assert_eq!(names(&loaded), (vec!["a", "b", "link"], vec![]));
    assert!(!loaded.definitions[0].header.enabled);
    assert_eq!(check(dir.path(), &["."]), (0, String::new()));
}

#[test]
fn a_failed_file_claims_its_name() {
    let dir = directory(&[
        ("good.yaml", MODULE),
        ("broken.yaml", "module: [\n"),
        ("Mail Queue.yaml", MODULE),
        ("promdrop.yaml", MODULE),
        ("wrong.yml", MODULE),
        ("good.yml", MODULE),
        ("loud.YAML", MODULE),
    ]);
    let bytes = std::ffi::OsStr::from_bytes(b"\xff.yaml");
    fs::write(dir.path().join(bytes), MODULE).unwrap();
    let failed = [
        ("Mail Queue.yaml", None),
        ("broken.yaml", Some("broken")),
        ("good.yml", None),
        ("loud.YAML", Some("loud")),
        ("promdrop.yaml", None),
        ("wrong.yml", Some("wrong")),
        ("\u{fffd}.yaml", None),
    ];
    let failed = failed.map(|(name, stem)| (name.to_owned(), stem)).to_vec();
    assert_eq!(names(&load(dir.path())), (vec!["good"], failed));
}

#[test]
fn the_collectors_directory_is_the_default_and_must_be_there() {
    let dir = directory(&[("x.yaml", "module: netstat\nintervall: 5s\n")]);
    let expected = "d/x.yaml:2:1: unknown key `intervall` in `file`\n 2 | intervall: 5s\n   | ^\n   \
                    = did you mean `interval`?\n";
    let above = directory(&[]);
    std::os::unix::fs::symlink(dir.path(), above.path().join("d")).unwrap();
    assert_eq!(check(above.path(), &["--collectors-dir", "d"]), (1, expected.to_owned()));
    assert_eq!(check(above.path(), &["d/x.yaml"]), (1, expected.to_owned()));

    let (status, stderr) = check(above.path(), &["--collectors-dir", "absent"]);
    assert_eq!(status, 2);
    assert_eq!(
        stderr,
        "absent: can't read the collectors directory: No such file or directory\n   \
         = create it, or name another with --collectors-dir or PROMDROP_COLLECTORS_DIR\n"
    );
}

#[test]
fn a_file_of_any_name_is_checked_as_what_it_will_be_called() {
    let dir = directory(&[("tmp.Xy12", MODULE), ("Bad.yaml", MODULE), ("wrong", "module: 1\n")]);
    assert_eq!(check(dir.path(), &["tmp.Xy12"]).0, 0);
    assert_eq!(check(dir.path(), &["--name", "mail-queue", "tmp.Xy12"]).0, 0);
    assert_eq!(check(dir.path(), &["--name", "ok", "Bad.yaml"]).0, 0);

    let (status, stderr) = check(dir.path(), &["Bad.yaml"]);
    assert_eq!(
        (status, stderr.lines().next()),
        (1, Some("Bad.yaml: `Bad` can't be the name of a collector or a .prom file"))
    );
    let (status, stderr) = check(dir.path(), &["--name", "Mail", "tmp.Xy12"]);
    assert_eq!(
        (status, stderr.lines().next()),
        (2, Some("--name: `Mail` can't be the name of a collector or a .prom file"))
    );
    assert_eq!(check(dir.path(), &["--name", "a", "tmp.Xy12", "wrong"]).0, 2);
    assert_eq!(check(dir.path(), &["--name", "a", "."]).0, 2);
    assert_eq!(check(dir.path(), &["--name", "a"]).0, 2);

    // The worst of several decides, and all are told.
    let (status, stderr) = check(dir.path(), &["wrong", "absent", "tmp.Xy12"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("wrong:1:9: ") && stderr.contains("absent: can't be read"), "{stderr}");
}

#[test]
fn a_lone_module_gets_the_documented_defaults() {
    let dir = directory(&[("n.yaml", MODULE)]);
    let (header, ()) = load_file(&dir.path().join("n.yaml"), None, &|_, _| Some(())).unwrap();
    assert_eq!(header.interval, Duration::from_secs(60));
    assert_eq!(header.timeout, Duration::from_secs(10));
    assert_eq!(header.max_age, Duration::from_secs(300));
    assert!(header.enabled && header.user.is_none() && header.labels.is_empty());
}
