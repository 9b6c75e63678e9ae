//! Redirections, and where here-documents begin.

use super::parse::{Parser, Pending};
use super::{Redirect, Unknown};

const REDIRECTIONS: [&str; 12] = ["&>>", "&>", "<<<", "<<-", "<<", "<&", "<>", "<", ">>", ">&", ">|", ">"];

impl Parser<'_> {
    pub(super) fn redirect(&mut self) -> Result<Option<Redirect>, Unknown> {
        let start = self.at;
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let after = self.text.get(start + digits..).unwrap_or_default();
        let substitutes = digits == 0 && (after.starts_with("<(") || after.starts_with(">("));
        let operator = REDIRECTIONS.into_iter().find(|operator| after.starts_with(operator));
        let Some(operator) = operator.filter(|_| !substitutes) else { return Ok(None) };
        let descriptor = self.slice(start..start + digits).parse().ok();
        self.at = start + digits + operator.len();
        self.skip_blanks();
        let Some(target) = self.word()? else { return self.unknown(start, "the redirection leads nowhere") };
        if matches!(operator, "<<" | "<<-") {
            let Some(delimiter) = target.constant() else {
                return self.unknown(start, "the end of the here-document is not constant");
            };
            self.pending.push(Pending { at: start, delimiter, strips_tabs: operator == "<<-" });
        }
        Ok(Some(Redirect { span: start..self.at, descriptor, operator, target }))
    }
}
