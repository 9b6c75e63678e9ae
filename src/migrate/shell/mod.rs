//! A shell script as a tree of commands, with the place of each word in the text, as far as `migrate` needs it. Pure.
//!
//! Nothing is expanded. What the parser doesn't know for certain is an [`Unknown`], never a guess: whoever asked then
//! leaves the script as it is.

mod parse;
mod redirect;
mod skip;
#[cfg(test)]
mod tests;
mod words;

use std::ops::Range;

pub use parse::{assigned, parse};
pub use words::is_name;

/// Where, and what of it can't be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Bytes before it.
    pub at: usize,
    /// What it is.
    pub message: String,
}

/// A script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Its statements.
    pub statements: Vec<Statement>,
    /// Its comments.
    pub comments: Vec<Range<usize>>,
    /// The texts of its here-documents.
    pub documents: Vec<Range<usize>>,
}

/// A pipeline, and how it goes on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From its first to its last word.
    pub span: Range<usize>,
    /// Whether `!` turns its status round.
    pub negated: bool,
    /// Its commands; at least one.
    pub commands: Vec<Command>,
    /// The `|` between them.
    pub pipes: Vec<Range<usize>>,
    /// What comes after it.
    pub after: After,
    /// Whether `&&` or `||` stands before it.
    pub joined: bool,
}

/// What separates a statement from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// `;`, a newline, or nothing more.
    Next,
    /// `&&`.
    And,
    /// `||`.
    Or,
    /// `&`.
    Background,
}

/// One command of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Words and redirections.
    Simple(Simple),
    /// Others around it.
    Compound(Compound),
}

/// A program or builtin with its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simple {
    /// From its first to its last word, redirections included.
    pub span: Range<usize>,
    /// `NAME=value` before it.
    pub assignments: Vec<Word>,
    /// The program and its arguments.
    pub words: Vec<Word>,
    /// Its redirections.
    pub redirects: Vec<Redirect>,
}

/// Commands in braces, loops and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compound {
    /// What it is.
    pub kind: Kind,
    /// From its first word to its last redirection.
    pub span: Range<usize>,
    /// The words of `for`: the variable, and those after `in`.
    pub head: Vec<Word>,
    /// All statements in it, those of conditions and branches too.
    pub body: Vec<Statement>,
    /// Its redirections.
    pub redirects: Vec<Redirect>,
}

/// The kinds of compound commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{ ...; }`
    Group,
    /// `( ... )`
    Subshell,
    /// `if`
    If,
    /// `for`
    For,
    /// `while` and `until`
    While,
    /// `case`
    Case,
    /// The definition of a function.
    Function,
    /// `[[ ... ]]` and `(( ... ))`
    Test,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The whole of it, without the text of a here-document.
    pub span: Range<usize>,
    /// The number before it.
    pub descriptor: Option<u32>,
    /// Such as `>>`.
    pub operator: &'static str,
    /// The file, descriptor or delimiter.
    pub target: Word,
}

impl Redirect {
    /// Whether it changes what the command reads.
    pub fn is_input(&self) -> bool {
        self.operator.starts_with('<') && self.descriptor.is_none_or(|descriptor| descriptor == 0)
    }

    /// Whether it leads stdout elsewhere.
    pub fn is_output(&self) -> bool {
        match self.operator {
            "&>" | "&>>" => true,
            operator => operator.starts_with('>') && self.descriptor.is_none_or(|descriptor| descriptor == 1),
        }
    }
}

/// A word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Where it stands, quotes included.
    pub span: Range<usize>,
    /// What it is made of.
    pub parts: Vec<Part>,
    /// Whether nothing in it is quoted.
    pub bare: bool,
    /// Whether the shell may make other words of it: patterns, `~`, braces.
    pub expands: bool,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Itself.
    Text(String),
    /// `$NAME`, also in braces.
    Variable(String),
    /// Anything else that the shell replaces, as it stands in the script.
    Opaque(String),
}

impl Word {
    /// Its text where it is the same at each run.
    pub fn constant(&self) -> Option<String> {
        if self.expands { None } else { constant(&self.parts) }
    }

    /// Whether it is the unquoted word `text`.
    pub fn is(&self, text: &str) -> bool {
        self.bare && matches!(self.parts.as_slice(), [Part::Text(own)] if own == text)
    }
}

/// Where `text` uses the variable `name`.
pub fn uses(text: &str, name: &str) -> Vec<usize> {
    let signs = [format!("${name}"), format!("${{{name}")];
    let found =
        signs.iter().flat_map(|sign| text.match_indices(sign).map(|(at, sign)| (at, at + sign.len())));
    let ends = |end: &usize| {
        !text.get(*end..).is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    found.filter(|(_, end)| ends(end)).map(|(at, _)| at).collect()
}

/// The text of parts that are all text.
pub fn constant(parts: &[Part]) -> Option<String> {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

impl Simple {
    /// The name of its program, without the path.
    pub fn program(&self) -> Option<String> {
        let name = self.words.first()?.constant()?;
        Some(name.rsplit('/').next().unwrap_or_default().to_owned())
    }
}

impl Command {
    /// Where it stands.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Simple(simple) => simple.span.clone(),
            Self::Compound(compound) => compound.span.clone(),
        }
    }

    /// Its redirections.
    pub fn redirects(&self) -> &[Redirect] {
        match self {
            Self::Simple(simple) => &simple.redirects,
            Self::Compound(compound) => &compound.redirects,
        }
    }

    /// It, if it is a simple one.
    pub fn simple(&self) -> Option<&Simple> {
        match self {
            Self::Simple(simple) => Some(simple),
            Self::Compound(_) => None,
        }
    }
}

impl Statement {
    /// Its command, if it is one simple command.
    pub fn simple(&self) -> Option<&Simple> {
        match self.commands.as_slice() {
            [Command::Simple(simple)] if !self.negated => Some(simple),
            _ => None,
        }
    }
}

/// `text` as one word of a shell.
pub fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Parts of a word as one word in double quotes, or without where none are needed.
pub fn quote_parts(parts: &[Part]) -> String {
    if let Some(text) = constant(parts) {
        return quote(&text);
    }
    let mut out = String::from('"');
    for part in parts {
        match part {
            Part::Text(text) => {
                for c in text.chars() {
                    if matches!(c, '"' | '\\' | '$' | '`') {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
            Part::Variable(name) => {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
            }
            // These mean nothing within double quotes.
            Part::Opaque(raw) if raw.starts_with("$'") || !raw.starts_with(['$', '`']) => {
                out.push_str(&format!("\"{raw}\""));
            }
            Part::Opaque(raw) => out.push_str(raw),
        }
    }
    out + "\""
}
