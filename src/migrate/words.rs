//! Small pieces of English, and comments of them. Pure.

use crate::diagnostic;

/// Columns of a comment.
const WIDTH: usize = 100;

/// `text` with no sign that only a terminal understands.
fn printable(text: &str) -> String {
    text.split('\n').map(diagnostic::printable).collect::<Vec<_>>().join("\n")
}

/// `text` as lines that begin with `# `, broken at blanks.
pub fn comment(text: &str) -> String {
    let mut out = String::new();
    let text = printable(text);
    for paragraph in text.split('\n') {
        let mut line = String::from("#");
        let mut columns = 1;
        for word in paragraph.split(' ') {
            let length = word.chars().count();
            if columns > 1 && columns + 1 + length > WIDTH {
                out.push_str(&line);
                out.push('\n');
                (line, columns) = (String::from("#"), 1);
            }
            line.push(' ');
            line.push_str(word);
            columns += 1 + length;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// `text`, which stands in a file of somebody's, as lines of a comment, none of them broken.
pub fn quoted(text: &str) -> String {
    text.split('\n').map(|line| format!("#   {}\n", printable(line))).collect()
}

/// `1, 2 and 3`.
pub fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    match items.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// `line 3`, `lines 1, 2 and 5`.
pub fn lines(numbers: &[usize]) -> String {
    format!("line{} {}", if numbers.len() == 1 { "" } else { "s" }, list(numbers))
}

/// Milliseconds as a duration of promdrop's, in the largest unit that holds them whole.
pub fn duration(milliseconds: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let unit =
        units.into_iter().find(|(factor, _)| milliseconds >= *factor && milliseconds.is_multiple_of(*factor));
    let (factor, unit) = unit.unwrap_or((1, "ms"));
    format!("{}{unit}", milliseconds / factor)
}

/// Milliseconds as seconds, without a unit.
pub fn seconds(milliseconds: u64) -> String {
    let text = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_broken_at_blanks_only() {
        let long = format!("{} {} c", "a".repeat(60), "b".repeat(120));
        assert_eq!(comment(&long), format!("# {}\n# {}\n# c\n", "a".repeat(60), "b".repeat(120)));
        assert_eq!(comment("a\nb"), "# a\n# b\n");
        assert!(!comment("a\u{1b}\r").contains(['\u{1b}', '\r']) && !quoted("a\r").contains('\r'));
        assert_eq!(quoted("a  b\n\nc"), "#   a  b\n#   \n#   c\n");
    }

    #[test]
    fn lists_and_durations_read_well() {
        assert_eq!(
            (list(&[1, 2, 3]), lines(&[4]), lines(&[1, 2])),
            ("1, 2 and 3".into(), "line 4".into(), "lines 1 and 2".into())
        );
        let durations = [15_000, 60_000, 90_000, 86_400_000, 7_500, 7 * 86_400_000].map(duration);
        assert_eq!(durations, ["15s", "1m", "90s", "1d", "7500ms", "7d"]);
        assert_eq!([0, 15_000, 7_500].map(seconds), ["0", "15", "7.5"]);
    }
}
