use crate::collect::Outcome;
use crate::collect::output::testing::{format, message, read};
use crate::collect::output::{Bounds, Output};

const QUEUES: &str = "active 3\ndeferred 10\nactive 4\n";

fn queues(more: &str) -> String {
    format!("{{format: regex, pattern: '(?P<queue>\\w+) (?P<value>\\S+)', name: a{more}}}")
}

#[test]
fn records_of_equal_labels_are_refused_or_reduced() {
    assert_eq!(
        message(&queues(""), QUEUES),
        "line 3 of its output gives `a` a second value for the labels of line 1 of its output: tell them apart by \
         `labels_from`, or `reduce` them"
    );
    for (reduce, active) in [("sum", 7.0), ("min", 3.0), ("max", 4.0), ("mean", 3.5)] {
        let text = read(&queues(&format!(", reduce: {reduce}")), QUEUES).unwrap();
        let expected =
            format!("# TYPE a gauge\na{{queue=\"active\"}} {active}\na{{queue=\"deferred\"}} 10\n");
        assert_eq!(text, expected);
    }
    let nan = "active NaN\nactive 1\ndeferred 1\ndeferred NaN\n";
    for reduce in ["sum", "min", "max", "mean"] {
        let text = read(&queues(&format!(", reduce: {reduce}")), nan).unwrap();
        assert_eq!(text, "# TYPE a gauge\na{queue=\"active\"} NaN\na{queue=\"deferred\"} NaN\n", "{reduce}");
    }
}

#[test]
fn counting_needs_no_value_and_nothing_to_count() {
    let yaml = "{format: regex, pattern: '(?P<queue>\\w+) ', name: a, reduce: count}";
    assert_eq!(
        read(yaml, QUEUES).unwrap(),
        "# TYPE a gauge\na{queue=\"active\"} 2\na{queue=\"deferred\"} 1\n"
    );
    assert_eq!(message(yaml, ""), "there is no sample in its output");
    let fixed = "{format: regex, pattern: '(?P<queue>\\w+) ', labels_from: {}, labels: {q: x}, \
                 where: {queue: act.*|z}, name: a, reduce: count}";
    assert_eq!(read(fixed, QUEUES).unwrap(), "# TYPE a gauge\na{q=\"x\"} 2\n");
    assert_eq!(read(fixed, "").unwrap(), "# TYPE a gauge\na{q=\"x\"} 0\n");
    assert_eq!(read(fixed, "reactive 1\n").unwrap(), "# TYPE a gauge\na{q=\"x\"} 0\n");
}

#[test]
fn several_metrics_and_one_name_for_two() {
    let yaml = r"
format: regex
pattern: '(?P<disk>\w+) (?P<used>\d+) (?P<free>\d+)'
metrics:
  - {name: used_bytes, value: used, help: In use., type: counter, scale: 1024}
  - {name: space, value: used, labels: {kind: used}, labels_from: {disk: disk}, help: Room.}
  - {name: space, value: free, labels: {kind: free}, labels_from: {device: disk}}
";
    assert_eq!(
        read(yaml, "sda 1 2\n").unwrap(),
        "# HELP used_bytes In use.\n# TYPE used_bytes counter\nused_bytes 1024\n\
         # HELP space Room.\n# TYPE space gauge\nspace{kind=\"used\",disk=\"sda\"} 1\n\
         space{kind=\"free\",device=\"sda\"} 2\n"
    );
    assert_eq!(
        format("{format: value, metrics: [{name: a, help: A.}, {name: a, help: B., type: counter}]}")
            .unwrap_err(),
        ["a metric of this name has another `help`", "a metric of this name has another `type`"]
    );
}

#[test]
fn texts_and_states() {
    let values = queues(", values: {up: 1, down: 0}");
    assert_eq!(
        read(&values, "a up\nb down\nc 5ms\n").unwrap(),
        "# TYPE a gauge\na{queue=\"a\"} 1\na{queue=\"b\"} 0\na{queue=\"c\"} 0.005\n"
    );
    let states = queues(", states: {good: [clean, active], bad: degraded}, state_label: is");
    assert_eq!(
        read(&states, "md0 active\nmd1 degraded\n").unwrap(),
        "# TYPE a gauge\na{queue=\"md0\",is=\"good\"} 1\na{queue=\"md0\",is=\"bad\"} 0\n\
         a{queue=\"md1\",is=\"good\"} 0\na{queue=\"md1\",is=\"bad\"} 1\n"
    );
    let (message, detail) = read(&states, "md0 SECRET\n").unwrap_err();
    assert_eq!(message, "group `value` in line 1 of its output is none of the states good, bad");
    assert_eq!(detail, "line 1: \"md0 SECRET\"");
}

#[test]
fn units_are_counted_as_the_definition_says() {
    for (units, value) in [("binary", "2048"), ("decimal", "2000"), ("ignore", "2")] {
        let text = read(&queues(&format!(", units: {units}")), "a 2kB\n").unwrap();
        assert_eq!(text, format!("# TYPE a gauge\na{{queue=\"a\"}} {value}\n"));
    }
    let text = read(&queues(", units: ignore, scale: 0.5, values: {up: 4}"), "a 3foos\nb up\n").unwrap();
    assert_eq!(text, "# TYPE a gauge\na{queue=\"a\"} 1.5\na{queue=\"b\"} 2\n");
    assert_eq!(
        message(&queues(", units: ignore"), "a foos\n"),
        "group `value` in line 1 of its output is not one number"
    );
}

#[test]
fn what_is_not_there_is_told_unless_it_may_be() {
    let yaml =
        |more: &str| format!("{{format: regex, pattern: '(?P<k>\\w*)=(?P<value>\\w+)?', name: a{more}}}");
    assert_eq!(message(&yaml(""), "x=1\ny=\n"), "there is no group `value` in line 2 of its output");
    assert_eq!(read(&yaml(", optional: true"), "x=1\ny=\n").unwrap(), "# TYPE a gauge\na{k=\"x\"} 1\n");
    assert_eq!(message(&yaml(""), "x=y\n"), "group `value` in line 1 of its output is not one number");
    assert_eq!(
        message(&yaml(""), "x=5q\n"),
        "group `value` in line 1 of its output has a unit that promdrop doesn't know: there is `units: ignore`"
    );
    // An empty label is the same as none.
    assert_eq!(read(&yaml(""), "=1\n").unwrap(), "# TYPE a gauge\na 1\n");
}

#[test]
fn blanks_around_a_field_are_no_part_of_it() {
    let yaml = r"{format: table, delimiter: '|', header: false, columns: [sensor, value, unit], name: a,
                  where: {unit: degrees C}, labels_from: {sensor: sensor}}";
    assert_eq!(read(yaml, "CPU  | 46.0 | degrees C \n").unwrap(), "# TYPE a gauge\na{sensor=\"CPU\"} 46\n");
}

#[test]
fn an_empty_output_is_no_result_unless_it_may_be() {
    for (yaml, nothing) in [
        (queues(""), "\n \n"),
        (queues(""), "nothing"),
        ("{format: prometheus}".to_owned(), "# HELP a b\n"),
        ("{format: prometheus}".to_owned(), ""),
    ] {
        assert_eq!(message(&yaml, nothing), "there is no sample in its output", "{nothing:?}");
    }
    assert_eq!(read(&queues(", allow_empty: true"), "\n").unwrap(), "");
    let count = ", reduce: count, labels_from: {}, allow_empty: true";
    assert_eq!(read(&queues(count), "").unwrap(), "# TYPE a gauge\na 0\n");
    for format in ["value", "json"] {
        assert_eq!(read(&format!("{{format: {format}, name: a, allow_empty: true}}"), "\n").unwrap(), "");
    }
    assert_eq!(read(&queues(", allow_empty: true"), "nothing").unwrap(), "");
}

#[test]
fn output_that_is_not_utf_8_is_told_with_its_line() {
    let (message, detail) = read(&queues(""), b"active 1\nx \xff\n").unwrap_err();
    assert_eq!(
        (message.as_str(), detail.as_str()),
        ("line 2 of its output is not UTF-8", "line 2: \"x \u{fffd}\"")
    );
}

#[test]
fn what_makes_no_sense_is_told() {
    for (more, expected) in [
        (", reduce: median", vec!["`median` is not a way to make one of several"]),
        (", reduce: count, value: value", vec!["records are counted, whatever their value"]),
        (", scale: 0", vec!["a number can't be scaled by this"]),
        (", scale: x", vec!["this is text, where a number is expected"]),
        (", states: [a, a]", vec!["a state or its text stands here twice"]),
        (", states: [a], scale: 2", vec!["`scale` has no meaning for `states`, which are 0 or 1"]),
        (", states: [a], units: ignore", vec!["`units` has no meaning for `states`, which are 0 or 1"]),
        (", units: decimals", vec!["`decimals` is not a way to read units"]),
        (
            ", reduce: count, scale: 2, units: ignore, values: {a: 1}",
            vec![
                "`scale` has no meaning where records are counted",
                "`units` has no meaning where records are counted",
                "`values` has no meaning where records are counted",
            ],
        ),
        (", states: []", vec!["there is no state"]),
        (", states: [a], labels: {state: b}", vec!["the label `state` is that of the states"]),
        (
            ", states: [a], labels_from: {q: queue}, state_label: q",
            vec!["the label `q` is that of the states"],
        ),
        (", state_label: a", vec!["without `states` there is nothing to label"]),
        (", labels_from: {a: vlaue}", vec!["the pattern has no group `vlaue`"]),
        (", labels: {a: b}, labels_from: {a: value}", vec!["`labels` has the label `a` as well"]),
        (", where: {queue: '('}", vec!["not a regular expression: unclosed group at its character 1"]),
        (", metrics: []", vec!["the list is empty", "unknown key `name` in `output`"]),
        (", strict: true, over: text", vec!["`strict` is about lines, of which `over: text` knows nothing"]),
    ] {
        let mut found = format(&queues(more)).unwrap_err();
        found.sort();
        assert_eq!(found, expected, "{more}");
    }
}

#[test]
fn two_metrics_of_a_name_have_series_of_their_own() {
    let yaml = |one: &str, two: &str| {
        let labels = "labels: {x: '1'}, labels_from: {y: y}";
        format!(
            "{{format: regex, pattern: '(?P<y>\\w) (?P<v>\\d)', metrics: [{{name: a, value: v, {labels}{one}}}, \
             {{name: a, value: v, labels: {{y: '7'}}, labels_from: {{x: y}}{two}}}]}}"
        )
    };
    assert_eq!(
        message(&yaml("", ""), "7 1\n1 2\n"),
        "two metrics give `a` a value for the same labels: tell them apart"
    );
    assert_eq!(
        read(&yaml(", where: {v: '1'}", ", where: {v: '2'}"), "6 1\n1 2\n").unwrap(),
        "# TYPE a gauge\na{x=\"1\",y=\"6\"} 1\na{y=\"7\",x=\"1\"} 2\n"
    );
}

#[test]
fn a_group_called_like_the_label_of_states_is_told() {
    let yaml = "{format: regex, pattern: '(?P<state>\\w+) (?P<value>\\w+)', name: a, states: [x, y]}";
    assert_eq!(format(yaml).unwrap_err(), ["the label `state` is that of the states"]);
}

#[test]
fn a_counter_neither_falls_nor_is_no_number() {
    let yaml = "{format: value, name: a_total, type: counter}";
    for bad in ["-1", "NaN", "+Inf"] {
        assert_eq!(message(yaml, bad), "its output is no number that a counter can have", "{bad}");
    }
    for (more, told) in [
        ("states: [a, b]", "states are no counter"),
        ("scale: -1", "a negative `scale` makes a counter go down"),
    ] {
        let yaml = format!("{{format: value, name: a_total, type: counter, {more}}}");
        assert_eq!(format(&yaml).unwrap_err(), [told]);
    }
}

#[test]
fn a_name_of_node_exporters_own_is_told_when_it_is_loaded() {
    for name in ["node_load1", "up", "go_goroutines"] {
        assert_eq!(format(&format!("{{format: value, name: {name}}}")).unwrap_err().len(), 1, "{name}");
    }
}

/// A misspelt one would have nothing counted for ever.
#[test]
fn what_where_asks_for_must_be_there_once() {
    let yaml = |more: &str| {
        format!(
            "{{format: json, lines: true, name: a, reduce: count, where: {{state: up}}, labels: {{x: y}}{more}}}"
        )
    };
    let output = "{\"state\": \"up\"}\n{\"other\": 1}\n";
    assert_eq!(read(&yaml(""), output).unwrap(), "# TYPE a gauge\na{x=\"y\"} 1\n");
    assert_eq!(
        message(&yaml(""), "{\"stat\": \"up\"}\n"),
        "there is no member `state`, which `where` asks for, in all of its output"
    );
    assert_eq!(
        read(&yaml(", optional: true"), "{\"stat\": \"up\"}\n").unwrap(),
        "# TYPE a gauge\na{x=\"y\"} 0\n"
    );
    assert_eq!(read(&yaml(""), "").unwrap(), "# TYPE a gauge\na{x=\"y\"} 0\n");
}

#[test]
fn groups_that_can_not_be_labels_are_told_where_they_would_be() {
    let yaml =
        |more: &str| format!("{{format: regex, pattern: '(?P<le>\\w+) (?P<value>\\w+)', name: a{more}}}");
    assert_eq!(format(&yaml("")).unwrap_err(), ["the group `le` can't be a label of its name"]);
    assert!(format(&yaml(", labels_from: {bound: le}")).is_ok());
}

#[test]
fn a_reading_ends_at_its_bounds() {
    let format = format("{format: regex, pattern: '(?P<n>\\d+) (?P<value>\\d+)', name: a}").unwrap();
    let stdout: String = (0..100).map(|n| format!("{n} 1\n")).collect();
    let output = Output { stdout: stdout.as_bytes(), status: 0 };
    let told = |bounds: &Bounds<'_>| {
        let failure = bounds.failure(format.families(&output, bounds).unwrap_err());
        (failure.outcome, failure.message)
    };
    assert_eq!(format.families(&output, &Bounds::new(Some(100), &|| false)).unwrap().len(), 1);
    let (outcome, message) = told(&Bounds::new(Some(99), &|| false));
    assert_eq!(outcome, Outcome::Limit);
    assert_eq!(message, "it has more than 99 series, its `max_series`: drop a label, or raise it");
    let asked = std::cell::Cell::new(0);
    let third = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    assert_eq!(told(&Bounds::new(Some(100), &third)).0, Outcome::Timeout);
    assert_eq!(asked.get(), 3, "it goes on when its time is over");
}
