//! Secrets reach the command and nothing else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::support::host::Host;
use crate::support::need;
use crate::support::single::{NAME, Single, shell};

/// Nothing else on this host has it in it.
const SECRET: &str = "hunter2-\"q\"\\\t\u{e4}-0123456789";

/// A host with the secret in `key`, for promdrop alone.
fn host() -> Host {
    let host = Host::new();
    write(&host.path("key"), format!("{SECRET}\n").as_bytes());
    host
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn with_key(host: &Host, header: &str, script: &str, more: &str) -> String {
    shell(header, script, &format!("secrets: {{KEY: {}}}\n{more}", host.path("key").display()))
}

/// Fails if any file that is published, or `said`, has a part of the secret in it.
#[track_caller]
fn assert_nowhere(host: &Host, said: &str) {
    let published = fs::read_dir(host.textfile_dir()).unwrap().map(|entry| entry.unwrap().path());
    let published = published.map(|path| fs::read_to_string(path).unwrap());
    for text in published.chain([said.to_owned()]) {
        assert!(!text.contains("hunter2") && !text.contains("0123456789"), "{text}");
    }
}

#[test]
fn it_reaches_the_command_of_a_user_who_may_not_read_it_and_no_argument() {
    need("python3");
    let host = host();
    let script = format!(
        "exec python3 -c '
import glob, os, sys
key = os.environb[b\"KEY\"]
found = 0
for path in glob.glob(\"/proc/[0-9]*/cmdline\"):
    try: found += key in open(path, \"rb\").read()
    except OSError: pass
print(\"whole\", int(key == bytes.fromhex(\"{}\")))
print(\"in_arguments\", found)
print(\"readable\", int(os.access(\"{}\", os.R_OK)))
'",
        SECRET.bytes().map(|byte| format!("{byte:02x}")).collect::<String>(),
        host.path("key").display()
    );
    let yaml = with_key(&host, "user: nobody", &script, "");
    let run = Single::run_on(host, &yaml);
    run.ended("success");
    assert_eq!(["whole", "in_arguments", "readable"].map(|name| run.value(name)), [1.0, 0.0, 0.0]);
    assert_nowhere(&run.host, &run.said);
}

/// The command, its supervisor and promdrop, who all have it in their memory.
#[test]
fn nobody_who_holds_it_dumps_core() {
    let script = "pid=$$; for who in command supervisor promdrop; do \
                  set -- $(grep ^Max.core /proc/$pid/limits); echo \"core_limit_of_${who}_bytes $5\"; \
                  set -- $(grep ^PPid /proc/$pid/status); pid=$2; done";
    let host = host();
    let yaml = with_key(&host, "", script, "");
    let run = Single::run_on(host, &yaml);
    run.ended("success");
    for who in ["command", "supervisor", "promdrop"] {
        // The limit by which the kernel gives a pipe's program nothing either.
        assert_eq!(run.value(&format!("core_limit_of_{who}_bytes")), 1.0, "{who}");
    }
    assert_nowhere(&run.host, &run.said);
}

#[test]
fn whatever_is_shown_hides_it() {
    for (script, output) in [
        ("printf 'is %s?\\n' \"$KEY\" >&2; exit 3", ""),
        // The flood cuts it in two.
        ("for i in 1 2 3 4 5 6 7 8; do printf '%0999d%s' 0 \"$KEY\" >&2; done; exit 3", ""),
        ("printf '%s\\n' \"$KEY\"", ""),
        ("printf '%s\\n' \"$KEY\"", "output: {format: value, name: a}"),
        // What is quoted of the output ends within it.
        ("printf '%050d%s\\n' 0 \"$KEY\"", "output: {format: value, name: a}"),
        ("printf 'a{b=\"%s' \"$KEY\"", ""),
    ] {
        let host = host();
        let yaml = with_key(&host, "", script, output);
        let run = Single::run_on(host, &yaml);
        let (status, stdout, stderr) = run.host.outcome(&["test", NAME]);
        assert_eq!(status, 1, "{script}: {stdout}{stderr}");
        for said in [&run.said, &(stdout + &stderr)] {
            assert_nowhere(&run.host, said);
            assert!(said.contains("[secret KEY]") || script.contains("%050d"), "{script}: {said}");
        }
    }
}

#[test]
fn what_would_publish_it_is_invalid() {
    for script in [
        "printf '# HELP a is hunter2-0123456789.\\na 1\\n'",
        "printf 'a{b=\"https://me:%s@host/\"} 1\\n' \"$KEY\"",
    ] {
        let host = Host::new();
        write(&host.path("key"), b"hunter2-0123456789");
        let yaml = with_key(&host, "", script, "");
        let run = Single::run_on(host, &yaml);
        run.ended("invalid").says("its families would publish the secret `KEY`");
        assert_nowhere(&run.host, &run.said);
    }
}

/// A file of a secret that is refused: what makes it, and what is said of it.
type Bad = (fn(&Path), &'static str);

/// As tools print what they were given: cut into lines, as a number, without its blanks, escaped.
#[test]
fn it_is_known_in_other_forms_too() {
    for (secret, script) in [
        (
            "hunter2-first\nhunter2-second\n\n",
            "echo \"$KEY\" >&2; echo \"a{b=\\\"$(echo $KEY)\\\"} 1\"; exit 1",
        ),
        ("hunter2-crlf\r\n", "echo \"$KEY\" | tr -d '\\r' >&2; exit 1"),
        ("hunter2-\"q", "printf '{\"key\": \"%s\"}' \"$(printf %s \"$KEY\" | sed 's/\"/\\\\\"/')\"; exit 1"),
        ("00123456789", "echo \"a $KEY\""),
        ("hunter2-crlf\r\n", "echo \"a{b=\\\"$(echo $KEY | tr -d '\\r')\\\"} 1\""),
    ] {
        let host = Host::new();
        write(&host.path("key"), secret.as_bytes());
        host.collector(NAME, &with_key(&host, "", script, ""));
        for command in ["test", "run"] {
            let (status, stdout, stderr) = host.outcome(&[command, NAME]);
            assert_eq!(status, 1, "{secret:?} {command}: {stdout}{stderr}");
            assert_nowhere(&host, &(stdout + &stderr));
        }
    }
}

#[test]
fn a_file_that_others_could_have_read_or_written_is_refused() {
    let bad: [Bad; 10] = [
        (
            |key| fs::set_permissions(key, Permissions::from_mode(0o644)).unwrap(),
            "can be read by everyone (mode 0644): chmod o-r /",
        ),
        (
            |key| fs::set_permissions(key, Permissions::from_mode(0o602)).unwrap(),
            "can be changed by everyone (mode 0602): chmod go-w /",
        ),
        (
            |key| chown(key, Some(65534), None).unwrap(),
            "can be changed by its owner, nobody (mode 0600): chown root:root /",
        ),
        (
            |key| {
                chown(key, None, Some(65534)).unwrap();
                fs::set_permissions(key, Permissions::from_mode(0o660)).unwrap();
            },
            "can be changed by its group, nogroup (mode 0660): chmod go-w /",
        ),
        (
            |key| {
                fs::rename(key, key.with_extension("real")).unwrap();
                chown(key.with_extension("real"), Some(65534), None).unwrap();
                symlink(key.with_extension("real"), key).unwrap();
            },
            "key.real can be changed by its owner, nobody",
        ),
        (|key| fs::remove_file(key).unwrap(), "No such file or directory"),
        (
            |key| {
                fs::remove_file(key).unwrap();
                nix::unistd::mkfifo(key, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
            },
            "is a FIFO, not a file: name a regular file",
        ),
        (|key| fs::write(key, "\n").unwrap(), "is empty: write the secret to it"),
        (|key| fs::write(key, vec![b'x'; (64 << 10) + 1]).unwrap(), "is longer than 64 KiB"),
        (|key| fs::write(key, "ab\0c").unwrap(), "holds bytes that are not text in UTF-8, or a NUL"),
    ];
    for (make, said) in bad {
        let host = host();
        make(&host.path("key"));
        let ran = host.path("ran");
        let yaml = with_key(&host, "", &format!("touch {}; echo a 1", ran.display()), "");
        let run = Single::run_on(host, &yaml);
        run.ended("spawn").says("can't read the secret `KEY`: ").says(said);
        assert!(!ran.exists(), "{said}");
    }
    let host = host();
    write(&host.path("key"), &vec![b'x'; 64 << 10]);
    let yaml = with_key(&host, "", "echo length ${#KEY}", "");
    assert_eq!(Single::run_on(host, &yaml).ended("success").value("length"), 65_536.0);
}

#[test]
fn a_credential_is_read_where_systemd_puts_it() {
    let host = Host::new();
    let credentials = host.path("credentials");
    fs::create_dir(&credentials).unwrap();
    write(&credentials.join("mail-pass"), b"hunter2-0123456789");
    host.collector(NAME, &shell("", "echo length ${#KEY}", "secrets: {KEY: {credential: mail-pass}}"));
    let run = host.run().env("CREDENTIALS_DIRECTORY", &credentials).output().unwrap();
    assert_eq!((run.status.code(), String::from_utf8_lossy(&run.stderr).as_ref()), (Some(0), ""));
    assert_eq!(host.published(NAME).value("length", &[]), 18.0);
    let (status, _, stderr) = host.outcome(&["run", NAME]);
    assert_eq!(status, 1);
    let said = "can't read the secret `KEY`: CREDENTIALS_DIRECTORY is not set: promdrop's unit needs \
                `LoadCredential=mail-pass:/PATH`; without systemd, name a file";
    assert!(stderr.contains(said), "{stderr}");
}
