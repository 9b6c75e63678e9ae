//! `/etc/default/promdrop`: where things are on this host, said once for the timer, cron, users' crontabs and commands by
//! hand.
//!
//! Its lines are what both sh(1) and systemd.exec(5), EnvironmentFile=, would take alike: `NAME=VALUE`, the value plain or
//! between quotes, and comments after `#`. What one of the two would understand otherwise is refused.

use std::io::ErrorKind;
use std::path::Path;

use super::load::{Failed, read_text};
use super::trust;
use super::yaml::{Wrong, nearest};
use crate::diagnostic::Problem;

/// Where it is.
pub const FILE: &str = "/etc/default/promdrop";

/// The variables that the file at `path` sets, of those that are `known`, each with its value; none where there is no such
/// file.
///
/// # Errors
/// The file, with every line that can't be taken, or why it can't be read or trusted as a whole.
pub fn read(path: &Path, known: &[&str]) -> Result<Vec<(String, String)>, Failed> {
    let failed = |text, problems| Failed { stem: None, path: path.to_owned(), text, problems };
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    // For root, whoever could write it could say where root is to write.
    let text = match read_text(path, |_| trust::file(path)) {
        Ok(text) => text,
        Err((text, problem)) => return Err(failed(text, vec![problem])),
    };
    parse(&text, known).map_err(|problems| failed(text, problems))
}

fn parse(text: &str, known: &[&str]) -> Result<Vec<(String, String)>, Vec<Problem>> {
    let mut set: Vec<(String, String)> = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match assignment(line, known) {
            Ok(None) => {}
            Ok(Some((name, value))) if set.iter().all(|(other, _)| other != name) => {
                set.push((name.to_owned(), value.to_owned()));
            }
            Ok(Some((name, _))) => problems.push(Spot(0, twice(name)).in_line(number, line)),
            Err(spot) => problems.push(spot.in_line(number, line)),
        }
    }
    if problems.is_empty() { Ok(set) } else { Err(problems) }
}

fn twice(name: &str) -> Wrong {
    Wrong::new(format!("{name} is set twice"), "keep one of the lines")
}

/// What is wrong at a byte of a line.
struct Spot(usize, Wrong);

impl Spot {
    fn in_line(self, number: usize, line: &str) -> Problem {
        let Spot(at, Wrong { message, cure }) = self;
        let column = line.get(..at).unwrap_or_default().chars().count() + 1;
        Problem { line: number + 1, column, message, cure }
    }
}

/// The variable that a line sets and its value; none where it is empty or a comment.
fn assignment<'a>(line: &'a str, known: &[&str]) -> Result<Option<(&'a str, &'a str)>, Spot> {
    let text = line.trim_end();
    if text.is_empty() || text.trim_start().starts_with('#') {
        return Ok(None);
    }
    let Some((name, value)) = text.split_once('=') else {
        return Err(Spot(
            0,
            Wrong::new("this sets no variable", "write NAME=VALUE, or `#` before a comment"),
        ));
    };
    if !known.contains(&name) {
        let cure = match nearest(name, known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known here: {}", known.join(", ")),
        };
        return Err(Spot(0, Wrong::new(format!("there is no variable `{name}` of promdrop's"), cure)));
    }
    let at = name.len() + 1;
    let plain = unquote(value).map_err(|wrong| Spot(at, wrong))?;
    if plain.is_empty() {
        return Err(Spot(at, Wrong::new(format!("{name} has no value"), "remove the line, or name one")));
    }
    if name.ends_with("_DIR") && !plain.starts_with('/') {
        let message = format!("{name} would depend on where promdrop is started");
        return Err(Spot(at, Wrong::new(message, "write the path from / on")));
    }
    Ok(Some((name, plain)))
}

/// The value that sh and systemd both take `value` for.
fn unquote(value: &str) -> Result<&str, Wrong> {
    let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
    let inner = match quote {
        None => value,
        Some(quote) => value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
            .ok_or_else(|| Wrong::new("the quote does not end with the line", "end it there"))?,
    };
    let is_special = |c: char| match quote {
        None => c.is_whitespace() || "\"'\\$`#&;|<>()~".contains(c),
        Some(_) => "\"'\\$`".contains(c),
    };
    match inner.chars().find(|c| is_special(*c)) {
        None => Ok(inner),
        Some(c) if quote.is_none() && !"\"'\\$`".contains(c) => {
            Err(Wrong::new(format!("`{c}` has to stand between quotes"), "write NAME=\"VALUE\""))
        }
        Some(c) => Err(Wrong::new(
            format!("`{c}` has no place in a value: nothing is expanded here"),
            "write the value itself",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KNOWN: &[&str] = &["PROMDROP_TEXTFILE_DIR", "PROMDROP_NODE_EXPORTER"];

    #[test]
    fn what_sh_and_systemd_take_alike_is_taken() {
        for (line, value) in [
            ("PROMDROP_TEXTFILE_DIR=/a/b-c_d.e", "/a/b-c_d.e"),
            ("PROMDROP_TEXTFILE_DIR=\"/a b#c\"  ", "/a b#c"),
            ("PROMDROP_TEXTFILE_DIR='/é;'\r", "/é;"),
        ] {
            let text = format!("# A comment.\n\n  # Another.\n{line}\n");
            assert_eq!(
                parse(&text, KNOWN),
                Ok(vec![("PROMDROP_TEXTFILE_DIR".into(), value.into())]),
                "{line}"
            );
        }
    }

    #[test]
    fn what_one_of_them_would_take_otherwise_is_refused_where_it_stands() {
        for (line, column, said) in [
            ("export PROMDROP_TEXTFILE_DIR=/a", 1, "no variable `export PROMDROP_TEXTFILE_DIR`"),
            ("PROMDROP_TEXTFILE=/a", 1, "no variable `PROMDROP_TEXTFILE`"),
            (" PROMDROP_TEXTFILE_DIR=/a", 1, "no variable ` PROMDROP_TEXTFILE_DIR`"),
            ("PROMDROP_TEXTFILE_DIR", 1, "sets no variable"),
            ("PROMDROP_TEXTFILE_DIR=", 23, "has no value"),
            ("PROMDROP_TEXTFILE_DIR=''", 23, "has no value"),
            ("PROMDROP_TEXTFILE_DIR=a/b", 23, "depend on where promdrop is started"),
            ("PROMDROP_TEXTFILE_DIR=/a b", 23, "` ` has to stand between quotes"),
            ("PROMDROP_TEXTFILE_DIR=/a #b", 23, "` ` has to stand between quotes"),
            ("PROMDROP_TEXTFILE_DIR=/a/$HOME", 23, "nothing is expanded"),
            ("PROMDROP_TEXTFILE_DIR=\"/a\\\"\"", 23, "`\\` has no place"),
            ("PROMDROP_TEXTFILE_DIR=\"/a", 23, "does not end"),
            ("PROMDROP_TEXTFILE_DIR=\"", 23, "does not end"),
            ("PROMDROP_TEXTFILE_DIR=/a\"b\"", 23, "`\"` has no place"),
        ] {
            let problems = parse(line, KNOWN).unwrap_err();
            assert_eq!(problems.len(), 1, "{line}");
            assert_eq!((problems[0].line, problems[0].column), (1, column), "{line}");
            assert!(problems[0].message.contains(said), "{line}: {}", problems[0].message);
        }
        let problems = parse("x\nPROMDROP_TEXTFILE_DIR=/a\nPROMDROP_TEXTFILE_DIR=/b\n", KNOWN).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 3]);
        assert!(problems[1].message.contains("set twice"));
        let near = parse("PROMDROP_TEXTFILE_DIT=/a", KNOWN).unwrap_err();
        assert_eq!(near[0].cure, "did you mean PROMDROP_TEXTFILE_DIR?");
    }

    #[test]
    fn no_file_sets_nothing_and_one_that_others_could_write_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("promdrop");
        assert_eq!(read(&path, KNOWN), Ok(Vec::new()));
        fs::write(&path, "PROMDROP_NODE_EXPORTER=http://[::1]:9100/metrics\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path, KNOWN).unwrap()[0].1, "http://[::1]:9100/metrics");
        if nix::unistd::geteuid().is_root() {
            fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
            let refused = read(&path, KNOWN).unwrap_err();
            assert!(refused.problems[0].message.contains("can be changed by everyone"), "{refused}");
        }
    }
}
