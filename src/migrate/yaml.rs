//! Text as YAML: the few shapes that a collector file needs. Pure.

use std::fmt::Write as _;

/// `text` as one scalar on its line.
pub fn scalar(text: &str) -> String {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'_'));
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b"/_.-".contains(&b));
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if first && rest && !words.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_shown(c) => out.push(c),
            c => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out + "\""
}

/// `text` behind a key or a dash: as lines of their own, indented by `indent`, where it has several.
pub fn block(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    let fits = body.chars().all(|c| c == '\n' || c == '\t' || is_shown(c));
    let many = body.contains('\n');
    if !many && body == text {
        return scalar(text);
    }
    if !many || !fits || body.starts_with([' ', '\t', '\n']) {
        return scalar(text);
    }
    let keep = match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => return scalar(text),
    };
    let mut out = keep.to_owned();
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
    }
    out
}

/// What YAML takes as it is, and what an eye can tell.
fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(yaml: &str) -> String {
        let value: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
        value["a"]["b"].as_str().unwrap_or_else(|| panic!("{yaml}")).to_owned()
    }

    #[test]
    fn only_what_is_plain_goes_without_quotes() {
        for (text, yaml) in [
            ("/bin/sh", "/bin/sh"),
            ("a_b", "a_b"),
            ("No", "\"No\""),
            ("12", "\"12\""),
            ("-c", "\"-c\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("\u{1b}\u{2028}é\"\\", "\"\\U0000001b\\U00002028é\\\"\\\\\""),
        ] {
            assert_eq!(scalar(text), yaml);
        }
        assert_eq!(block("a b\n\nc\n", 2), "|\n  a b\n\n  c");
        assert_eq!(block("a\nb", 2), "|-\n  a\n  b");
        assert_eq!(block(" a\nb", 2), "\" a\\nb\"");
    }

    proptest! {
        #[test]
        fn every_text_is_read_as_it_was(text in "([ -~\t\né\u{0}-\u{9f}\u{2028}\u{feff}]|: |- |\n\n|#){0,30}") {
            prop_assert_eq!(&read(&format!("a:\n  b: {}\n", block(&text, 4))), &text);
            prop_assert_eq!(&read(&format!("a:\n  b: {}\n", scalar(&text))), &text);
        }
    }
}
