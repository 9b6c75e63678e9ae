//! All pushes of a script, and how each is replaced. Pure.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::curl::{self, Body, MARK, Method, Push};
use super::program::Environment;
use super::shell::{
    self, After, Command, Kind, Part, Redirect, Script, Simple, Statement, Unknown, Word, quote_parts,
};

/// A push and where it stands.
#[derive(Debug)]
pub struct Found<'a> {
    /// What it says.
    pub push: Push,
    /// The call of curl.
    pub simple: &'a Simple,
    /// The pipeline that it is part of.
    pub statement: &'a Statement,
    /// Which command of the pipeline it is.
    pub place: usize,
    /// Whether it is outside of loops, conditions and the like, so that it is run once.
    pub is_outermost: bool,
}

/// What a script pushes.
#[derive(Debug, Default)]
pub struct Survey<'a> {
    /// The pushes that are understood.
    pub pushes: Vec<Found<'a>>,
    /// What looks like one and isn't.
    pub unclear: Vec<Unknown>,
}

/// Looks for pushes in `script`, whose text is `text` and which has the variables of `environment`.
pub fn survey<'a>(text: &str, script: &'a Script, environment: &Environment) -> Survey<'a> {
    let variables = Variables::of(text, script, environment);
    let mut walk = Walk {
        variables: &variables,
        survey: Survey::default(),
        seen: script.comments.clone(),
        used: BTreeSet::new(),
    };
    walk.list(&script.statements, true);
    let Walk { mut survey, mut seen, used, .. } = walk;
    let urls = variables.values.iter().filter(|(name, (span, value))| {
        let is_of_crontab = span.is_empty();
        (is_of_crontab || used.contains(*name)) && curl::has_mark(value)
    });
    for (name, (span, _)) in urls {
        let uses =
            shell::uses(text, name).into_iter().filter(|at| !seen.iter().any(|span| span.contains(at)));
        let uses: Vec<usize> = uses.collect();
        survey.unclear.extend(uses.into_iter().map(|at| Unknown { at, message: STRANGE.to_owned() }));
        seen.push(span.clone());
    }
    let strange = text.match_indices(MARK).filter(|(at, _)| !seen.iter().any(|span| span.contains(at)));
    survey.unclear.extend(strange.map(|(at, _)| Unknown { at, message: STRANGE.to_owned() }));
    survey
}

const STRANGE: &str = "a URL of a Pushgateway in something else than a plain call of curl or wget";

struct Walk<'a, 'b> {
    variables: &'b Variables,
    survey: Survey<'a>,
    /// What needs no second look.
    seen: Vec<Range<usize>>,
    /// Variables that were asked for.
    used: BTreeSet<String>,
}

impl<'a> Walk<'a, '_> {
    fn list(&mut self, statements: &'a [Statement], is_outermost: bool) {
        for statement in statements {
            for (place, command) in statement.commands.iter().enumerate() {
                match command {
                    Command::Compound(compound) => self.list(&compound.body, false),
                    Command::Simple(simple) => self.simple(simple, statement, place, is_outermost),
                }
            }
        }
    }

    fn simple(&mut self, simple: &'a Simple, statement: &'a Statement, place: usize, is_outermost: bool) {
        let used = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            used.borrow_mut().insert(name.to_owned());
            Some(self.variables.values.get(name)?.1.clone())
        };
        let read = curl::read(simple, &lookup).and_then(|push| fed(push, simple, place));
        if matches!(read, Ok(None)) {
            return;
        }
        self.used.extend(used.into_inner());
        match read {
            Ok(None) => {}
            Ok(Some(push)) => self.survey.pushes.push(Found { push, simple, statement, place, is_outermost }),
            Err(message) => self.survey.unclear.push(Unknown { at: simple.span.start, message }),
        }
        self.seen.push(simple.span.clone());
    }
}

/// The push, if it has something to read.
fn fed(push: Option<Push>, simple: &Simple, place: usize) -> Result<Option<Push>, String> {
    let waits = push.as_ref().is_some_and(|push| push.body == Body::Stdin);
    if waits && place == 0 && !simple.redirects.iter().any(Redirect::is_input) {
        return Err("it pushes what it is given on stdin, and nothing is piped to it".to_owned());
    }
    Ok(push)
}

/// Variables that are set once, outside of everything, by where that is and to what.
#[derive(Default)]
struct Variables {
    values: BTreeMap<String, (Range<usize>, Vec<Part>)>,
    changed: Vec<String>,
    /// Whether text from elsewhere may set any of them.
    is_foreign: bool,
}

impl Variables {
    fn of(text: &str, script: &Script, environment: &Environment) -> Self {
        let mut all = Self::default();
        // The last value of each; many lines may have many variables above them.
        let known: BTreeMap<&String, &String> =
            environment.iter().filter(|_| text.contains('$')).map(|(name, value)| (name, value)).collect();
        let urls = known.into_iter().filter(|(_, value)| value.contains("://"));
        all.values =
            urls.map(|(name, value)| (name.clone(), (0..0, vec![Part::Text(value.clone())]))).collect();
        all.walk(text, &script.statements, true);
        let changed = std::mem::take(&mut all.changed);
        all.values.retain(|name, _| !changed.contains(name));
        if all.is_foreign {
            all.values.clear();
        }
        all
    }

    fn walk(&mut self, text: &str, statements: &[Statement], is_outermost: bool) {
        for statement in statements {
            let is_once = is_outermost && statement.commands.len() == 1 && !statement.joined;
            for command in &statement.commands {
                match command {
                    Command::Simple(simple) => self.simple(text, simple, is_once),
                    Command::Compound(compound) => {
                        if compound.kind == Kind::For {
                            self.changed.extend(compound.head.first().and_then(Word::constant));
                        }
                        self.walk(text, &compound.body, false);
                    }
                }
            }
        }
    }

    fn simple(&mut self, text: &str, simple: &Simple, is_once: bool) {
        self.is_foreign |= matches!(simple.program().as_deref(), Some("." | "source" | "eval"));
        let declares =
            matches!(simple.program().as_deref(), Some("export" | "readonly" | "declare" | "typeset"));
        let reads = matches!(
            simple.program().as_deref(),
            Some("read" | "unset" | "local" | "getopts" | "mapfile" | "printf" | "let")
        );
        if reads {
            self.changed.extend(simple.words.iter().skip(1).filter_map(Word::constant));
        }
        let assigned = simple.assignments.iter().chain(simple.words.iter().filter(|_| declares || reads));
        for word in assigned {
            let Some((name, _)) = shell::assigned(text, word) else { continue };
            let is_set = is_once && !reads && (declares || simple.words.is_empty());
            // The shell puts a directory in the place of a `~`.
            let is_known = is_set && !word.expands && !self.values.contains_key(name);
            match curl::value(word, name).filter(|_| is_known) {
                Some(value) => drop(self.values.insert(name.to_owned(), (word.span.clone(), value))),
                None => self.changed.push(name.trim_end_matches('+').to_owned()),
            }
        }
    }
}

impl Found<'_> {
    /// Whether its pipeline runs once, whatever else happens. What comes after it, `|| logger failed`, may stay.
    pub fn is_unconditional(&self) -> bool {
        let statement = self.statement;
        let is_last = self.place + 1 == statement.commands.len();
        let is_free = !statement.joined && !statement.negated && statement.after != After::Background;
        self.is_outermost && is_last && is_free
    }

    /// What `promdrop push` takes the place of the call of curl with.
    pub fn replacement(&self, text: &str) -> String {
        let option = match self.push.method {
            Method::Post => "",
            Method::Put => " --replace",
            Method::Delete => " --delete",
        };
        let push = format!("promdrop push {}{option}", quote_parts(&self.push.group));
        let redirects = |stay: &dyn Fn(&Redirect) -> bool| -> String {
            let stay = self.simple.redirects.iter().filter(|redirect| stay(redirect));
            let texts = stay.filter_map(|redirect| text.get(redirect.span.clone()));
            texts.map(|text| format!(" {text}")).collect()
        };
        // What promdrop has to say goes where the answer went.
        let outputs = redirects(&|redirect| self.push.keeps && !redirect.is_input());
        let told = match &self.push.body {
            Body::Nothing => push,
            Body::Inline(parts) => format!("printf '%s\\n' {} | {push}", quote_parts(parts)),
            Body::File(parts) => format!("{push} <{}", quote_parts(parts)),
            Body::Stdin => push + &redirects(&Redirect::is_input),
        };
        told + &outputs
    }
}

/// `text` with each of `edits` made; those that begin later, first.
pub fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut out = text.to_owned();
    for (span, replacement) in edits {
        if out.get(span.clone()).is_some() {
            out.replace_range(span, &replacement);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that replace the pushes of `text`, and what is unclear.
    fn replaced(text: &str) -> (Vec<String>, Vec<String>) {
        let script = shell::parse(text).unwrap();
        let survey = survey(text, &script, &[]);
        let pushes = survey.pushes.iter().map(|found| found.replacement(text)).collect();
        (pushes, survey.unclear.into_iter().map(|unknown| unknown.message).collect())
    }

    #[test]
    fn each_push_has_its_replacement() {
        for (text, push) in [
            ("a | curl -d @- http://gw:9091/metrics/job/x", "promdrop push job/x"),
            (
                "a | curl -sX PUT --data-binary @- \"$GW/metrics/job/x/l/$v\"",
                "promdrop push \"job/x/l/${v}\" --replace",
            ),
            (
                "curl -XDELETE http://gw/metrics/job/x/instance/`hostname`",
                "promdrop push \"job/x/instance/`hostname`\" --delete",
            ),
            ("curl --data-binary @/tmp/f http://gw/metrics/job/x/", "promdrop push job/x </tmp/f"),
            ("curl -T - http://gw/metrics/job/x <<E\na\nE\n", "promdrop push job/x --replace <<E"),
            ("curl -d \"a $b\" http://gw/metrics/job/x", "printf '%s\\n' \"a ${b}\" | promdrop push job/x"),
            ("U=http://gw/metrics/job\na | curl -d @- $U/x", "promdrop push job/x"),
            (
                "U=http://gw H=$(hostname)\nj=a/b\na | curl -d @- $U/metrics/job/$j/$H",
                "promdrop push \"job/a/b/${H}\"",
            ),
            (
                "if a; then b | curl -d @- gw/metrics/job@base64/eA==/c/d; fi",
                "promdrop push 'job@base64/eA==/c/d'",
            ),
            ("wget -q --post-file=/tmp/f gw/metrics/job/x", "promdrop push job/x </tmp/f"),
            ("a | curl -d @- http://gw/metrics/x/metrics/job/y", "promdrop push job/y"),
            ("a | curl -o /x -d @- gw/metrics/job/x", "promdrop push job/x"),
            ("a | curl -d @- gw/metrics/job/x >>/x 2>&1", "promdrop push job/x >>/x 2>&1"),
            ("f=~/x; curl -T $f gw/metrics/job/x", "promdrop push job/x --replace <\"${f}\""),
            (
                "curl --data-binary $'a 1\\n' gw/metrics/job/x",
                "printf '%s\\n' \"\"$'a 1\\n'\"\" | promdrop push job/x",
            ),
        ] {
            assert_eq!(replaced(text), (vec![push.to_owned()], Vec::new()), "{text}");
        }
    }

    #[test]
    fn a_variable_that_changes_is_none_that_is_known() {
        for text in [
            "U=http://gw/metrics/job/a\nU=b\nx | curl -d @- $U",
            "U=http://gw/metrics/job/a\nread U\nx | curl -d @- $U",
            "U=http://gw/metrics/job/a\n. /etc/x\nx | curl -d @- $U",
            "U=http://gw/metrics/job/a\nprintf -v U b\nx | curl -d @- $U",
            "U=http://gw/metrics/job/a\nlet U=1\nx | curl -d @- $U",
            "if a; then U=http://gw/metrics/job/a; fi\nx | curl -d @- $U",
            "U=http://gw/metrics/job/a\nfor U in b; do x | curl -d @- $U; done",
        ] {
            assert_eq!(replaced(text).0, [""; 0], "{text}");
            assert_eq!(replaced(text).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_unclear_is_told_once() {
        for (text, message) in [
            (
                "curl -d @- http://gw/metrics/job/x",
                "it pushes what it is given on stdin, and nothing is piped to it",
            ),
            ("a | curl --frob http://gw/metrics/job/x", "the option `--frob` is not known here"),
            ("a | curl -d @- -d b gw/metrics/job/x", "it pushes several texts at once"),
            ("curl http://gw/metrics/job/x", "it pushes nothing"),
            ("a | curl -X GET -d @- gw/metrics/job/x", "its request is none of POST, PUT and DELETE"),
            ("a | curl -d @- gw/metrics/job/x b", "it has an argument besides one URL with /metrics/job"),
            ("a | curl -d @- 'gw/metrics/job/x?y=z'", "its URL goes on behind the path"),
            (
                "a | curl -H 'Content-Encoding: gzip' -d @- gw/metrics/job/x",
                "it sets a header that may say how the text is encoded",
            ),
            ("curl -T ~/x gw/metrics/job/x", "the shell makes other words of one of its arguments"),
            (
                "curl -d ${x:-'y'} gw/metrics/job/x",
                "it has quotes within `${}` or backquotes, which mean other things elsewhere",
            ),
            (
                "a | sudo curl -d @- gw/metrics/job/x",
                "a URL of a Pushgateway in something else than a plain call of curl or wget",
            ),
            (
                "U=gw/metrics/job/x; a | curl -d @- $U; python3 b.py ${U}",
                "a URL of a Pushgateway in something else than a plain call of curl or wget",
            ),
            (
                "x=$(a | curl -d @- gw/metrics/job/x)",
                "a URL of a Pushgateway in something else than a plain call of curl or wget",
            ),
        ] {
            assert_eq!(replaced(text).1, [message], "{text}");
        }
        assert_eq!(replaced("# a | curl gw/metrics/job/x\ncurl gw/metrics\n"), (Vec::new(), Vec::new()));
    }
}
