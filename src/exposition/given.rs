//! What a text that keeps the rules may still not hold when promdrop is to publish it for somebody. Pure.

use std::collections::HashSet;

use super::family::{Labels, OWN_PREFIX};
use super::reading::MOST;
use super::scan::{Line, Scanner};
use super::text::{Position, short};
use crate::diagnostic::Problem;

/// The samples of `text` that bear a name of promdrop's own, each name once, or a label that is in `added` too; of
/// many, the first. Lines that can't be read are passed over: [`read`](super::read) tells of them.
pub fn misfits(text: &[u8], added: &Labels) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    let mut scanner = Scanner::default();
    let mut position = Position::new(text);
    let mut start = 0;
    for line in text.split(|byte| *byte == b'\n') {
        if problems.len() >= MOST {
            break;
        }
        if let Ok(Line::Sample { name, .. }) = scanner.scan(line) {
            let mut report = |at: usize, message, cure: &str| {
                let (line, column) = position.of(start + at);
                problems.push(Problem { line, column, message, cure: cure.to_owned() });
            };
            if name.str().starts_with(OWN_PREFIX) && names.insert(name.str()) {
                let message = format!(
                    "`{}`: names that begin with `{OWN_PREFIX}` are promdrop's own",
                    short(name.str())
                );
                report(name.at, message, "choose another name");
            }
            for label in scanner.labels.iter().filter(|label| !label.value.bytes.is_empty()) {
                if added.iter().any(|(name, _)| name.as_bytes() == label.name.bytes) {
                    let message =
                        format!("the label `{}`, which is to be added, is there already", label.name.str());
                    report(label.name.at, message, "add none of this name, or don't print it");
                }
            }
        }
        start += line.len() + 1;
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_where_it_stands() {
        let text = "promdrop_a 1\npromdrop_a{x=\"1\"} 2\n# HELP promdrop_b B.\nnonsense\n\
                    c_a{é=\"1\"} 1\nc_a{y=\"é\",x=\"1\"} 1\nc_a{x=\"\"} 1\n promdrop_b 1\nnot_promdrop_c 1\n";
        let found: Vec<_> = misfits(text.as_bytes(), &vec![("x".into(), "2".into())])
            .into_iter()
            .map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message))
            .collect();
        assert_eq!(
            found,
            [
                "1:1: `promdrop_a`: names that begin with `promdrop_` are promdrop's own",
                "2:12: the label `x`, which is to be added, is there already",
                "6:11: the label `x`, which is to be added, is there already",
                "8:2: `promdrop_b`: names that begin with `promdrop_` are promdrop's own",
            ]
        );
    }

    #[test]
    fn a_flood_is_bounded() {
        let text = "c_a{x=\"1\"} 1\n".repeat(10_000);
        assert_eq!(misfits(text.as_bytes(), &vec![("x".into(), "2".into())]).len(), MOST);
    }
}
