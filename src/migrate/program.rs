//! What a crontab's command comes to: a shell's text, its own or that of the script it calls. Pure but for `read`.

use std::path::{Path, PathBuf};

use super::curl::{MARK, shown};
use super::shell::{self, After, Part, Redirect, Script, Simple, Word};

/// A script's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it says; what is no UTF-8 in it is U+FFFD.
    pub text: String,
    /// Whether not everyone may read it.
    pub is_private: bool,
}

/// Reads a script; `None` where it can't be read or is no text.
pub type Read<'a> = &'a dyn Fn(&Path) -> Option<Text>;

/// Variables of a crontab, as they stand above a line.
pub type Environment = [(String, String)];

/// What a shell runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The shell and its options.
    pub shell: Vec<String>,
    /// What it reads.
    pub text: String,
    /// The script's file; none where the text is the crontab's own.
    pub path: Option<PathBuf>,
    /// What the script is given.
    pub arguments: Vec<String>,
    /// Where it starts, where the line says so.
    pub directory: Option<String>,
    /// The file that its output was written to.
    pub log: Option<String>,
    /// Whether not everyone may read the script.
    pub is_private: bool,
}

/// What is known of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// The text that a shell runs.
    Shell(Program),
    /// A program that is no shell script; whether its text has the URL of a Pushgateway.
    Other(Option<PathBuf>),
    /// A script that can't be read.
    Unread(PathBuf),
}

const SHELLS: [&str; 4] = ["sh", "bash", "dash", "ksh"];

/// The value of a variable.
pub fn variable<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// What `core`, the command of a line, runs.
pub fn task(core: &str, environment: &Environment, read: Read<'_>) -> Task {
    let line = Program {
        shell: vec![variable(environment, "SHELL").unwrap_or("/bin/sh").to_owned()],
        text: core.to_owned(),
        path: None,
        arguments: Vec::new(),
        directory: None,
        log: None,
        is_private: false,
    };
    let Ok(script) = shell::parse(core) else { return Task::Shell(line) };
    let (directory, rest) = changed_directory(core, &script);
    let line = Program { directory, text: rest.0, ..line };
    // A push of the line's own, also by a program with a path or behind `timeout`.
    let Some(simple) = rest.1.filter(|_| !core.contains(MARK)) else { return Task::Shell(line) };
    called(&line, simple, environment, read).unwrap_or(Task::Shell(line))
}

/// The directory of a leading `cd`, and what comes behind it, also as a simple command if it is one.
fn changed_directory<'a>(core: &str, script: &'a Script) -> (Option<String>, (String, Option<&'a Simple>)) {
    let whole = |text: &str, simple| (text.to_owned(), simple);
    match script.statements.as_slice() {
        [only] => (None, whole(core, only.simple())),
        [first, second, rest @ ..] if matches!(first.after, After::And | After::Next) => {
            let words: Option<Vec<String>> =
                first.simple().map(|simple| simple.words.iter().map_while(shell::Word::constant).collect());
            let directory = match words.as_deref() {
                Some([cd, directory]) if cd == "cd" && directory.starts_with('/') => directory.clone(),
                _ => return (None, whole(core, None)),
            };
            let text = core.get(second.span.start..).unwrap_or_default();
            (Some(directory), whole(text, second.simple().filter(|_| rest.is_empty())))
        }
        _ => (None, whole(core, None)),
    }
}

/// What a simple command calls; `None` where nothing is a script of its own.
fn called(line: &Program, simple: &Simple, environment: &Environment, read: Read<'_>) -> Option<Task> {
    let home = variable(environment, "HOME");
    let words = simple.words.iter().map(|word| word.constant().or_else(|| at_home(word, home)));
    let words: Option<Vec<String>> = words.collect();
    if words.is_none() && simple.words.first().is_some_and(|word| at_home(word, Some("")).is_some()) {
        return Some(Task::Unread(PathBuf::from(shown(&simple.words.first()?.parts))));
    }
    let words = words.filter(|_| simple.assignments.is_empty())?;
    let is_shell =
        words.first().and_then(|word| word.rsplit('/').next()).is_some_and(|name| SHELLS.contains(&name));
    let options = words.iter().skip(1).take_while(|word| is_shell && word.starts_with('-')).count();
    let caller = if is_shell { words.get(..=options)? } else { &[] };
    if !caller.iter().skip(1).all(|option| is_flag(option)) || !simple.redirects.iter().all(is_of_output) {
        return None;
    }
    let (file, arguments) = words.get(caller.len()..)?.split_first()?;
    let path = find(file, is_shell, line.directory.as_deref(), environment, read)?;
    let Some(Text { text, is_private }) = read(&path) else {
        let is_script = is_shell || SHELLS.iter().any(|shell| file.ends_with(&format!(".{shell}")));
        return Some(if is_script { Task::Unread(path) } else { Task::Other(None) });
    };
    let Some(own) = shebang(&text) else {
        return Some(Task::Other(text.contains(MARK).then_some(path)));
    };
    Some(Task::Shell(Program {
        shell: if is_shell { caller.to_vec() } else { own },
        text,
        path: Some(path),
        arguments: arguments.to_vec(),
        directory: line.directory.clone(),
        log: log(&simple.redirects),
        is_private,
    }))
}

/// A path below the home directory, where that is known.
fn at_home(word: &Word, home: Option<&str>) -> Option<String> {
    let parts: Vec<&Part> = word.parts.iter().filter(|part| **part != Part::Text(String::new())).collect();
    let rest = match parts.as_slice() {
        [Part::Variable(name), Part::Text(rest)] if name == "HOME" && !word.expands => rest,
        [Part::Text(text)] if word.bare => text.strip_prefix('~')?,
        _ => return None,
    };
    let is_path = rest.starts_with('/') && !rest.contains(['*', '?', '[', '~', '{', ' ']);
    is_path.then(|| home.map(|home| format!("{home}{rest}")))?
}

/// Whether a shell's option is of letters none of which has a value, reads stdin or a command.
fn is_flag(option: &str) -> bool {
    let letters = option.strip_prefix('-').unwrap_or_default();
    !letters.is_empty() && letters.bytes().all(|letter| b"abefhmnuvxBCEHPT".contains(&letter))
}

/// Whether a redirection only leads stdout or stderr elsewhere, which a collector has for itself.
pub fn is_of_output(redirect: &Redirect) -> bool {
    let of_output = redirect.operator != "<>" && !redirect.operator.starts_with('<');
    let known = redirect.descriptor.is_none_or(|descriptor| matches!(descriptor, 1 | 2));
    let copies = redirect.operator == ">&";
    of_output && known && (!copies || redirect.target.is("1") || redirect.target.is("2"))
}

fn find(
    file: &str,
    is_shell: bool,
    directory: Option<&str>,
    environment: &Environment,
    read: Read<'_>,
) -> Option<PathBuf> {
    if file.contains('/') || is_shell {
        let path = Path::new(directory.unwrap_or_default()).join(file);
        return path.is_absolute().then_some(path);
    }
    let path = variable(environment, "PATH").unwrap_or("/usr/bin:/bin");
    let places = path.split(':').filter(|place| place.starts_with('/'));
    places.map(|place| Path::new(place).join(file)).find(|path| read(path).is_some())
}

/// The shell that a script names in its first line, or sh where it names none; `None` where it names another program.
pub fn shebang(text: &str) -> Option<Vec<String>> {
    let Some(first) = text.strip_prefix("#!") else { return Some(vec!["/bin/sh".to_owned()]) };
    let first = first.lines().next().unwrap_or_default().trim();
    // The kernel hands all that follows on as one argument.
    let (program, option) = first.split_once([' ', '\t']).unwrap_or((first, ""));
    let name = program.rsplit('/').next()?;
    let option = option.trim();
    if name == "env" {
        return SHELLS.contains(&option).then(|| vec![option.to_owned()]);
    }
    let options = (!option.is_empty()).then(|| option.to_owned());
    SHELLS.contains(&name).then(|| std::iter::once(program.to_owned()).chain(options).collect())
}

/// The file that a call's output is kept in.
fn log(redirects: &[Redirect]) -> Option<String> {
    let outputs = redirects.iter().filter(|redirect| redirect.is_output());
    let mut files =
        outputs.filter(|redirect| redirect.operator != ">&").map(|redirect| shown(&redirect.target.parts));
    files.rfind(|file| file != "/dev/null")
}

impl Program {
    /// Whether `shell:` of a collector runs it just so.
    pub fn is_plain(&self) -> bool {
        let is_sh = matches!(self.shell.as_slice(), [shell] if shell == "/bin/sh" || shell == "sh");
        let asks = ["$0", "${0", "$1", "${1", "$@", "$*", "$#"].iter().any(|sign| self.text.contains(sign));
        is_sh && self.arguments.is_empty() && !asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task_of(core: &str, scripts: &[(&str, &str)]) -> Task {
        let environment = [("PATH".to_owned(), "/opt/bin:/bin".to_owned())];
        let read = |path: &Path| {
            let found = scripts.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| Text { text: (*text).to_owned(), is_private: false })
        };
        task(core, &environment, &read)
    }

    #[track_caller]
    fn program(core: &str, scripts: &[(&str, &str)]) -> Program {
        match task_of(core, scripts) {
            Task::Shell(program) => program,
            other => panic!("{core}: {other:?}"),
        }
    }

    #[test]
    fn a_script_is_found_however_it_is_called() {
        let bash = "#!/bin/bash -e\ntrue\n";
        for (core, shell, arguments) in [
            ("/opt/bin/x.sh", &["/bin/bash", "-e"][..], &[][..]),
            ("x.sh a 'b c' >/dev/null 2>&1", &["/bin/bash", "-e"], &["a", "b c"]),
            ("cd /opt && bin/x.sh", &["/bin/bash", "-e"], &[]),
            ("cd /opt/bin; ./x.sh", &["/bin/bash", "-e"], &[]),
            ("/bin/ksh -x /opt/bin/x.sh", &["/bin/ksh", "-x"], &[]),
            ("cd /opt/bin; sh x.sh 1", &["sh"], &["1"]),
        ] {
            let found = program(core, &[("/opt/bin/x.sh", bash), ("/opt/bin/./x.sh", bash)]);
            assert_eq!(
                (found.shell.as_slice(), found.text.as_str()),
                (&shell.map_owned()[..], bash),
                "{core}"
            );
            assert_eq!(found.arguments, arguments, "{core}");
        }
        assert_eq!(
            program("cd /opt && bin/x.sh", &[("/opt/bin/x.sh", bash)]).directory.as_deref(),
            Some("/opt")
        );
        assert_eq!(program("/x >>/var/log/x 2>&1", &[("/x", "true\n")]).log.as_deref(), Some("/var/log/x"));
        assert_eq!(program("/x", &[("/x", "#!/usr/bin/env bash\n")]).shell, ["bash"]);
    }

    trait Owned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl Owned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn all_else_is_the_line_itself() {
        for core in [
            "/x.sh </y",
            "/x.sh 3>y",
            "bash -e -- /x.sh",
            "bash -o pipefail /x.sh",
            "a | b",
            "x.sh; y",
            "A=1 /x.sh",
            "$X/x.sh",
            "bash -c '/x.sh'",
            "./x.sh",
            "unknown",
        ] {
            let found = program(core, &[("/x.sh", "true\n"), ("/opt/bin/x.sh", "true\n")]);
            assert_eq!((found.path, found.text.as_str()), (None, core), "{core}");
        }
        assert_eq!(task_of("/x", &[("/x", "#!/usr/bin/python3\n")]), Task::Other(None));
        let found = task_of("/x", &[("/x", "#!/usr/bin/perl\nhttp://gw/metrics/job/a\n")]);
        assert_eq!(found, Task::Other(Some("/x".into())));
        assert_eq!(task_of("sh /x", &[]), Task::Unread("/x".into()));
        assert_eq!(task_of("/x.sh", &[]), Task::Unread("/x.sh".into()));
        assert_eq!(task_of("/usr/bin/x", &[]), Task::Other(None));
    }

    #[test]
    fn only_a_plain_script_of_sh_is_run_as_it_is() {
        assert!(program("/x", &[("/x", "true\n")]).is_plain());
        for (core, text) in [("/x a", "true\n"), ("/x", "#!/bin/bash\ntrue\n"), ("/x", "cd $(dirname $0)\n")]
        {
            assert!(!program(core, &[("/x", text)]).is_plain(), "{core} {text}");
        }
    }
}
