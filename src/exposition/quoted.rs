//! Samples whose names stand in quotes, or that have none: what versions from 1.9.0 on make of them, and 1.5.0 rejects
//! (prometheus/common v0.62.0, expfmt/text_parse.go, readTokenAsMetricName and startLabelName).

use super::scan::{is_blank, is_label_byte};

/// A sample line up to its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Quoted {
    /// The metric's name, unescaped; `None` where none is given.
    pub name: Option<Vec<u8>>,
    /// The names of its labels, unescaped.
    pub labels: Vec<Vec<u8>>,
    /// Whether the closing brace follows a label's value, and no comma.
    pub ends_in_value: bool,
}

/// Reads `line`, which begins with the sample, up to the value; also how many bytes that is. `None`: it is rejected.
pub(super) fn read(line: &[u8]) -> Option<(Quoted, usize)> {
    let mut cursor = Cursor { line, at: 0 };
    let mut quoted = Quoted::default();
    let in_braces = cursor.byte() == b'{';
    if !in_braces {
        let name = cursor.name(|byte| byte == b':', b' ')?;
        if name.is_empty() {
            return None;
        }
        quoted.name = Some(name);
        cursor.blanks();
        if cursor.byte() != b'{' {
            return Some((quoted, cursor.at));
        }
    }
    loop {
        cursor.at += 1;
        cursor.blanks();
        if cursor.byte() == b'}' {
            break;
        }
        let name = cursor.name(|_| false, b'=')?;
        if name.is_empty() {
            return None;
        }
        cursor.blanks();
        match cursor.byte() {
            b'=' => {}
            end @ (b',' | b'}') if in_braces && quoted.name.is_none() => {
                quoted.name = Some(name);
                if end == b'}' {
                    break;
                }
                continue;
            }
            _ => return None,
        }
        if name == b"__name__" {
            return None;
        }
        quoted.labels.push(name);
        cursor.at += 1;
        cursor.blanks();
        cursor.label_value()?;
        cursor.blanks();
        match cursor.byte() {
            b',' => {}
            b'}' => {
                quoted.ends_in_value = true;
                break;
            }
            _ => return None,
        }
    }
    let is_twice = has_twice(&quoted.labels);
    (!is_twice).then_some((quoted, cursor.at + 1))
}

/// Reads the metric name at the start of `text`, as it may stand after HELP or TYPE; also how many bytes that is.
/// `None`: it is rejected.
pub(super) fn name(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut cursor = Cursor { line: text, at: 0 };
    let name = cursor.name(|byte| byte == b':', b' ')?;
    Some((name, cursor.at))
}

/// Whether a name stands twice that may not: whether `le` and `quantile` may depends on the family.
fn has_twice(names: &[Vec<u8>]) -> bool {
    let mut sorted: Vec<&Vec<u8>> =
        names.iter().filter(|name| !matches!(name.as_slice(), b"le" | b"quantile")).collect();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| matches!(pair, [one, two] if one == two))
}

struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The byte here; past the end, the line feed.
    fn byte(&self) -> u8 {
        self.line.get(self.at).copied().unwrap_or(b'\n')
    }

    fn blanks(&mut self) {
        while is_blank(self.byte()) {
            self.at += 1;
        }
    }

    /// A name of letters, digits, `_`, what is `also` part of it, and any bytes in quotes, up to a byte that is none of
    /// these or to `stop`; empty where none stands.
    fn name(&mut self, also: impl Fn(u8) -> bool, stop: u8) -> Option<Vec<u8>> {
        let is_start = |byte: u8| byte == b'"' || also(byte) || is_label_byte(byte) && !byte.is_ascii_digit();
        let mut name = Vec::new();
        let (mut quoted, mut escaped) = (false, false);
        if !is_start(self.byte()) {
            return Some(name);
        }
        loop {
            match (escaped, self.byte()) {
                (true, byte @ (b'\\' | b'"')) => name.push(byte),
                (true, b'n') => name.push(b'\n'),
                (true, _) | (false, b'\n') => return None,
                (false, b'"') if quoted => {
                    self.at += 1;
                    return Some(name);
                }
                (false, b'"') => quoted = true,
                (false, b'\\') => {}
                (false, byte) => name.push(byte),
            }
            escaped = !escaped && self.byte() == b'\\';
            self.at += 1;
            let byte = self.byte();
            if !quoted && (byte == stop || !(is_start(byte) || byte.is_ascii_digit())) {
                return Some(name);
            }
        }
    }

    fn label_value(&mut self) -> Option<()> {
        if self.byte() != b'"' {
            return None;
        }
        self.at += 1;
        let start = self.at;
        loop {
            match self.byte() {
                b'"' => break,
                b'\n' => return None,
                b'\\' => {
                    self.at += 1;
                    if !matches!(self.byte(), b'\\' | b'"' | b'n') {
                        return None;
                    }
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        std::str::from_utf8(self.line.get(start..self.at)?).ok()?;
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Option<(Option<String>, Vec<String>)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        read(line.as_bytes()).map(|(quoted, length)| {
            assert!(line[length..].trim_start().starts_with('1'), "{line}: {length}");
            (quoted.name.map(text), quoted.labels.into_iter().map(text).collect())
        })
    }

    #[test]
    fn names_in_quotes_are_those_of_1_9_0() {
        let some = |name: &str, labels: &[&str]| {
            Some((Some(name.to_owned()), labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>()))
        };
        for (line, expected) in [
            ("{\"c_a\"} 1", some("c_a", &[])),
            ("{ \"c.a\" , x = \"1\" } 1", some("c.a", &["x"])),
            ("{\"c_a\",\"x.y\"=\"1\",} 1", some("c_a", &["x.y"])),
            ("{x=\"1\",\"c_a\"} 1", some("c_a", &["x"])),
            ("\"c a\" 1", some("c a", &[])),
            ("c_\"a,b\" 1", some("c_a,b", &[])),
            ("{\"c\\n\\\\\\\"\"} 1", some("c\n\\\"", &[])),
            ("c_a{x\"y\"=\"1\"} 1", some("xy", &[]).map(|_| (Some("c_a".to_owned()), vec!["xy".to_owned()]))),
            ("{} 1", Some((None, vec![]))),
            ("{x=\"1\"} 1", Some((None, vec!["x".to_owned()]))),
            ("{\"c_a\",\"c_b\"} 1", None),
            ("{\"\"} 1", None),
            ("{\"c\\q\"} 1", None),
            ("{\"c_a 1", None),
            ("{\"__name__\"=\"c_a\"} 1", None),
            ("{\"c_a\",x=\"1\",x=\"2\"} 1", None),
            ("{\"c_a\",le=\"1\",le=\"2\"} 1", some("c_a", &["le", "le"])),
            ("{\"c_a\",x=\"\\t\"} 1", None),
            ("{", None),
        ] {
            assert_eq!(names(line), expected, "{line}");
        }
    }

    #[test]
    fn what_ends_in_a_value_is_told() {
        assert!(read(b"{x=\"1\"} 1").unwrap().0.ends_in_value);
        assert!(!read(b"{x=\"1\",} 1").unwrap().0.ends_in_value);
    }
}
