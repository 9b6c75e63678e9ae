//! Cures of units, as commands that can be copied. Pure.

/// The commands that make a drop-in of `unit` with these lines. It is named after the option of the first, and comes after
/// other drop-ins: what it empties stays empty.
pub fn drop_in(unit: &str, lines: &[String]) -> String {
    let key = lines.first().and_then(|line| line.split('=').next()).unwrap_or_default();
    let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
    let (dir, lines) = (format!("/etc/systemd/system/{unit}.d"), lines.join(" "));
    format!(
        "mkdir -p {dir} && printf '%s\\n' '[Service]' {lines} >{dir}/zz-{key}.conf && systemctl daemon-reload"
    )
}

/// A line of a unit, as a word of sh(1).
fn quoted(line: &str) -> String {
    format!("'{}'", line.replace('%', "%%").replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_in_is_made_by_the_shell() {
        let lines = ["ReadWritePaths=/it's/100%".to_owned(), "PrivateTmp=no".to_owned()];
        let expected = "mkdir -p /etc/systemd/system/x.service.d && printf '%s\\n' '[Service]' \
                        'ReadWritePaths=/it'\\''s/100%%' 'PrivateTmp=no' \
                        >/etc/systemd/system/x.service.d/zz-ReadWritePaths.conf && systemctl daemon-reload";
        assert_eq!(drop_in("x.service", &lines), expected);
    }
}
