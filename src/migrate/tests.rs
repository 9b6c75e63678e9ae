use std::path::Path;

use proptest::prelude::*;

use super::crontab::{Form, Meaning};
use super::*;

const SCRIPT: &str = "/x.sh";

fn migrated(text: &str, form: Form, script: &str) -> Migration {
    let origin = Origin { name: "crontab", form, owner: Some("root") };
    migrate(text, &origin, &|path| {
        let text = program::Text { text: script.to_owned(), is_private: false };
        (path == Path::new(SCRIPT)).then_some(text)
    })
}

/// Lines of the crontab that start something.
fn jobs(text: &str, form: Form) -> usize {
    let lines = crontab::read(text, form);
    assert!(!lines.iter().any(|line| matches!(line.meaning, Meaning::Wrong(_))), "{text}");
    lines.iter().filter(|line| matches!(line.meaning, Meaning::Job(_))).count()
}

#[test]
fn a_job_once_pushed_is_a_collector_or_stays() {
    let push = "echo x 1 | curl --data-binary @- http://gw/metrics/job/a/instance/$h";
    let migration = migrated("* * * * * /x.sh\n", Form::User, push);
    assert_eq!((migration.collectors.len(), jobs(&migration.crontab, Form::User)), (1, 0));
    let migration = migrated("* * * * * /x.sh\n", Form::User, &format!("{push} || logger failed\n"));
    let (_, yaml) = &migration.collectors[0];
    assert!(
        yaml.ends_with("\n  shell: |\n    exec 3>&1 1>&2\n    echo x 1 >&3 || logger failed\n    exit 0\n"),
        "{yaml}"
    );
    for (line, script) in [
        ("7 3 * * * /x.sh\n", push.to_owned()),
        ("*/7 * * * * /x.sh\n", push.to_owned()),
        ("@reboot /x.sh\n", push.to_owned()),
        ("* * * * * /x.sh\n", format!("{push}\n{push}\n")),
        ("* * * * * /x.sh\n", format!("if a; then {push}; fi\n")),
        ("* * * * * /x.sh\n", format!("a && {push}\n")),
        ("* * * * * /x.sh\n", format!("{push} &\n")),
        ("* * * * * /x.sh\n", format!("! {push}\n")),
        ("* * * * * /x.sh\n", format!("{push} | logger\n")),
        ("* * * * * /x.sh\n", format!("{push}/user/$u\n")),
        ("* * * * * /x.sh\n", push.replace("--data", "-X DELETE --data")),
        ("* * * * * /x.sh\n", push.replace("curl", "curl --unheard-of")),
        ("* * * * * /x.sh\n", format!("{push}\nmail http://gw/metrics/job/b")),
        ("* * * * * /x.sh%input\n", push.to_owned()),
    ] {
        let migration = migrated(line, Form::User, &script);
        assert_eq!(migration.collectors, [], "{script}");
        let (notes, kept) = migration.crontab.rsplit_once("\n").unwrap().0.rsplit_once('\n').unwrap();
        assert_eq!(format!("{kept}\n"), line, "{script}");
        assert!(notes.contains("# No collector: "), "{script}: {notes}");
    }
}

#[test]
fn every_line_is_in_the_output() {
    let text = "# a comment\n\nMAILTO=x\n* * * * * root /x.sh\n61 * * * * root y\n0 3 * * * bob z --all\n";
    let push = "echo x 1 | curl -d @- http://gw/metrics/job/a";
    let migration = migrated(text, Form::System, push);
    for line in ["# a comment\n", "\nMAILTO=x\n", "# * * * * * root /x.sh\n", "# 61 * * * * root y\n"] {
        assert!(migration.crontab.contains(line), "{line}{}", migration.crontab);
    }
    assert!(migration.crontab.contains("\n0 3 * * * bob promdrop exec z --expect-every 1d -- z --all\n"));
    assert_eq!(migration.problems.len(), 1);
    assert_eq!(jobs(&migration.crontab, Form::System), 1);
}

/// What the shell of cron runs of each line.
fn lines_of(text: &str, form: Form) -> Vec<String> {
    migrated(text, form, "")
        .crontab
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn only_lines_of_one_schedule_user_and_environment_are_one_series() {
    let is_one = |other: &str| {
        let text = format!("* * * * * root a\n{other} sleep 30; a\n");
        let lines = lines_of(&text, Form::System);
        let first = lines[0].contains("exec a --expect-every 30s");
        assert_eq!(
            first,
            lines.iter().any(|line| line.contains("sleep 30; promdrop exec a --expect-every 30s")),
            "{text}"
        );
        first
    };
    assert!(is_one("* * * * * root"));
    assert!(!is_one("*/2 * * * * root"));
    assert!(!is_one("* * * * * bob"));
    assert!(!is_one("A=b\n* * * * * root"));
}

#[test]
fn what_no_program_is_goes_through_a_shell() {
    for (command, expected) in [
        ("a 'b c' >/dev/null 2>&1", "promdrop exec a --expect-every 1m -- a 'b c' >/dev/null 2>&1"),
        ("A=1 >/x a", "A=1 >/x promdrop exec a --expect-every 1m -- a"),
        ("cd /x && a &", "cd /x && promdrop exec a --expect-every 1m -- a &"),
        ("sleep 5; a | b", "sleep 5; promdrop exec a --expect-every 1m -- /bin/sh -c 'a | b'"),
        (". /etc/a", "promdrop exec job --expect-every 1m -- /bin/sh -c '. /etc/a'"),
        ("umask 077; a \\%", "promdrop exec a --expect-every 1m -- /bin/sh -c 'umask 077; a \\%'"),
        ("echo a", "promdrop exec echo --expect-every 1m -- /bin/sh -c 'echo a'"),
        ("kill -9 1", "promdrop exec kill --expect-every 1m -- /bin/sh -c 'kill -9 1'"),
        ("[ -e a ]", "promdrop exec job --expect-every 1m -- /bin/sh -c '[ -e a ]'"),
        ("ulimit -t 1; a", "promdrop exec ulimit --expect-every 1m -- /bin/sh -c 'ulimit -t 1; a'"),
        ("/bin/echo a", "promdrop exec echo --expect-every 1m -- /bin/echo a"),
        ("! a", "promdrop exec a --expect-every 1m -- /bin/sh -c '! a'"),
        ("~/a", "promdrop exec a --expect-every 1m -- /bin/sh -c '~/a'"),
        ("a%b\\%", "promdrop exec a --expect-every 1m -- a%b\\%"),
        ("/usr/bin/promdrop run", "/usr/bin/promdrop run"),
        ("x | promdrop write x", "x | promdrop write x"),
    ] {
        let lines = lines_of(&format!("* * * * * {command}\n"), Form::User);
        assert_eq!(lines, [format!("* * * * * {expected}")]);
    }
}

#[test]
fn what_comes_less_than_yearly_is_not_expected() {
    assert_eq!(lines_of("@yearly a\n", Form::User), ["@yearly promdrop exec a --expect-every 366d -- a"]);
    assert_eq!(lines_of("0 0 29 2 * a\n", Form::User), ["0 0 29 2 * promdrop exec a -- a"]);
    assert_eq!(lines_of("@reboot a\n", Form::User), ["@reboot promdrop exec a -- a"]);
}

#[test]
fn a_script_that_a_line_only_names_is_looked_into() {
    let push = "a | curl -d @- gw/metrics/job/x\n";
    for command in
        ["flock -n /run/lock/x /x.sh", "test -e /x.sh && /x.sh", "bash -c '/x.sh'", "/x.sh | logger"]
    {
        let migration = migrated(&format!("* * * * * {command}\n"), Form::User, push);
        let told =
            "# In /x.sh, line 1, replace\n#   curl -d @- gw/metrics/job/x\n# with\n#   promdrop push job/x\n";
        assert!(migration.crontab.starts_with(told), "{command}: {}", migration.crontab);
        assert!(migration.crontab.contains("\n* * * * * promdrop exec "), "{command}: {}", migration.crontab);
    }
}

#[test]
fn what_another_shell_reads_stays() {
    let text = "SHELL=/usr/bin/fish\n* * * * * a\nSHELL=/bin/bash\n* * * * * a\n";
    let expected = "SHELL=/usr/bin/fish\n# Kept as it is: /usr/bin/fish reads its command, and that shell is not known \
                    here.\n* * * * * a\nSHELL=/bin/bash\n* * * * * promdrop exec a --expect-every 1m -- a\n";
    assert_eq!(migrated(text, Form::User, "").crontab, expected);
}

proptest! {
    #[test]
    fn any_text_is_migrated_and_read_again(
        text in "((\\* \\* \\* \\* \\* |0 3 \\* \\* \\* |@reboot |A=b|#)?(/x.sh|sleep 5; |cd / && |[ -~]|%|\n){0,12}\n){0,4}",
        script in "(echo x 1 | curl -d @- http://gw/metrics/job/a|[ -~\n]|[;|&\"'`$(){}<\n]|if |fi|do |done|<<E\n|E\n){0,25}",
    ) {
        let migration = migrated(&text, Form::User, &script);
        if migration.problems.is_empty() {
            let count = jobs(&text, Form::User);
            let commented = migration.crontab.lines().filter(|line| line.starts_with("# replaced by ")).count();
            prop_assert_eq!(jobs(&migration.crontab, Form::User) + commented, count);
        }
    }
}
