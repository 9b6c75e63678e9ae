//! Lines of a crontab that run the same, at other seconds, as one series. Pure.

use std::collections::{BTreeMap, HashMap};

use super::crontab::{Job, Line, Meaning, When};
use super::job::Plain;
use super::program::{Environment, is_of_output};
use super::pushes::edited;
use super::shell::{self, Command, Redirect};
use super::stagger::{self, Staggered};

/// A line that starts something.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The line.
    pub line: &'a Line,
    /// What it means.
    pub job: &'a Job,
    /// The variables above it.
    pub environment: &'a Environment,
    /// None where the shell's text is not understood.
    pub staggered: Option<Staggered>,
}

/// What lines of one series have in common; the number is that of their surroundings.
type Key<'a> = (String, &'a When, Option<&'a str>, usize);

/// Variables that no command asks for.
const OF_MAIL: [&str; 4] = ["MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"];

impl<'a> Entry<'a> {
    fn key(&self, surroundings: usize) -> Option<Key<'a>> {
        let staggered = self.staggered.as_ref().filter(|staggered| !staggered.is_random)?;
        let job = self.job;
        job.stdin.is_none().then(|| (essence(&staggered.core), &job.when, job.user.as_deref(), surroundings))
    }

    /// As a job without a push.
    pub fn plain(&self) -> Plain<'_> {
        let Self { line, job, environment, staggered } = self;
        Plain { text: &line.text, job, staggered: staggered.as_ref(), environment }
    }

    /// The command, without waiting.
    pub fn core(&self) -> &str {
        self.staggered.as_ref().map_or(&self.job.command, |staggered| &staggered.core)
    }
}

/// All variables of a crontab, in their order.
pub fn variables(lines: &[Line]) -> Vec<(String, String)> {
    let variables = lines.iter().filter_map(|line| match &line.meaning {
        Meaning::Variable(name, value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    variables.collect()
}

/// The series of `lines`, by their first lines; `variables` are all of the crontab's.
pub fn read<'a>(lines: &'a [Line], variables: &'a Environment) -> Vec<Vec<Entry<'a>>> {
    let mut series: Vec<Vec<Entry<'_>>> = Vec::new();
    let mut places: HashMap<Key<'_>, usize> = HashMap::new();
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut passed, mut surroundings) = (0, 0);
    for line in lines {
        match &line.meaning {
            Meaning::Variable(name, value) => {
                passed += 1;
                let is_new = known.insert(name, value) != Some(value);
                surroundings += usize::from(is_new && !OF_MAIL.contains(&name.as_str()));
            }
            Meaning::Job(job) => {
                let environment = variables.get(..passed).unwrap_or_default();
                let entry = Entry { line, job, environment, staggered: staggered(job, known.get("SHELL")) };
                let key = entry.key(surroundings);
                match key.as_ref().and_then(|key| places.get(key)).and_then(|at| series.get_mut(*at)) {
                    Some(series) => series.push(entry),
                    None => {
                        places.extend(key.map(|key| (key, series.len())));
                        series.push(vec![entry]);
                    }
                }
            }
            Meaning::Nothing | Meaning::Wrong(_) | Meaning::Strange(_) => {}
        }
    }
    series
}

fn staggered(job: &Job, shell: Option<&&str>) -> Option<Staggered> {
    let name = shell.and_then(|shell| shell.rsplit('/').next());
    let is_rich = name.is_some_and(|name| ["bash", "ksh", "mksh", "zsh"].contains(&name));
    shell::parse(&job.command).ok().map(|script| stagger::read(&job.command, &script, is_rich))
}

/// `core` without the logs that it leads its output to.
pub fn essence(core: &str) -> String {
    let script = shell::parse(core).unwrap_or_default();
    let [statement] = script.statements.as_slice() else { return core.to_owned() };
    let redirects = statement.commands.last().map_or(&[][..], Command::redirects);
    let logs = redirects.iter().filter(|redirect| is_log(redirect));
    let edits = logs.map(|redirect| (redirect.span.clone(), String::new()));
    edited(core, edits.collect()).trim_end().to_owned()
}

fn is_log(redirect: &Redirect) -> bool {
    let target = redirect.target.constant().unwrap_or_default();
    let is_named = target == "/dev/null" || target.ends_with(".log") || target.starts_with("/var/log/");
    is_of_output(redirect) && (is_named || redirect.operator == ">&" || redirect.operator.ends_with(">>"))
}
