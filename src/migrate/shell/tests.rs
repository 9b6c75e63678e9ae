use proptest::prelude::*;

use super::*;

/// The programs of all commands, those within others in brackets.
fn outline(text: &str) -> String {
    fn of(statements: &[Statement]) -> String {
        let commands = statements.iter().map(|statement| {
            let commands: Vec<String> = statement
                .commands
                .iter()
                .map(|command| match command {
                    Command::Simple(simple) => {
                        let words = simple.words.iter().map(|w| w.constant().unwrap_or("?".into()));
                        words.collect::<Vec<_>>().join(" ")
                    }
                    Command::Compound(compound) => format!("{:?}[{}]", compound.kind, of(&compound.body)),
                })
                .collect();
            let after = match statement.after {
                After::Next => ";",
                After::And => "&&",
                After::Or => "||",
                After::Background => "&",
            };
            format!("{}{after}", commands.join("|"))
        });
        commands.collect()
    }
    of(&parse(text).unwrap_or_else(|unknown| panic!("{text}: {unknown:?}")).statements)
}

#[test]
fn commands_are_told_apart() {
    for (text, expected) in [
        ("a b | c; d && e || f & g", "a b|c;d&&e||f&g;"),
        ("a 'b c' \"d e\" f\\ g", "a b c d e f g;"),
        ("a \\\n b # c | d\ne", "a b;e;"),
        ("a $(b | c ')') `d | e` $x", "a ? ? ?;"),
        ("A=1 b=$(c) d >e 2>&1 <f", "d;"),
        ("a=(b 'c d' $(e)\n f); g", ";g;"),
        ("{ a; b; } | c", "Group[a;b;]|c;"),
        ("(a; b) &", "Subshell[a;b;]&"),
        ("if a; then b; elif c; then d; else e; fi", "If[a;b;c;d;e;];"),
        ("while a\ndo b\ndone <c", "While[a;b;];"),
        ("for i in 1 2 $(seq 3); do a; done", "For[a;];"),
        ("for ((i=0; i<3; i++)); do a; done", "For[a;];"),
        ("case $a in (b|c) d;; *) e ;; esac", "Case[d;e;];"),
        ("a=$(case $b in c) d;; esac); e", ";e;"),
        ("f() { a; }; function g { b; }; f", "Function[a;];Function[b;];f;"),
        ("[[ $a =~ ^(b|c)$ ]] && ((a + (b))) && d", "Test[]&&Test[]&&d;"),
        ("cat <<E | a\nb | c\nE\nd", "cat|a;d;"),
        ("cat <<-'E' >x\n\tb $(c\n\tE\nd", "cat;d;"),
        ("a <(b | c) ${d:-e} $((1 + (2))) \"$(echo \"f\")\" $'g\\'h'", "a ? ? ? ? ?;"),
        ("! a | b", "a|b;"),
        ("a |\n # c\n b", "a|b;"),
        ("echo fi; echo }", "echo fi;echo };"),
        ("a#b", "a#b;"),
        ("a$ $'\\x'", "a$ ?;"),
        ("", ""),
        ("\n;\n".replace(';', "").as_str(), ""),
    ] {
        assert_eq!(outline(text), expected, "{text}");
    }
}

#[test]
fn spans_are_those_of_the_text() {
    let text = "a 'b' | c >d 2>&1 ; e";
    let script = parse(text).unwrap();
    let first = &script.statements[0];
    assert_eq!(&text[first.span.clone()], "a 'b' | c >d 2>&1");
    assert_eq!(&text[first.commands[1].span()], "c >d 2>&1");
    assert_eq!(&text[first.pipes[0].clone()], "|");
    let redirects = first.commands[1].redirects();
    assert_eq!(
        redirects.iter().map(|r| (r.descriptor, r.operator)).collect::<Vec<_>>(),
        [(None, ">"), (Some(2), ">&")]
    );
    let text = "cat <<E\nx\nE\n";
    assert_eq!(&text[parse(text).unwrap().documents[0].clone()], "x\n");
}

#[test]
fn what_is_not_understood_is_said() {
    for (text, at, message) in [
        ("a 'b", 3, "there is no closing '"),
        ("a \"b", 2, "there is no closing \""),
        ("a $(b", 4, "there is no closing )"),
        ("a)", 1, "something is closed here that was not opened"),
        ("if a; then b", 0, "there is no closing `elif` or `else` or `fi`"),
        ("a; done", 3, "`done` closes nothing here"),
        ("a &&", 4, "nothing follows the operator"),
        ("a |& b", 2, "`|&` is not followed here"),
        ("| a", 0, "a command is missing here"),
        ("a (b)", 2, "this ( is not followed here"),
        ("cat <<E\nb", 4, "the here-document has no end `E`"),
        ("cat <<E", 4, "the here-document has no text"),
        ("time a", 0, "`time` is not followed here"),
        ("a \"${b:-'}\"", 8, "a ' between \"${ and }\" is not followed here"),
    ] {
        assert_eq!(parse(text), Err(Unknown { at, message: message.into() }), "{text}");
    }
    assert!(parse(&"(".repeat(100_000)).is_err());
    assert!(parse(&"$(".repeat(100_000)).is_err());
    assert!(parse(&"f()".repeat(100_000)).is_err());
    assert!(parse(&"if ".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "([ -~\n]|[;|&\"'`$(){}<>\\\\\n]|if |fi|do |done|<<E\n|E\n|é|\\[\\[ |case |in |esac|;;){0,40}") {
        if let Ok(script) = parse(&text) {
            for statement in &script.statements {
                prop_assert!(text.get(statement.span.clone()).is_some());
            }
        }
    }

    #[test]
    fn a_quoted_text_is_one_constant_word(text in "[ -~\n\té]{0,20}") {
        let script = parse(&format!("a {}", quote(&text))).unwrap();
        let simple = script.statements[0].simple().unwrap();
        prop_assert_eq!(simple.words.len(), 2);
        prop_assert_eq!(simple.words[1].constant(), Some(text.clone()));
        let parts = [Part::Text(text), Part::Variable("x".into())];
        let script = parse(&format!("a {}", quote_parts(&parts))).unwrap();
        let word = &script.statements[0].simple().unwrap().words[1];
        prop_assert_eq!(word.parts.iter().filter(|part| **part != Part::Text(String::new())).count(), 1 + usize::from(!matches!(&parts[0], Part::Text(t) if t.is_empty())));
    }
}
