//! A push to a Pushgateway, as a call of curl or wget says it. Pure.

mod options;

use self::options::{CURL, Role, WGET, role, split};
use super::shell::{Part, Simple, Word, constant};

/// What a push does to its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Replaces the families that are pushed.
    Post,
    /// Replaces the whole group.
    Put,
    /// Removes the group.
    Delete,
}

/// Where the text that is pushed comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// From stdin.
    Stdin,
    /// From a file.
    File(Vec<Part>),
    /// From the arguments.
    Inline(Vec<Part>),
    /// There is none.
    Nothing,
}

/// A push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What it does.
    pub method: Method,
    /// `job/J/LABEL/VALUE...`, as the URL has it.
    pub group: Vec<Part>,
    /// What it pushes.
    pub body: Body,
    /// Whether it is sent without newlines: those of a file or stdin, or the last.
    pub strips: bool,
    /// Whether it shows or keeps the answer of the Pushgateway.
    pub keeps: bool,
}

/// What the path of a push begins with.
pub const METRICS: &str = "/metrics/";
/// What tells the URL of a push from that of a scrape.
pub const MARK: &str = "/metrics/job";

/// The push that `simple` is; `None` where it is none. `lookup` tells what a variable stands for, if that is known.
///
/// # Errors
/// What of it can't be understood.
pub fn read(simple: &Simple, lookup: &dyn Fn(&str) -> Option<Vec<Part>>) -> Result<Option<Push>, String> {
    let options = match simple.program().as_deref() {
        Some("curl") => CURL,
        Some("wget") => WGET,
        _ => return Ok(None),
    };
    let resolved = simple.words.iter().skip(1).map(|word| resolve(&word.parts, lookup, 4));
    let arguments: Vec<Vec<Part>> = resolved.collect();
    if !arguments.iter().any(|parts| has_mark(parts)) {
        return Ok(None);
    }
    if simple.words.iter().any(|word| word.expands) {
        return Err("the shell makes other words of one of its arguments".to_owned());
    }
    if arguments.iter().flatten().any(is_fragile) {
        return Err("it has quotes within `${}` or backquotes, which mean other things elsewhere".to_owned());
    }
    let (is_mute, keeps) = outputs(simple);
    let is_wget = std::ptr::eq(options, WGET);
    let mut reading = Reading { is_wget, is_mute, keeps, ..Reading::default() };
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        reading.argument(options, argument, &mut rest)?;
    }
    reading.finish().map(Some)
}

/// Whether what it prints is thrown away, and whether it goes elsewhere.
fn outputs(simple: &Simple) -> (bool, bool) {
    let (mut is_mute, mut keeps) = (false, false);
    for redirect in simple.redirects.iter().filter(|redirect| !redirect.is_input()) {
        match (redirect.operator, redirect.target.constant().as_deref()) {
            (_, Some("/dev/null")) => is_mute |= redirect.is_output(),
            (">&", Some("1" | "2" | "-")) => {}
            _ => keeps = true,
        }
    }
    (is_mute, keeps)
}

/// Whether `part` may mean something else between other quotes than its own.
fn is_fragile(part: &Part) -> bool {
    let Part::Opaque(raw) = part else { return false };
    (raw.starts_with("${") || raw.starts_with('`')) && raw.contains(['\'', '"', '\\'])
}

fn texts(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// Whether `parts` have the path of a push.
pub fn has_mark(parts: &[Part]) -> bool {
    texts(parts).any(|text| text.contains(MARK))
}

/// `parts` with each known variable replaced by what it stands for.
pub fn resolve(parts: &[Part], lookup: &dyn Fn(&str) -> Option<Vec<Part>>, depth: usize) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::new();
    for part in parts {
        let known = match part {
            Part::Variable(name) if depth > 0 => lookup(name).filter(|parts| leads_to_url(parts)),
            _ => None,
        };
        let pieces = known.map_or_else(|| vec![part.clone()], |known| resolve(&known, lookup, depth - 1));
        for piece in pieces {
            match (out.last_mut(), piece) {
                (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
                (_, piece) => out.push(piece),
            }
        }
    }
    out
}

/// Only what is constant, or the way to the Pushgateway, is put in the place of a variable.
fn leads_to_url(parts: &[Part]) -> bool {
    constant(parts).is_some() || has_mark(parts) || texts(parts).any(|text| text.contains("://"))
}

#[derive(Default)]
struct Reading {
    is_wget: bool,
    is_mute: bool,
    keeps: bool,
    strips: bool,
    method: Option<Method>,
    group: Option<Vec<Part>>,
    body: Option<Body>,
}

impl Reading {
    fn argument(
        &mut self,
        options: &[(&str, Role)],
        argument: Vec<Part>,
        rest: &mut impl Iterator<Item = Vec<Part>>,
    ) -> Result<(), String> {
        let Some(Part::Text(text)) = argument.first() else { return self.url(argument) };
        if !text.starts_with('-') || text == "-" {
            return self.url(argument);
        }
        let mut text = text.clone();
        let mut parts = argument.into_iter().skip(1).collect::<Vec<_>>();
        // `-sSX PUT`, `-m5`: letters without a value, then perhaps one with.
        while !text.starts_with("--") && text.chars().count() > 2 {
            let (letter, more) = text.split_at(text.char_indices().nth(2).map_or(text.len(), |(at, _)| at));
            if role(options, letter) != Some(Role::Flag) {
                break;
            }
            text = format!("-{more}");
        }
        let (name, attached) = split(&text, self.is_wget);
        let role = role(options, name).ok_or_else(|| format!("the option `{name}` is not known here"))?;
        if role == Role::Flag {
            return Ok(());
        }
        let value = if attached.is_none() && parts.is_empty() {
            rest.next().ok_or_else(|| format!("the option `{name}` has no value"))?
        } else {
            parts.insert(0, Part::Text(attached.unwrap_or_default().to_owned()));
            parts.retain(|part| *part != Part::Text(String::new()));
            parts
        };
        self.option(role, value)
    }

    fn option(&mut self, role: Role, value: Vec<Part>) -> Result<(), String> {
        match role {
            Role::Flag | Role::Ignored => Ok(()),
            Role::Kept => {
                self.keeps |= !matches!(constant(&value).as_deref(), Some("/dev/null" | "-"));
                Ok(())
            }
            Role::Shown => {
                let is_blank = |text: String| text.replace("\\n", "").trim().is_empty();
                self.keeps |= !self.is_mute && !constant(&value).is_some_and(is_blank);
                Ok(())
            }
            Role::Data => {
                self.strips = true;
                self.body(data(value))
            }
            Role::Binary => self.body(data(value)),
            Role::Raw => self.body(Body::Inline(value)),
            Role::DataFile => self.body(Body::File(value)),
            Role::Upload => {
                self.method.get_or_insert(Method::Put);
                let is_stdin = constant(&value).is_some_and(|file| file == "-" || file == ".");
                self.body(if is_stdin { Body::Stdin } else { Body::File(value) })
            }
            Role::Url => self.url(value),
            Role::Header => match constant(&value).map(|header| header.to_ascii_lowercase()) {
                Some(header) if !header.starts_with("content-encoding") => Ok(()),
                _ => Err("it sets a header that may say how the text is encoded".to_owned()),
            },
            Role::Request => {
                self.method = Some(match constant(&value).as_deref() {
                    Some("POST") => Method::Post,
                    Some("PUT") => Method::Put,
                    Some("DELETE") => Method::Delete,
                    _ => return Err("its request is none of POST, PUT and DELETE".to_owned()),
                });
                Ok(())
            }
        }
    }

    fn url(&mut self, parts: Vec<Part>) -> Result<(), String> {
        let mut group = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) if group.is_empty() => {
                    let path = text.find(MARK).and_then(|at| text.get(at + METRICS.len()..));
                    group.extend(path.map(|path| Part::Text(path.to_owned())));
                }
                part if !group.is_empty() => group.push(part),
                _ => {}
            }
        }
        if group.is_empty() || self.group.is_some() {
            return Err("it has an argument besides one URL with /metrics/job".to_owned());
        }
        if let Some(Part::Text(last)) = group.last_mut() {
            last.truncate(last.trim_end_matches('/').len());
        }
        if texts(&group).any(|text| text.contains(['?', '#'])) {
            return Err("its URL goes on behind the path".to_owned());
        }
        self.group = Some(group);
        Ok(())
    }

    fn body(&mut self, body: Body) -> Result<(), String> {
        match self.body.replace(body) {
            None => Ok(()),
            Some(_) => Err("it pushes several texts at once".to_owned()),
        }
    }

    fn finish(self) -> Result<Push, String> {
        let method = match (self.method, &self.body) {
            (Some(method), _) => method,
            (None, Some(_)) => Method::Post,
            (None, None) => return Err("it pushes nothing".to_owned()),
        };
        let body = self.body.unwrap_or(Body::Nothing);
        if (body == Body::Nothing) != (method == Method::Delete) {
            return Err("its request and what it pushes don't fit".to_owned());
        }
        let group = self.group.ok_or("it has no URL")?;
        Ok(Push { method, group, body, strips: self.strips, keeps: self.keeps })
    }
}

/// What `--data` names: `@FILE`, `@-`, or the text itself.
fn data(mut value: Vec<Part>) -> Body {
    let Some(Part::Text(first)) = value.first_mut() else { return Body::Inline(value) };
    if !first.starts_with('@') {
        return Body::Inline(value);
    }
    if value.len() == 1 && matches!(constant(&value).as_deref(), Some("@-" | "@/dev/stdin")) {
        return Body::Stdin;
    }
    if let Some(Part::Text(first)) = value.first_mut() {
        *first = first.split_off(1);
    }
    Body::File(value)
}

/// The labels of a group, `job` first; `None` where a name is not constant or has no value.
pub fn labels(group: &[Part]) -> Option<Vec<(String, Vec<Part>)>> {
    let mut pieces: Vec<Vec<Part>> = vec![Vec::new()];
    for part in group {
        match part {
            Part::Text(text) => {
                for (i, piece) in text.split('/').enumerate() {
                    if i > 0 {
                        pieces.push(Vec::new());
                    }
                    if let Some(last) = pieces.last_mut().filter(|_| !piece.is_empty()) {
                        last.push(Part::Text(piece.to_owned()));
                    }
                }
            }
            part => pieces.last_mut()?.push(part.clone()),
        }
    }
    let pairs = pieces.chunks(2).map(|pair| match pair {
        [name, value] if !value.is_empty() => Some((constant(name)?, value.clone())),
        _ => None,
    });
    pairs.collect()
}

/// As it stands in the script, for people to read.
pub fn shown(parts: &[Part]) -> String {
    let pieces = parts.iter().map(|part| match part {
        Part::Text(text) => text.clone(),
        Part::Variable(name) => format!("${name}"),
        Part::Opaque(raw) => raw.clone(),
    });
    pieces.collect()
}

/// The value of the word that assigns, behind its `NAME=`.
pub fn value(word: &Word, name: &str) -> Option<Vec<Part>> {
    let mut parts = word.parts.clone();
    match parts.first_mut()? {
        Part::Text(first) => *first = first.strip_prefix(name)?.strip_prefix('=')?.to_owned(),
        _ => return None,
    }
    Some(parts)
}
