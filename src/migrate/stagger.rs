//! What people write since cron's shortest interval is a minute: `sleep` before, between and around. Pure.

use super::shell::{self, After, Command, Kind, Part, Script, Simple, Statement, Word};

/// The one command that a line runs, and when after the line was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staggered {
    /// The command.
    pub core: String,
    /// Where it begins in the line, the first time.
    pub at: usize,
    /// Milliseconds after the start, each time that it runs.
    pub offsets: Vec<u64>,
    /// Whether it waits for a random time.
    pub is_random: bool,
    /// Whether the line is nothing but waiting and then the command, to its end.
    pub is_plain: bool,
}

/// More runs in one line are not a way to stagger.
const MOST_RUNS: usize = 120;

/// What of `text` is waiting; `is_rich` of a shell that has `{1..4}` and `$RANDOM`.
pub fn read(text: &str, script: &Script, is_rich: bool) -> Staggered {
    let mut walk = Walk { text, variable: None, runs: Vec::new(), is_random: false, is_rich };
    if walk.list(&script.statements, 0).is_some()
        && let Some((_, at, core)) = walk.runs.first().cloned()
        && walk.runs.iter().all(|(_, _, other)| *other == core)
        && (walk.runs.len() == 1 || !walk.is_random)
    {
        let is_plain = walk.runs.len() == 1 && text.trim_end().len() == at + core.len();
        let offsets = walk.runs.iter().map(|(offset, _, _)| *offset).collect();
        return Staggered { core, at, offsets, is_random: walk.is_random, is_plain };
    }
    leading(text, script, is_rich)
}

/// The waiting at the head of the line, where what follows is more than one command.
fn leading(text: &str, script: &Script, is_rich: bool) -> Staggered {
    let mut walk = Walk { text, variable: None, runs: Vec::new(), is_random: false, is_rich };
    let mut offset = 0;
    let mut at = 0;
    for (statement, next) in script.statements.iter().zip(script.statements.iter().skip(1)) {
        let waits = matches!(statement.after, After::Next | After::And);
        match statement.simple().and_then(|simple| walk.sleep(simple)).filter(|_| waits) {
            Some(time) => offset += time,
            None => break,
        }
        at = next.span.start;
    }
    let core = text.get(at..).unwrap_or_default().trim_end().to_owned();
    Staggered { core, at, offsets: vec![offset], is_random: walk.is_random, is_plain: true }
}

struct Walk<'a> {
    text: &'a str,
    /// The variable of a loop, and its value this time.
    variable: Option<(String, String)>,
    /// When, where and what.
    runs: Vec<(u64, usize, String)>,
    is_random: bool,
    is_rich: bool,
}

impl Walk<'_> {
    /// Goes through `statements` from the time `offset` on; the time afterwards. `None` where it is anything else than
    /// waiting and running.
    fn list(&mut self, statements: &[Statement], mut offset: u64) -> Option<u64> {
        for statement in statements {
            let is_wait = statement.simple().and_then(|simple| self.sleep(simple));
            if let Some(time) = is_wait {
                if !matches!(statement.after, After::Next | After::And) {
                    return None;
                }
                offset += time;
                continue;
            }
            let after = match statement.commands.as_slice() {
                [Command::Compound(compound)] if compound.redirects.is_empty() && !statement.negated => {
                    match compound.kind {
                        Kind::Subshell | Kind::Group => self.list(&compound.body, offset)?,
                        Kind::For => self.repeat(&compound.head, &compound.body, offset)?,
                        _ => return None,
                    }
                }
                _ => self.run(statement, offset)?,
            };
            match statement.after {
                After::Next => offset = after,
                After::Background => {}
                After::And | After::Or => return None,
            }
        }
        Some(offset)
    }

    fn run(&mut self, statement: &Statement, offset: u64) -> Option<u64> {
        let core = self.text.get(statement.span.clone())?;
        let is_varied = self.variable.as_ref().is_some_and(|(name, _)| !shell::uses(core, name).is_empty());
        if is_varied {
            return None;
        }
        if self.runs.len() >= MOST_RUNS {
            return None;
        }
        self.runs.push((offset, statement.span.start, core.to_owned()));
        Some(offset)
    }

    fn repeat(&mut self, head: &[Word], body: &[Statement], mut offset: u64) -> Option<u64> {
        let (variable, values) = head.split_first()?;
        if self.variable.is_some() {
            return None;
        }
        let variable = variable.constant()?;
        for value in values_of(values, self.is_rich)? {
            self.variable = Some((variable.clone(), value));
            offset = self.list(body, offset)?;
        }
        self.variable = None;
        Some(offset)
    }

    /// How long `simple` waits, if that is all it does.
    fn sleep(&mut self, simple: &Simple) -> Option<u64> {
        let [program, time] = simple.words.as_slice() else { return None };
        let is_sleep = matches!(program.constant()?.as_str(), "sleep" | "/bin/sleep" | "/usr/bin/sleep");
        if !is_sleep || !simple.assignments.is_empty() || !simple.redirects.is_empty() {
            return None;
        }
        match time.parts.as_slice() {
            [Part::Text(text)] => milliseconds(text),
            [Part::Variable(name)] => {
                let (own, value) = self.variable.as_ref()?;
                if own == name { milliseconds(value) } else { None }
            }
            parts => {
                let is_random = parts.iter().any(|part| match part {
                    Part::Opaque(raw) if raw.contains("RANDOM") => self.is_rich,
                    Part::Opaque(raw) => ["shuf", "rand"].iter().any(|word| raw.contains(word)),
                    _ => false,
                });
                self.is_random |= is_random;
                is_random.then_some(0)
            }
        }
    }
}

/// A time as sleep(1) takes it.
fn milliseconds(text: &str) -> Option<u64> {
    let (number, factor) = match text.chars().last()? {
        's' => (text.strip_suffix('s')?, 1000),
        'm' => (text.strip_suffix('m')?, 60_000),
        'h' => (text.strip_suffix('h')?, 3_600_000),
        'd' => (text.strip_suffix('d')?, 86_400_000),
        _ => (text, 1000),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if number.is_empty() || number == "." || !digits(whole) || !digits(fraction) || whole.len() > 6 {
        return None;
    }
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((whole * 1000 + thousandths) * factor / 1000)
}

/// The words of `for`, with those that `seq` and braces stand for.
fn values_of(words: &[Word], is_rich: bool) -> Option<Vec<String>> {
    let mut values = Vec::new();
    for word in words {
        match word.parts.as_slice() {
            [Part::Text(text)] if word.expands => values.extend(braces(text).filter(|_| is_rich)?),
            [Part::Text(text)] => values.push(text.clone()),
            [Part::Opaque(raw)] => values.extend(sequence(raw)?),
            _ => return None,
        }
    }
    (!values.is_empty()).then_some(values)
}

/// `{1..4}`, `{0..45..15}`.
fn braces(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let numbers: Option<Vec<u32>> = inner.split("..").map(|number| number.parse().ok()).collect();
    match numbers?.as_slice() {
        [first, last] => count(*first, 1, *last),
        [first, last, step] => count(*first, *step, *last),
        _ => None,
    }
}

/// `$(seq 4)`, `$(seq 1 4)`, `` `seq 0 15 45` ``.
fn sequence(raw: &str) -> Option<Vec<String>> {
    let dollar = raw.strip_prefix("$(").and_then(|raw| raw.strip_suffix(')'));
    let inner = dollar.or_else(|| raw.strip_prefix('`')?.strip_suffix('`'))?;
    let mut words = inner.split_whitespace();
    if words.next()?.rsplit('/').next() != Some("seq") {
        return None;
    }
    let numbers: Option<Vec<u32>> = words.map(|number| number.parse().ok()).collect();
    match numbers?.as_slice() {
        [last] => count(1, 1, *last),
        [first, last] => count(*first, 1, *last),
        [first, step, last] => count(*first, *step, *last),
        _ => None,
    }
}

fn count(first: u32, step: u32, last: u32) -> Option<Vec<String>> {
    if step == 0 || last < first || (last - first) / step >= MOST_RUNS as u32 {
        return None;
    }
    Some((first..=last).step_by(step as usize).map(|number| number.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::shell::parse;
    use super::*;

    fn staggered(text: &str) -> Staggered {
        read(text, &parse(text).unwrap(), true)
    }

    #[test]
    fn what_waits_is_told_from_what_runs() {
        for (text, core, offsets) in [
            ("x -a", "x -a", &[0][..]),
            ("sleep 15; x -a >/dev/null 2>&1", "x -a >/dev/null 2>&1", &[15_000]),
            ("sleep 15 && x", "x", &[15_000]),
            ("/bin/sleep 0.5m; x", "x", &[30_000]),
            ("sleep 15s;x", "x", &[15_000]),
            ("sleep 1m ; sleep 5; x | y", "x | y", &[65_000]),
            ("(sleep 30; x)", "x", &[30_000]),
            ("( sleep 30 && x ) &", "x", &[30_000]),
            ("x; sleep 15; x; sleep 15; x", "x", &[0, 15_000, 30_000]),
            ("x & sleep 20; x & sleep 20; x &", "x", &[0, 20_000, 40_000]),
            ("for i in 1 2 3 4; do x -a; sleep 15; done", "x -a", &[0, 15_000, 30_000, 45_000]),
            ("for i in {1..3}; do x; sleep 20; done", "x", &[0, 20_000, 40_000]),
            ("for i in $(seq 0 15 45); do (sleep $i; x) & done", "x", &[0, 15_000, 30_000, 45_000]),
            ("for i in `seq 2`; do sleep 30; x; done", "x", &[30_000, 60_000]),
            ("for s in 0 30; do ( sleep ${s} ; x ) & done", "x", &[0, 30_000]),
            ("sleep 5; a; b", "a; b", &[5_000]),
            ("sleep 5; a && b", "a && b", &[5_000]),
            // Each of these does more than wait.
            ("for i in 1 2; do x $i; sleep 30; done", "for i in 1 2; do x $i; sleep 30; done", &[0]),
            ("for i in *.d; do x; done", "for i in *.d; do x; done", &[0]),
            ("sleep 5 & x", "sleep 5 & x", &[0]),
            ("sleep 5 || x", "sleep 5 || x", &[0]),
            ("sleep $n; x", "sleep $n; x", &[0]),
            ("a; sleep 5; b", "a; sleep 5; b", &[0]),
            ("x || sleep 5; x", "x || sleep 5; x", &[0]),
        ] {
            let found = staggered(text);
            assert_eq!((found.core.as_str(), found.offsets.as_slice()), (core, offsets), "{text}");
            assert!(!found.is_random, "{text}");
            assert!(text[found.at..].starts_with(core), "{text}");
        }
    }

    #[test]
    fn a_random_wait_is_a_splay() {
        for text in
            ["sleep $((RANDOM % 60)); x", "sleep $(shuf -i 0-59 -n 1) && x", "sleep `shuf -i 0-9 -n1`; x"]
        {
            let found = staggered(text);
            assert!(found.is_random && found.core == "x" && found.is_plain, "{text}");
        }
        let plain = |text| read(text, &parse(text).unwrap(), false);
        let text = "sleep $((RANDOM % 60)); x";
        assert_eq!((plain(text).core.as_str(), plain(text).is_random), (text, false));
        let text = "for i in {1..3}; do x; sleep 20; done";
        assert_eq!(plain(text).core, text);
        assert!(!staggered("sleep $(cat /etc/delay); x").is_random);
    }

    #[test]
    fn only_what_is_plain_can_be_written_into() {
        assert!(staggered("sleep 5; x ").is_plain);
        assert!(!staggered("(sleep 5; x)").is_plain);
        assert!(!staggered("x; sleep 5; x").is_plain);
    }
}
