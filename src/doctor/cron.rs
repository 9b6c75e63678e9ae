//! The lines of crontabs that start `promdrop run`, and whether cron takes them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::access::user_name;
use crate::migrate::crontab::{Form, Line, Meaning, read};

/// Where crontabs of users are: Debian's, and others'.
const SPOOLS: [&str; 2] = ["/var/spool/cron/crontabs", "/var/spool/cron"];

/// Commands that take a `run` as an argument of theirs.
const OTHERS: [&str; 2] = ["exec", "test"];

/// A line that starts promdrop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Where it stands.
    pub place: String,
    /// Whether it does nothing where systemd runs.
    pub is_guarded: bool,
    /// Another textfile directory, where the crontab sets one.
    pub textfile_dir: Option<String>,
    /// Why cron passes over it, and the cure.
    pub ignored: Option<(String, String)>,
}

/// A crontab's status, so far as cron looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    form: Form,
    uid: u32,
    mode: u32,
}

/// All that there are, so far as they can be read.
pub fn starts() -> Vec<Start> {
    let mut found = Vec::new();
    let system = files(Path::new("/etc/cron.d"));
    let system =
        std::iter::once(PathBuf::from("/etc/crontab")).chain(system).map(|path| (path, Form::System));
    let users = SPOOLS.iter().flat_map(|spool| files(Path::new(spool))).map(|path| (path, Form::User));
    for (path, form) in system.chain(users) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let standing = Standing { form, uid: metadata.uid(), mode: metadata.mode() & 0o7777 };
        found.extend(of(&path, &text, standing));
    }
    found
}

/// The regular files of a directory, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn of(path: &Path, text: &str, standing: Standing) -> Vec<Start> {
    let lines = read(text, standing.form);
    let ignored = ignored(path, text, &lines, standing);
    let mut textfile_dir = None;
    let mut found = Vec::new();
    for line in &lines {
        match &line.meaning {
            Meaning::Variable(name, value) if name == "PROMDROP_TEXTFILE_DIR" => {
                textfile_dir = Some(value.clone());
            }
            Meaning::Job(job) if runs_promdrop(&job.command) => found.push(Start {
                place: format!("{}:{}", path.display(), line.number),
                is_guarded: job.command.contains("/run/systemd/system"),
                textfile_dir: option(&job.command).or_else(|| textfile_dir.clone()),
                ignored: ignored.clone(),
            }),
            _ => {}
        }
    }
    found
}

/// Whether a command has promdrop run its collectors.
fn runs_promdrop(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let is_end = |word: &str| word.starts_with([';', '&', '|']) || word.ends_with(';');
    words.iter().enumerate().any(|(at, word)| {
        word.trim_matches(['"', '\'', '(']).rsplit('/').next() == Some("promdrop")
            && words.iter().skip(at + 1).take_while(|word| !is_end(word)).any(|word| *word == "run")
            && !words.iter().skip(at + 1).any(|word| OTHERS.contains(word))
    })
}

/// The directory that the command names.
fn option(command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let value = words.find_map(|word| {
        let word =
            word.strip_prefix("--textfile-dir").or_else(|| word.strip_prefix("PROMDROP_TEXTFILE_DIR"))?;
        Some(word.strip_prefix('='))
    })?;
    value.or_else(|| words.next()).map(|path| path.trim_matches(['"', '\'']).to_owned())
}

/// Why Debian's cron passes over the whole of a crontab (cron(8)), and the cure.
fn ignored(path: &Path, text: &str, lines: &[Line], standing: Standing) -> Option<(String, String)> {
    let Standing { form, uid, mode } = standing;
    let shown = path.display();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if form == Form::System {
        if path.parent() == Some(Path::new("/etc/cron.d")) && !name.chars().all(is_plain) {
            let cure = format!("mv {shown} /etc/cron.d/{}", name.replace(|c| !is_plain(c), "-"));
            return Some((format!("a name with a dot or the like: {name}"), cure));
        }
        if uid != 0 {
            return Some((format!("it belongs to {}", user_name(uid)), format!("chown root {shown}")));
        }
        if mode & 0o022 != 0 {
            return Some((format!("others can write to it: mode {mode:04o}"), format!("chmod go-w {shown}")));
        }
    } else if mode & 0o7577 != 0o400 {
        return Some((format!("mode {mode:04o}"), format!("chmod 600 {shown}")));
    }
    if !text.ends_with('\n') {
        return Some(("its last line has no end".to_owned(), format!("echo >>{shown}")));
    }
    let wrong = lines.iter().find_map(|line| match &line.meaning {
        Meaning::Wrong(problems) => Some((line.number, problems.first()?)),
        _ => None,
    });
    wrong.map(|(number, problem)| {
        (format!("line {number} is wrong: {}", problem.message), problem.cure.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Standing = Standing { form: Form::System, uid: 0, mode: 0o644 };
    const LINE: &str = "* * * * *  root  test -d /run/systemd/system || ! command -v promdrop >/dev/null || exec promdrop run --every 15s --for 1m\n";

    fn why(path: &str, text: &str, standing: Standing) -> Option<String> {
        let found = of(Path::new(path), text, standing);
        assert_eq!(found.len(), 1, "{text}");
        found[0].ignored.clone().map(|(why, _)| why)
    }

    #[test]
    fn the_shipped_line_is_found() {
        let text = include_str!("../../packaging/cron/promdrop");
        let found = of(Path::new("/etc/cron.d/promdrop"), text, GOOD);
        assert_eq!(found.len(), 1);
        assert!(found[0].is_guarded && found[0].ignored.is_none() && found[0].textfile_dir.is_none());
    }

    #[test]
    fn a_line_that_runs_it_is_known() {
        for command in [
            "promdrop run",
            "/usr/bin/promdrop --textfile-dir /d run --every 15s --for 1m",
            "cd / && flock -n /x \"/usr/bin/promdrop\" run",
        ] {
            assert!(runs_promdrop(command), "{command}");
        }
        for command in
            ["promdrop exec run -- x", "promdrop check; run", "echo promdrop", "mypromdrop run", ""]
        {
            assert!(!runs_promdrop(command), "{command}");
        }
    }

    #[test]
    fn what_cron_passes_over_says_why() {
        let path = "/etc/cron.d/promdrop";
        assert_eq!(why(path, LINE, GOOD), None);
        assert!(why("/etc/cron.d/promdrop.cron", LINE, GOOD).unwrap().contains("dot"));
        assert!(why(path, LINE.trim_end(), GOOD).unwrap().contains("no end"));
        assert!(why(path, LINE, Standing { uid: 4_000_000, ..GOOD }).unwrap().contains("belongs to"));
        assert!(why(path, LINE, Standing { mode: 0o664, ..GOOD }).unwrap().contains("0664"));
        assert!(
            why(path, &format!("61 * * * * root x\n{LINE}"), GOOD).unwrap().starts_with("line 1 is wrong")
        );
        let own = Standing { form: Form::User, uid: 7, mode: 0o600 };
        let line = "* * * * * promdrop run\n";
        assert_eq!(why("/var/spool/cron/crontabs/bob", line, own), None);
        assert!(why("/var/spool/cron/crontabs/bob", line, Standing { mode: 0o644, ..own }).is_some());
    }

    #[test]
    fn another_directory_is_told() {
        let dir = |text: &str| of(Path::new("/x"), text, GOOD).remove(0).textfile_dir;
        assert_eq!(dir(&format!("PROMDROP_TEXTFILE_DIR=/a\n{LINE}")).as_deref(), Some("/a"));
        assert_eq!(dir("* * * * * root promdrop --textfile-dir /b run\n").as_deref(), Some("/b"));
        assert_eq!(dir("* * * * * root PROMDROP_TEXTFILE_DIR=/c promdrop run\n").as_deref(), Some("/c"));
        assert_eq!(dir(LINE), None);
    }
}
