//! Statements, pipelines, commands and redirections.

use std::ops::Range;

use super::words::is_name;
use super::{After, Command, Compound, Kind, Script, Simple, Statement, Unknown, Word};

/// Deeper, a text was made to exhaust the stack.
const DEEPEST: usize = 60;

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) comments: Vec<Range<usize>>,
    pub(super) documents: Vec<Range<usize>>,
    pub(super) pending: Vec<Pending>,
    /// Whether what begins with `$` stands there, where a `'` is no quote.
    pub(super) in_double_quotes: bool,
    depth: usize,
}

/// A here-document whose text comes behind the next newline.
pub(super) struct Pending {
    pub(super) at: usize,
    pub(super) delimiter: String,
    pub(super) strips_tabs: bool,
}

/// A compound command without its redirections.
type Inside = (Kind, Vec<Word>, Vec<Statement>);

/// Reads a script.
///
/// # Errors
/// The first spot that can't be understood for certain.
pub fn parse(text: &str) -> Result<Script, Unknown> {
    let mut parser = Parser {
        text,
        at: 0,
        comments: Vec::new(),
        documents: Vec::new(),
        pending: Vec::new(),
        in_double_quotes: false,
        depth: 0,
    };
    let statements = parser.list(&[])?;
    if parser.at < text.len() {
        return parser.unknown(parser.at, "something is closed here that was not opened");
    }
    if let Some(document) = parser.pending.first() {
        return parser.unknown(document.at, "the here-document has no text");
    }
    Ok(Script { statements, comments: parser.comments, documents: parser.documents })
}

/// Words that end a list, or go on with the compound command around it.
const CLOSING: [&str; 9] = ["then", "elif", "else", "fi", "do", "done", "esac", "}", "in"];

impl Parser<'_> {
    /// Statements, up to one of the words `ends`, `)` or `;;`, which is left.
    fn list(&mut self, ends: &[&str]) -> Result<Vec<Statement>, Unknown> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.unknown(self.at, "too many commands within each other");
        }
        let mut statements = Vec::new();
        let mut joined = false;
        loop {
            self.skip_lines()?;
            if self.rest().is_empty() || self.looking_at(")") || self.looking_at(";;") {
                break;
            }
            if let Some(word) = CLOSING.iter().find(|word| **word != "in" && self.looking_at_word(word)) {
                if ends.contains(word) {
                    break;
                }
                return self.unknown(self.at, format!("`{word}` closes nothing here"));
            }
            let mut statement = self.statement()?;
            statement.joined = joined;
            joined = matches!(statement.after, After::And | After::Or);
            statements.push(statement);
        }
        if joined {
            return self.unknown(self.at, "nothing follows the operator");
        }
        self.depth -= 1;
        Ok(statements)
    }

    fn looking_at_word(&self, word: &str) -> bool {
        let after = self.rest().strip_prefix(word).map(|rest| rest.chars().next());
        after.is_some_and(|next| next.is_none_or(|c| " \t\n;&|<>()".contains(c)))
    }

    fn statement(&mut self) -> Result<Statement, Unknown> {
        let start = self.at;
        let mut negated = false;
        while self.looking_at_word("!") {
            self.at += 1;
            negated = !negated;
            self.skip_blanks();
        }
        let mut commands = vec![self.command()?];
        let mut pipes = Vec::new();
        let mut end = self.at;
        loop {
            self.skip_blanks();
            if self.looking_at("||") || !self.looking_at("|") {
                break;
            }
            if self.looking_at("|&") {
                return self.unknown(self.at, "`|&` is not followed here");
            }
            pipes.push(self.at..self.at + 1);
            self.at += 1;
            self.skip_lines()?;
            commands.push(self.command()?);
            end = self.at;
        }
        let after = self.separator();
        Ok(Statement { span: start..end, negated, commands, pipes, after, joined: false })
    }

    fn separator(&mut self) -> After {
        if self.take("&&") {
            After::And
        } else if self.take("||") {
            After::Or
        } else if self.take("&") {
            After::Background
        } else {
            if !self.looking_at(";;") {
                self.take(";");
            }
            After::Next
        }
    }

    fn command(&mut self) -> Result<Command, Unknown> {
        let start = self.at;
        let compound = if self.looking_at("((") {
            self.at += 2;
            self.skip_nested('(', ')')?;
            if !self.take(")") {
                return self.unknown(start, "`((` is not closed by `))`");
            }
            (Kind::Test, Vec::new(), Vec::new())
        } else if self.take("(") {
            let body = self.list(&[])?;
            self.closing(")", start)?;
            (Kind::Subshell, Vec::new(), body)
        } else {
            match self.compound()? {
                Some(compound) => compound,
                None => return self.simple(),
            }
        };
        self.finish(start, compound)
    }

    fn finish(&mut self, start: usize, (kind, head, body): Inside) -> Result<Command, Unknown> {
        let mut redirects = Vec::new();
        let mut end = self.at;
        loop {
            self.skip_blanks();
            let Some(redirect) = self.redirect()? else { break };
            end = redirect.span.end;
            redirects.push(redirect);
        }
        self.at = end;
        Ok(Command::Compound(Compound { kind, span: start..end, head, body, redirects }))
    }

    /// The compound command that a reserved word begins here.
    fn compound(&mut self) -> Result<Option<Inside>, Unknown> {
        let start = self.at;
        let words =
            ["{", "if", "while", "until", "for", "select", "case", "function", "[[", "coproc", "time"];
        let Some(word) = words.into_iter().find(|word| self.looking_at_word(word)) else { return Ok(None) };
        self.at += word.len();
        let found = match word {
            "{" => (Kind::Group, Vec::new(), self.until(&["}"], start)?.0),
            "if" => (Kind::If, Vec::new(), self.branches(start)?),
            "while" | "until" => {
                let (mut body, _) = self.until(&["do"], start)?;
                body.extend(self.until(&["done"], start)?.0);
                (Kind::While, Vec::new(), body)
            }
            "for" | "select" => self.for_loop(start)?,
            "case" => (Kind::Case, Vec::new(), self.case(start)?),
            "[[" => {
                let length = self.rest().find(" ]]");
                let Some(length) = length else { return self.unknown(start, "there is no closing ]]") };
                self.at += length + 3;
                (Kind::Test, Vec::new(), Vec::new())
            }
            "function" => {
                self.skip_blanks();
                self.word()?;
                self.skip_blanks();
                if self.take("(") {
                    self.skip_blanks();
                    self.closing(")", start)?;
                }
                self.function_body()?
            }
            _ => return self.unknown(start, format!("`{word}` is not followed here")),
        };
        Ok(Some(found))
    }

    /// The list up to one of `ends`, which is passed, and which it was.
    fn until(
        &mut self,
        ends: &[&'static str],
        start: usize,
    ) -> Result<(Vec<Statement>, &'static str), Unknown> {
        let body = self.list(ends)?;
        for end in ends {
            if self.looking_at_word(end) {
                self.at += end.len();
                return Ok((body, end));
            }
        }
        self.unknown(start, format!("there is no closing `{}`", ends.join("` or `")))
    }

    fn branches(&mut self, start: usize) -> Result<Vec<Statement>, Unknown> {
        let (mut body, _) = self.until(&["then"], start)?;
        loop {
            let (more, end) = self.until(&["elif", "else", "fi"], start)?;
            body.extend(more);
            match end {
                "elif" => body.extend(self.until(&["then"], start)?.0),
                "else" => {}
                _ => return Ok(body),
            }
        }
    }

    fn for_loop(&mut self, start: usize) -> Result<Inside, Unknown> {
        self.skip_blanks();
        let mut head = Vec::new();
        if self.take("((") {
            self.skip_nested('(', ')')?;
            self.closing(")", start)?;
        } else {
            head.extend(self.word()?);
            self.skip_lines()?;
            if self.looking_at_word("in") {
                self.at += 2;
                self.skip_blanks();
                while let Some(word) = self.word()? {
                    head.push(word);
                    self.skip_blanks();
                }
            }
        }
        self.skip_blanks();
        self.take(";");
        self.skip_lines()?;
        if !self.looking_at_word("do") {
            return self.unknown(self.at, "there is no `do`");
        }
        self.at += 2;
        Ok((Kind::For, head, self.until(&["done"], start)?.0))
    }

    fn case(&mut self, start: usize) -> Result<Vec<Statement>, Unknown> {
        self.skip_blanks();
        self.word()?;
        self.skip_lines()?;
        if !self.looking_at_word("in") {
            return self.unknown(self.at, "there is no `in`");
        }
        self.at += 2;
        let mut body = Vec::new();
        loop {
            self.skip_lines()?;
            if self.looking_at_word("esac") {
                self.at += 4;
                return Ok(body);
            }
            self.take("(");
            loop {
                self.skip_blanks();
                if self.word()?.is_none() {
                    return self.unknown(start, "there is no closing `esac`");
                }
                self.skip_blanks();
                if !self.take("|") {
                    break;
                }
            }
            self.closing(")", start)?;
            body.extend(self.list(&["esac"])?);
            if self.take(";;") {
                self.take("&");
            } else if !self.looking_at_word("esac") {
                return self.unknown(start, "there is no closing `esac`");
            }
        }
    }

    fn function_body(&mut self) -> Result<Inside, Unknown> {
        self.skip_lines()?;
        let start = self.at;
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.unknown(start, "too many commands within each other");
        }
        let body = match self.command()? {
            Command::Compound(body) => body.body,
            Command::Simple(_) => {
                return self.unknown(start, "a function without braces is not followed here");
            }
        };
        self.depth -= 1;
        Ok((Kind::Function, Vec::new(), body))
    }

    /// Behind `$(`, `<(` and `>(`: to behind the closing one.
    pub(super) fn substitution(&mut self) -> Result<(), Unknown> {
        let start = self.at;
        self.in_double_quotes = false;
        self.list(&[])?;
        self.closing(")", start)
    }

    fn closing(&mut self, sign: &str, start: usize) -> Result<(), Unknown> {
        if self.take(sign) { Ok(()) } else { self.unknown(start, format!("there is no closing {sign}")) }
    }

    fn simple(&mut self) -> Result<Command, Unknown> {
        let start = self.at;
        let mut simple = Simple::default();
        let mut end = start;
        loop {
            self.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
            } else if let Some(word) = self.word()? {
                let is_assignment = simple.words.is_empty() && assigned(self.text, &word).is_some();
                let list = if is_assignment { &mut simple.assignments } else { &mut simple.words };
                list.push(word);
            } else if self.looking_at("(") {
                let is_definition = simple.words.len() == 1 && simple.redirects.is_empty();
                self.at += 1;
                self.skip_blanks();
                if !is_definition || !self.take(")") {
                    return self.unknown(self.at - 1, "this ( is not followed here");
                }
                let body = self.function_body()?;
                return self.finish(start, body);
            } else {
                break;
            }
            end = self.at;
        }
        if end == start {
            return self.unknown(start, "a command is missing here");
        }
        // What was skipped behind it belongs to nobody; the separator is found all the same.
        self.at = end;
        simple.span = start..end;
        Ok(Command::Simple(simple))
    }
}

/// The name that `word` assigns to, and how many bytes of the word that takes, `=` included.
pub fn assigned<'a>(text: &'a str, word: &Word) -> Option<(&'a str, usize)> {
    let raw = text.get(word.span.clone())?;
    let (name, _) = raw.split_once('=')?;
    let plain = name.strip_suffix('+').unwrap_or(name);
    let plain = plain.split_once('[').map_or(plain, |(array, _)| array);
    is_name(plain).then_some((name, name.len() + 1))
}
