use proptest::prelude::*;

use super::*;

fn only(text: &str, form: Form) -> Meaning {
    let mut lines = read(text, form);
    assert_eq!(lines.len(), 1, "{text}");
    lines.remove(0).meaning
}

#[track_caller]
fn job_of(text: &str, form: Form) -> Job {
    match only(text, form) {
        Meaning::Job(job) => job,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn lines_are_what_cron_takes_them_for() {
    let text =
        "# a\n\n \t# b\nMAILTO=root\n* * * * * x\n@reboot y\n1~5 * * * * z\n1~5 60 * * * z\n1~5 * * * *";
    let lines = read(text, Form::User);
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| match line.meaning {
            Meaning::Nothing => "nothing",
            Meaning::Variable(..) => "variable",
            Meaning::Job(_) => "job",
            Meaning::Wrong(_) => "wrong",
            Meaning::Strange(_) => "strange",
        })
        .collect();
    assert_eq!(
        kinds,
        ["nothing", "nothing", "nothing", "variable", "job", "job", "strange", "wrong", "wrong"]
    );
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts.join("\n"), text);
    assert_eq!(lines[5].number, 6);
}

#[test]
fn variables_may_be_quoted() {
    for (text, name, value) in [
        ("A=b", "A", "b"),
        (" A = b c \t", "A", "b c"),
        ("A=\"b c\" ", "A", "b c"),
        ("A='b\"'", "A", "b\""),
        ("\"A B\" ='c'", "A B", "c"),
        ("A=\"\"", "A", ""),
        ("A=b'c", "A", "b'c"),
        ("9A=5", "9A", "5"),
    ] {
        assert_eq!(only(text, Form::User), Meaning::Variable(name.into(), value.into()), "{text}");
    }
}

#[test]
fn the_parts_of_a_job_have_their_places() {
    let text = "*/5 0-3 * * mon  root  cmd  'a b' ";
    let job = job_of(text, Form::System);
    assert_eq!((job.user.as_deref(), job.command.as_str(), job.stdin), (Some("root"), "cmd  'a b' ", None));
    let fields: Vec<&str> = job.fields.iter().map(|place| &text[place.clone()]).collect();
    assert_eq!((fields.join("|").as_str(), job.at), ("*/5|0-3|*|*|mon|root", 23));

    let job = job_of("\t@daily\tx", Form::User);
    assert_eq!((job.command.as_str(), job.at, job.user), ("x", 8, None));
    assert_eq!(job.when, When::At(Schedule::of_word("@daily").unwrap()));
    assert_eq!(job_of("@reboot x", Form::User).when, When::Reboot);
    // No variable: it is the command that has one.
    assert_eq!(job_of("* * * * * A=b c", Form::User).command, "A=b c");
}

/// As Debian's cron does it, tried there.
#[test]
fn a_percent_sign_begins_the_input() {
    for (raw, command, stdin) in [
        (r"a\\b \c \% x", r"a\b \c % x", None),
        (r"cat%l1%l2\%x\\y", "cat", Some("l1\nl2%x\\\\y")),
        (r"a\\%b", "a\\", Some("b")),
        ("a%", "a", Some("")),
        ("a\\", "a\\", None),
    ] {
        let job = job_of(&format!("* * * * * {raw}"), Form::User);
        assert_eq!((job.command.as_str(), job.stdin.as_deref()), (command, stdin), "{raw}");
    }
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    for (text, form, column, message) in [
        ("60 * * * * x", Form::User, 1, "\"60\" is no minute"),
        ("* * * * 1,fre x", Form::User, 11, "\"fre\" is no day of the week"),
        ("*\té 1 1 1 x", Form::User, 3, "\"é\" is no hour"),
        ("* * * *", Form::User, 8, "there is no day of the week"),
        ("* * * * * ", Form::User, 10, "there is no command"),
        ("* * * * * root", Form::System, 15, "there is no command"),
        ("* * * * *", Form::System, 10, "there is no user"),
        ("* * * * * /bin/x y", Form::System, 11, "`/bin/x` is no user's name"),
        ("@every 5m x", Form::User, 1, "`@every` is no time"),
        ("A=", Form::User, 3, "the variable has no value"),
        ("A=\"b", Form::User, 3, "the quote is not closed"),
        ("A='b' c", Form::User, 6, "something follows the closing quote"),
        ("A", Form::User, 2, "there is no hour"),
    ] {
        let found = match only(text, form) {
            Meaning::Wrong(found) => found,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            (found[0].line, found[0].column, found[0].message.as_str()),
            (1, column, message),
            "{text}"
        );
    }
    match only("60 24 * * * x", Form::User) {
        Meaning::Wrong(found) => assert_eq!(found.len(), 2, "all at once"),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "([ -~\t\né]|\\* \\* \\* \\* \\* |A=|[%\\\\\"']){0,40}", system: bool) {
        let form = if system { Form::System } else { Form::User };
        let lines = read(&text, form);
        let again: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        prop_assert_eq!(again.join("\n"), text.strip_suffix('\n').unwrap_or(&text));
    }

    #[test]
    fn a_command_that_can_be_written_is_read_again(
        command in "[ -~]([ -~]|[%\\\\]){0,20}",
        stdin in prop::option::of("([ -~\n]|[%]){0,20}"),
    ) {
        if let Some(raw) = encode(&command, stdin.as_deref()) {
            let job = job_of(&format!("* * * * * {raw}"), Form::User);
            prop_assert_eq!((job.command, job.stdin), (command, stdin));
        } else {
            let hard = stdin.is_some_and(|stdin| stdin.contains('\\')) || command.starts_with(' ');
            prop_assert!(hard, "{command:?}");
        }
    }
}
