//! Names of collectors and jobs, made from what is run. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::curl::{Body, Push};
use super::shell::{Command, Part, Script, Simple, Statement, Word};
use crate::config::fields::Stem;

/// Long enough for an eye.
const LONGEST: usize = 60;

/// Names that are taken.
#[derive(Debug, Default)]
pub struct Names {
    taken: BTreeSet<String>,
    /// The number that a stem may have next, so that many equal wishes are quick.
    next: BTreeMap<String, usize>,
}

impl Names {
    /// `wish`, made a name, with a number behind it where that is taken.
    pub fn claim(&mut self, wish: &str) -> String {
        let stem = stem(wish);
        let next = self.next.entry(stem.clone()).or_default();
        loop {
            *next += 1;
            let name = if *next == 1 { stem.clone() } else { format!("{stem}-{next}") };
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

fn stem(wish: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let text: String = wish.chars().map(plain).take(LONGEST).collect();
    let text = text.trim_start_matches(['-', '_']).trim_end_matches('-');
    match Stem::parse(text) {
        Ok(stem) => stem.as_str().to_owned(),
        Err(_) => format!("job-{text}").trim_end_matches('-').to_owned(),
    }
}

/// What a program's file is called, without path and ending.
pub fn of_path(path: &str) -> String {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let endings = [".sh", ".bash", ".py", ".pl", ".rb", ".php", ".js", ".jar"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
}

/// Programs that run another, whose name says more.
pub const WRAPPERS: [&str; 28] = [
    "nice",
    "ionice",
    "chrt",
    "timeout",
    "env",
    "flock",
    "chronic",
    "nohup",
    "setsid",
    "sudo",
    "time",
    "exec",
    "systemd-cat",
    "sh",
    "bash",
    "dash",
    "ksh",
    "python",
    "python2",
    "python3",
    "perl",
    "php",
    "ruby",
    "node",
    "java",
    "run-one",
    "cronic",
    "run-parts",
];

/// What a job that is a shell's line may be called.
pub fn of_script(script: &Script) -> Option<String> {
    let mut names = Vec::new();
    walk(&script.statements, &mut names);
    let dull =
        ["test", "[", "cd", "sleep", "echo", "printf", "true", ":", "set", "export", "exit", "umask", "cat"];
    let best = names.iter().find(|name| !dull.contains(&name.as_str()));
    best.or(names.first()).cloned()
}

fn walk(statements: &[Statement], names: &mut Vec<String>) {
    for command in statements.iter().flat_map(|statement| &statement.commands) {
        match command {
            Command::Simple(simple) => names.extend(of_simple(simple)),
            Command::Compound(compound) => walk(&compound.body, names),
        }
    }
}

fn of_simple(simple: &Simple) -> Option<String> {
    let mut words = simple.words.iter().map(readable);
    let mut name = of_path(&words.next()?);
    while WRAPPERS.contains(&name.as_str()) {
        // The file that it locks is no name.
        let mut skipped = usize::from(name == "flock");
        let next = words.by_ref().find(|word| {
            let is_name = !word.starts_with('-')
                && !word.contains(['=', ' '])
                && word.chars().any(char::is_alphabetic)
                && !word.bytes().next().is_some_and(|b| b.is_ascii_digit());
            let passes = is_name && skipped > 0;
            skipped -= usize::from(passes);
            is_name && !passes
        });
        match next {
            Some(next) => name = of_path(&next),
            None => break,
        }
    }
    Some(name)
}

fn readable(word: &Word) -> String {
    super::curl::shown(&word.parts)
}

/// What a push that a line makes may be called: the first metric, where it is told.
pub fn of_push(push: &Push, statement: &Statement, place: usize) -> Option<String> {
    let printer = place.checked_sub(1).and_then(|before| statement.commands.get(before)?.simple());
    let printed = printer.filter(|simple| matches!(simple.program().as_deref(), Some("echo" | "printf")));
    let told = printed.and_then(|simple| {
        simple
            .words
            .iter()
            .skip(1)
            .find(|word| !matches!(word.parts.first(), Some(Part::Text(t)) if t.starts_with('-')))
    });
    let parts = match &push.body {
        Body::Inline(parts) => parts,
        _ => &told?.parts,
    };
    let Some(Part::Text(text)) = parts.first() else { return None };
    let name = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::shell::parse;
    use super::*;

    #[test]
    fn a_name_is_that_of_what_is_run() {
        for (line, name) in [
            ("/usr/local/bin/Backup.sh --full", "backup"),
            ("nice -n 10 /opt/x/sync_all now", "sync_all"),
            ("flock -n /run/lock/x /opt/report.py", "report"),
            ("cd / && run-parts --report /etc/cron.hourly", "cron-hourly"),
            ("test -x /usr/sbin/anacron || { cd / && run-parts /etc/cron.daily; }", "cron-daily"),
            ("php /srv/app/artisan schedule:run", "artisan"),
            ("env A=1 timeout 10m mysqldump db", "mysqldump"),
            ("$HOME/bin/x", "x"),
            ("sleep 5", "sleep"),
            ("promdrop", "job-promdrop"),
            ("-", "job"),
        ] {
            let wish = of_script(&parse(line).unwrap()).unwrap();
            assert_eq!(Names::default().claim(&wish), name, "{line}");
        }
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names = Names::default();
        let claimed = ["a", "A", "a-2", "é", ""].map(|wish| names.claim(wish));
        assert_eq!(claimed, ["a", "a-2", "a-2-2", "job", "job-2"]);
    }
}
