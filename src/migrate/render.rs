//! A plan as text: a head of comments, and the crontab as it is then. Pure.

use super::crontab::{Form, Line, Meaning};
use super::plan::{Plan, Then};
use super::words::{comment, duration};
use super::{Migration, Origin};

/// Begins each part.
const PART: &str = "# ---- ";

const MINUTE: u64 = 60_000;

impl Migration {
    /// All of it, to be read, cut or piped.
    pub fn whole(&self) -> String {
        let collectors = self.collectors.iter().map(|(name, text)| format!("{PART}{name}.yaml\n{text}"));
        let collectors: String = collectors.collect();
        format!("{}{collectors}{}", self.head, self.last_part())
    }

    /// Without the collectors, which were written to `directory`.
    pub fn without_collectors(&self, directory: &str) -> String {
        let names =
            self.collectors.iter().map(|(name, _)| format!("{PART}written: {directory}/{name}.yaml\n"));
        let names: String = names.collect();
        format!("{}{names}{}", self.head, self.last_part())
    }

    fn last_part(&self) -> String {
        format!("{PART}crontab\n{}", self.crontab)
    }
}

/// What to do with the rest.
pub fn head(plan: &Plan, origin: &Origin<'_>) -> String {
    let mut out = comment(&format!(
        "What takes the place of {}, by promdrop migrate. Nothing was changed: read it, then use it.",
        crate::diagnostic::printable(origin.name)
    ));
    if plan.collectors.is_empty() {
        return out
            + &comment("Nothing in it becomes a collector. The part below is the crontab as it is then.");
    }
    out += &comment(
        "Each part but the last is a collector, a file of that name in /etc/promdrop/collectors.d; `promdrop test NAME` \
         shows what it would publish. The last part is the crontab as it is then.",
    );
    out + &comment(
        "cron runs a command in its user's home directory; promdrop in /, unless `directory` says otherwise, and under \
         promdrop.service with the rights that promdrop(8) lists.",
    )
}

/// The crontab with every line's fate.
pub fn crontab(lines: &[Line], plan: &Plan, origin: &Origin<'_>) -> String {
    let mut out = before(lines, plan, origin);
    for line in lines {
        let Line { number, text, meaning } = line;
        let fate = plan.lines.get(number).cloned().unwrap_or_default();
        out += &fate.notes;
        match (meaning, fate.then) {
            (Meaning::Wrong(problems), _) => {
                for problem in problems {
                    let message = crate::diagnostic::printable(&problem.message);
                    out += &comment(&format!("Not understood, column {}: {message}.", problem.column));
                }
                out += &format!("# {text}\n");
            }
            (_, Then::Goes) => out += &format!("# {text}\n"),
            (_, Then::Line(line)) => out += &format!("{line}\n"),
            (_, Then::Stays) => out += &format!("{text}\n"),
        }
    }
    out
}

/// What the lines need.
fn before(lines: &[Line], plan: &Plan, origin: &Origin<'_>) -> String {
    let mut out = String::new();
    let often: Vec<u64> = plan.intervals.iter().copied().filter(|interval| *interval < MINUTE).collect();
    if let Some(every) = often.into_iter().chain([MINUTE]).reduce(common).filter(|every| *every < MINUTE) {
        out += &comment(
            "Collectors more often than once a minute need promdrop.timer, or this line in /etc/cron.d/promdrop:",
        );
        // Shorter, promdrop would be little else.
        out += &format!("# * * * * *  root  promdrop run --every {} --for 1m\n", duration(every.max(1000)));
    }
    let users = lines
        .iter()
        .filter(|line| matches!(plan.lines.get(&line.number).map(|fate| &fate.then), Some(Then::Line(_))));
    let mut users = users.map(|line| match &line.meaning {
        Meaning::Job(job) if origin.form == Form::System => job.user.as_deref(),
        _ => origin.owner,
    });
    if users.any(|user| user != Some("root")) {
        out += &comment(
            "promdrop exec and push publish as the user of their line, who must be able to write to the textfile \
             directory.",
        );
    }
    out
}

/// The greatest common divisor.
fn common(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common(b, a % b) }
}
