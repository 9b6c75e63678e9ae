//! The module `file`: the formats of [`output`](super::output) over files, without a process.

mod read;

use super::account::Account;
use super::output::{Bounds, Format, Output};
use super::trace::Trace;
use super::{Collection, Collector, Failure, MAX_SERIES, Module, Outcome, Run};
use crate::config::Header;
use crate::config::fields::is_label_name;
use crate::config::pattern::Pattern;
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, quote, read_text};
use crate::diagnostic::printable;
use crate::exposition::{Family, Labels, add_labels, merge};
use read::{Content, Job, Unread};

/// Its line in the table of modules.
pub const MODULE: Module = Module { name: "file", needs_section: true, takes_user: true, read };

/// Configured files.
#[derive(Debug)]
struct Files {
    paths: Vec<String>,
    path_labels: Option<Pattern>,
    skip_unreadable: bool,
    user: Option<String>,
    group: Option<String>,
    output: Format,
}

fn read(section: &mut Section<'_>, header: &Header) -> Option<Box<dyn Collector>> {
    let paths = section.required::<Vec<PathPattern>>("paths", "write `paths: [/path/of/a/file]`");
    if paths.as_ref().is_some_and(Vec::is_empty) {
        section.report("paths", Wrong::new("the list is empty", "write `paths: [/path/of/a/file]`"));
    }
    let path_labels = section.node("path_labels").map(|node| read_path_labels(node, section.problems()));
    let skip_unreadable = section.optional::<bool>("skip_unreadable").unwrap_or(false);
    let output = Format::read_in(section, header);
    if output.as_ref().is_some_and(Format::needs_status) {
        let message = "this format is about an exit status, which a file has none of";
        section.report("output", Wrong::new(message, "choose another format, or module command"));
    }
    Some(Box::new(Files {
        paths: paths?.into_iter().map(|path| path.0).collect(),
        path_labels: match path_labels {
            Some(read) => Some(read?),
            None => None,
        },
        skip_unreadable,
        user: header.user.clone(),
        group: header.group.clone(),
        output: output?,
    }))
}

impl Collector for Files {
    fn max_series(&self) -> Option<usize> {
        Some(MAX_SERIES)
    }

    fn collect(&self, run: &Run<'_>, trace: &mut Trace) -> Result<Collection, Failure> {
        let account = Account::of(self.user.as_deref(), self.group.as_deref())?;
        let job = Job { paths: self.paths.clone(), identity: account.identity };
        let contents = read::read(job, run.deadline, run.stop).map_err(|error| match error {
            read::Error::Unfinished(unfinished) => unfinished.failure("reading", run),
            read::Error::User(what) => Failure::new(Outcome::Spawn, what),
            read::Error::TooMuch(what) => Failure::new(Outcome::Limit, what),
        })?;
        let over = || run.is_over();
        let mut families = Vec::new();
        for content in contents {
            match self.families(&content, &Bounds::new(run.max_series, &over), trace) {
                Ok(found) => families.push(found),
                Err(_) if run.stop.is_raised() => return Err(Failure::stopped()),
                Err(failure) if content.bytes.is_err() && self.skip_unreadable => {
                    trace.notes.push(format!("passed over: {}: {}", failure.message, failure.detail));
                }
                Err(failure) => return Err(failure),
            }
        }
        if families.is_empty() && !self.output.allows_empty() {
            let message = "there is no such file, or none that can be read".to_owned();
            return Err(Failure { detail: self.paths.join("\n"), ..Failure::new(Outcome::Output, message) });
        }
        Ok(Collection { families: merge(families.into_iter().flatten()), ..Collection::default() })
    }
}

impl Files {
    /// What one file tells. A failure names the path or pattern as the definition has it, which is published; which file
    /// it was is for the operator's eyes, like what is in it.
    fn families(
        &self,
        Content { named, path, bytes }: &Content,
        bounds: &Bounds<'_>,
        trace: &mut Trace,
    ) -> Result<Vec<Family>, Failure> {
        let about = |failure: Failure| {
            let detail = if path == named { failure.detail } else { format!("{path}\n{}", failure.detail) };
            Failure { message: format!("{}: {}", printable(named), failure.message), detail, ..failure }
        };
        let failure = |message: String| about(Failure::new(Outcome::Output, message));
        let bytes = bytes.as_ref().map_err(|Unread(message)| failure(message.clone()))?;
        trace.output.extend_from_slice(bytes);
        let output = Output { stdout: bytes, status: 0 };
        let read = self.output.families(&output, bounds);
        let mut families = read.map_err(|unreadable| about(bounds.failure(unreadable)))?;
        let labels = self.labels_of(path).map_err(failure)?;
        add_labels(&mut families, &labels).map_err(|name| {
            failure(format!("`path_labels` has the label `{name}`, which is in it already"))
        })?;
        Ok(families)
    }

    /// The labels that a path stands for.
    fn labels_of(&self, path: &str) -> Result<Labels, String> {
        let Some(pattern) = &self.path_labels else { return Ok(Labels::new()) };
        let compiled = pattern.compiled().ok_or("`path_labels` is too large a pattern: repeat less in it")?;
        let captures = compiled.captures(path).ok_or("`path_labels` does not match the path")?;
        let label = |name: &String| {
            let text = captures.name(name)?.as_str();
            // An empty label is the same as none.
            (!text.is_empty()).then(|| (name.clone().into(), text.to_owned().into()))
        };
        Ok(pattern.groups().iter().filter_map(label).collect())
    }
}

/// An absolute path, or a pattern of such.
struct PathPattern(String);

impl Field for PathPattern {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| {
            if !text.starts_with('/') || text.contains('\0') {
                let message = format!("{} is not an absolute path", quote(text));
                return Err(Wrong::new(message, "begin it with `/`"));
            }
            if text.contains("**") {
                let message = format!("{} would walk whole trees of directories", quote(text));
                return Err(Wrong::new(message, "write a `*` for each directory on the way"));
            }
            glob::Pattern::new(text)
                .map(|_| Self(text.to_owned()))
                .map_err(|error| Wrong::new(format!("not a pattern of paths: {}", error.msg), "see glob(7)"))
        })
    }
}

fn read_path_labels(node: &Node, problems: &Problems) -> Option<Pattern> {
    let pattern = Pattern::read(node, problems)?;
    let wrong = if pattern.groups().is_empty() {
        Wrong::new("the pattern has no named group, so no label", "name a part of it: `(?P<zone>[^/]+)`")
    } else if let Some(name) = pattern.groups().iter().find(|name| !is_label_name(name)) {
        Wrong::new(format!("`{name}` can't be the name of a label"), "use letters, digits and `_`")
    } else {
        return Some(pattern);
    };
    problems.report(node, wrong);
    None
}
