//! What a definition says of a command, in types that check while they are read.

use crate::config::yaml::{
    Field, Node, Problems, Value, Wrong, read_integer, read_list, read_map, read_text,
};

/// A text that a program can be given.
pub struct Text(pub String);

pub fn without_nul(text: &str) -> Result<String, Wrong> {
    if text.contains('\0') {
        return Err(Wrong::new("a program can't be given a NUL byte", "remove the `\\0`"));
    }
    Ok(text.to_owned())
}

impl Field for Text {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match text.trim() {
            "" => Err(Wrong::new("there is nothing to run", "write a command line")),
            _ => without_nul(text).map(Self),
        })
    }
}

/// A program, by absolute path or bare name, and its arguments.
pub struct Argv(pub Vec<String>);

impl Field for Argv {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        const CURE: &str =
            "write `[PROGRAM, ARGUMENT, ...]`; for one line with pipes and the like there is `shell`";
        let items = read_list(node, problems, CURE)?;
        let Some(first) = items.first() else {
            problems.report(node, Wrong::new("the list is empty", CURE));
            return None;
        };
        let words = items.iter().map(|item| read_text(item, problems, without_nul));
        let words: Vec<Option<String>> = words.collect();
        let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
        let program = words.first()?;
        let wrong = if program.is_empty() {
            Wrong::new("the program's name is empty", CURE)
        } else if !program.starts_with('/') && program.contains('/') {
            let message = format!("`{program}` is relative, and to what would depend on who starts promdrop");
            Wrong::new(message, "write the absolute path, or a bare name to be found in PATH")
        } else if !program.starts_with('/') && program.contains(char::is_whitespace) {
            Wrong::new(format!("no program is called `{program}`"), CURE)
        } else {
            return Some(Self(words));
        };
        problems.report(first, wrong);
        None
    }
}

/// An exit status.
pub struct Status(pub u8);

impl Field for Status {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_integer(node, problems, 0, 255).and_then(|status| u8::try_from(status).ok()).map(Self)
    }
}

/// The permissions that new files don't get.
pub struct Umask(pub u32);

impl Field for Umask {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        const CURE: &str = "write three octal digits in quotes, such as \"022\" or \"077\"";
        if let Value::Integer(_) = node.value {
            let message = "a umask is text: as a number, its digits would be decimal ones";
            problems.report(node, Wrong::new(message, CURE));
            return None;
        }
        read_text(node, problems, |text| {
            let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
            match u32::from_str_radix(text, 8) {
                Ok(mask) if digits && mask <= 0o777 => Ok(Self(mask)),
                _ => Err(Wrong::new(format!("`{text}` is not a umask"), CURE)),
            }
        })
    }
}

/// An absolute path.
pub struct Directory(pub String);

impl Field for Directory {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match text.starts_with('/') {
            true => without_nul(text).map(Self),
            false => Err(Wrong::new(format!("`{text}` is not an absolute path"), "begin it with `/`")),
        })
    }
}

/// The name of a variable. Of a key that is no text, `check_keys` has told.
pub fn read_variable(key: &Node, problems: &Problems) -> Option<String> {
    let Value::Text(name) = &key.value else { return None };
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let fits = name.bytes().next().is_some_and(letter);
    if !fits || !name.bytes().all(|b| letter(b) || b.is_ascii_digit()) {
        let message = format!("`{name}` is not the name of a variable");
        problems.report(key, Wrong::new(message, "use letters, digits and `_`, no digit first"));
        return None;
    }
    Some(name.clone())
}

/// Names and values for the environment.
pub struct Environment(pub Vec<(String, String)>);

impl Field for Environment {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let entries = read_map(node, problems, "write a line `NAME: value` for each")?;
        let mut all = Vec::new();
        for (key, value) in entries {
            let name = read_variable(key, problems);
            let value = read_text(value, problems, without_nul);
            all.extend(name.zip(value));
        }
        Some(Self(all))
    }
}
