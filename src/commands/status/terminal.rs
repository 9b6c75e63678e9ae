//! What the table is written to: how wide it is, and whether it has colours.

use std::ffi::OsStr;
use std::io::IsTerminal as _;

use rustix::termios::tcgetwinsize;

use super::table::Paper;

/// The width of a terminal that does not tell.
const USUAL: usize = 80;

/// What stdout is.
pub fn stdout() -> Paper {
    let out = std::io::stdout();
    let size = tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col));
    paper(out.is_terminal(), size, |name| std::env::var_os(name))
}

fn paper<T: AsRef<OsStr>>(
    is_terminal: bool,
    size: Option<usize>,
    variable: impl Fn(&str) -> Option<T>,
) -> Paper {
    // A serial line has the size 0.
    let given = |width: &usize| *width > 0;
    let columns = || variable("COLUMNS")?.as_ref().to_str()?.parse().ok().filter(given);
    let is = |name: &str, what: fn(&OsStr) -> bool| variable(name).is_some_and(|value| what(value.as_ref()));
    Paper {
        width: size.filter(given).or_else(columns).or(is_terminal.then_some(USUAL)),
        colour: is_terminal
            && !is("NO_COLOR", |value| !value.is_empty())
            && !is("TERM", |value| value == "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        is_terminal: bool,
        size: Option<usize>,
        variables: &[(&str, &'static str)],
    ) -> (Option<usize>, bool) {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let Paper { width, colour } = paper(is_terminal, size, variable);
        (width, colour)
    }

    #[test]
    fn the_width_is_the_terminals_then_the_one_that_is_set() {
        assert_eq!(told(true, Some(100), &[("COLUMNS", "60")]).0, Some(100));
        assert_eq!(told(true, Some(0), &[("COLUMNS", "60")]).0, Some(60));
        assert_eq!(told(true, Some(0), &[]).0, Some(80));
        assert_eq!(told(false, None, &[("COLUMNS", "60")]).0, Some(60));
        for nonsense in ["", "0", "-1", "wide"] {
            assert_eq!(told(false, None, &[("COLUMNS", nonsense)]).0, None, "{nonsense:?}");
        }
        assert_eq!(told(false, None, &[]).0, None);
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(told(true, None, &[]).1);
        assert!(told(true, None, &[("NO_COLOR", ""), ("TERM", "xterm")]).1);
        assert!(!told(true, None, &[("NO_COLOR", "0")]).1);
        assert!(!told(true, None, &[("TERM", "dumb")]).1);
        assert!(!told(false, None, &[]).1);
    }
}
