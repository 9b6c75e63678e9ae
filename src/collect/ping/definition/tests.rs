use super::*;
use crate::config::yaml::decode;
use crate::exposition::Labels;

fn header(timeout: Duration, labels: Labels) -> Header {
    Header { timeout, labels, ..Header::new("ping") }
}

fn load(text: &str, timeout: Duration, labels: Labels) -> Result<Definition, Vec<String>> {
    let header = header(timeout, labels);
    let read = decode(text, |root, problems| {
        let mut section = Section::open("ping", root, problems)?;
        let definition = read(&mut section, &header);
        section.finish();
        definition
    });
    read.map_err(|problems| {
        problems.iter().map(|p| format!("{}:{}: {} = {}", p.line, p.column, p.message, p.cure)).collect()
    })
}

fn problems(text: &str) -> Vec<String> {
    load(text, Duration::from_secs(10), Vec::new()).err().unwrap_or_default()
}

#[test]
fn what_may_be_written() {
    for text in [
        "targets: [127.0.0.1]",
        "{count: 1, spacing: 1ms, timeout: 1ms, targets: [www.example.net]}",
        "targets: [{host: '::1', family: ipv6, labels: {site: ams, rack: '7'}}, fe80::1%eth0]",
        "targets: [{host: a.example, family: ipv4}, {host: a.example, family: ipv6}]",
        "{size: 8, ttl: 1, dscp: ef, source: 192.0.2.7, interface: eth0, targets: [default-gateway]}",
        "{size: 65507, ttl: 255, dscp: 63, source: [192.0.2.7, fe80::1%eth0], tx_timestamps: true, targets: [a]}",
        "{all_addresses: true, targets: [192.0.2.1, {host: default-gateway, family: ipv6, all_addresses: false}]}",
        "{buckets: [1us, 1ms, 1m], quantiles: [0, 0.5, 1], icmp_errors: false, targets: [a]}",
        "{buckets: [], quantiles: [], targets: [a]}",
        // As long as can be: 4 x 2s + 1.9s + the reserve.
        "{targets: [127.0.0.1], spacing: 2s, timeout: 1900ms}",
    ] {
        assert_eq!(problems(text), [""; 0], "{text}");
    }
}

#[test]
fn what_is_shipped_is_right() {
    for (text, timeout) in [
        (include_str!("../../../../collectors.d/ping.yaml"), Duration::from_secs(10)),
        (include_str!("../../../../collectors.d/examples/ping-targets.yaml"), Duration::from_secs(15)),
    ] {
        let header = header(timeout, Vec::new());
        let read = decode(text, |root, problems| {
            crate::collect::read_module(&mut Section::open("the file", root, problems)?, &header)
        });
        assert!(read.is_ok(), "{read:?}");
    }
}

#[test]
fn what_may_not() {
    let many: String = (0..14_000).map(|n| format!("- 10.0.{}.{}\n", n / 250, n % 250 + 1)).collect();
    let cases: &[(&str, &[&str])] = &[
        ("{}", &["1:1: `ping` has no `targets` = write `targets:` and a line `- ADDRESS` for each"]),
        ("targets: []", &["1:10: there is no target = "]),
        ("targets: 127.0.0.1", &["1:10: this is text, where a list is expected"]),
        (
            "targets: [1.5, [a], {}]",
            &[
                "1:11: this is a number, where a target is expected",
                "1:16: this is a list, where a target is expected",
                "1:21: `targets` has no `host`",
            ],
        ),
        ("targets: [{host: a, fam: x}]", &["1:21: unknown key `fam` in `targets`"]),
        ("targets: [{host: a, family: v4}]", &["1:29: `v4` is not a family = write ipv4, ipv6 or any"]),
        (
            "targets: [{host: 127.0.0.1, family: ipv6}]",
            &["1:37: the host is an ipv4 address, so its family can't be ipv6 = remove `family`"],
        ),
        ("targets: [a, b, A.]", &["1:17: `A.` (any) stands here for the second time"]),
        ("targets: [a, {host: a, family: ipv6}]", &["1:14: `a` (ipv6) stands here for the second time"]),
        ("targets: [{host: '::1'}, '0::1']", &["1:26: `0::1` (ipv6) stands here for the second time"]),
        (
            "targets: [{host: a, labels: {__a: b, b-c: d, e: '', f: 1, le: g}}]",
            &[
                "1:30: the label `__a` begins with `__`",
                "1:38: `b-c` is not a label's name",
                "1:49: an empty label is the same as none",
                "1:56: this is a number, where text is expected = put it in quotes",
                "1:59: the label `le` is for histograms",
            ],
        ),
        (
            "targets: [{host: a, labels: {address: b}}]",
            &["1:11: module ping sets the label `address` itself"],
        ),
        ("{targets: [a], count: 0}", &["1:23: 0 is out of range = write a whole number from 1 to 1000"]),
        ("{targets: [a], count: 1001}", &["1:23: 1001 is out of range"]),
        ("{targets: [a], spacing: 100us}", &["1:25: this is shorter than 1ms"]),
        ("{targets: [a], timeout: 5}", &["1:25: a duration needs a unit"]),
        ("{targets: [a], size: 7}", &["1:22: 7 is out of range = write a whole number from 8 to 65507"]),
        ("{targets: [a], ttl: 0}", &["1:21: 0 is out of range = write a whole number from 1 to 255"]),
        (
            "{targets: [a], dscp: af44}",
            &["1:22: `af44` is not a DSCP = write ef, af11 to af43, cs0 to cs7, or 0 to 63"],
        ),
        ("{targets: [a], dscp: 64}", &["1:22: 64 is out of range = write a whole number from 0 to 63"]),
        (
            "{targets: [a], source: [192.0.2.1, www.example.net, 192.0.2.2]}",
            &["1:36: `www.example.net` is not an address", "1:53: 192.0.2.2 is the second ipv4 source"],
        ),
        ("{targets: [a], source: []}", &["1:24: there is no source"]),
        ("{targets: [a], source: fe80::1}", &["1:24: fe80::1 is link-local"]),
        ("{targets: [a], interface: a/b}", &["1:27: `a/b` is not an interface's name = write eth0, say"]),
        ("{targets: [a], buckets: [0s]}", &["1:26: no time is shorter than this"]),
        ("{targets: [a], buckets: [1ms, 1ms]}", &["1:31: this is not higher than the one before"]),
        (
            "{targets: [a], quantiles: [0.5, 1.1, x]}",
            &["1:33: this is not a quantile", "1:38: this is not a quantile"],
        ),
        ("{targets: [a], quantiles: 0.5}", &["1:27: this is a number, where a list is expected"]),
        (
            "{targets: [a], quantiles: [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11]}",
            &["1:27: there are 11 of them, more than 10"],
        ),
        (
            "targets: [{host: 192.0.2.1, all_addresses: true}]",
            &["1:44: the host is an address, which has no others = remove `all_addresses`"],
        ),
        (
            "targets: [default-gateway, {host: default-gateway, family: ipv4}]",
            &["1:28: `default-gateway` (ipv4) stands here for the second time"],
        ),
        (
            "{targets: [127.0.0.1], timeout: 10s}",
            &[
                "1:33: a run takes 4 x 200ms between probes + 10s timeout + 100ms reserve = 10s 900ms, but the \
             collector's timeout is 10s = lower count, spacing or timeout here, or raise the collector's `timeout`",
            ],
        ),
        (
            "{targets: [a], count: 100}",
            &[
                "1:23: a run takes 99 x 200ms between probes + 1s timeout + 1s to resolve names + 100ms reserve = \
             21s 900ms",
            ],
        ),
        (&format!("targets:\n{many}"), &["2:1: 14000 targets x 5 probes are more than 65536"]),
    ];
    for (text, expected) in cases {
        let found = problems(text);
        assert_eq!(found.len(), expected.len(), "{:.100}: {found:#?}", text);
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{:.100}:\n{found}\n{expected}", text);
        }
    }
}

#[test]
fn durations_of_any_length_are_refused_not_overflown() {
    let found = problems("{targets: [a], count: 1000, spacing: 500000000000y, timeout: 500000000000y}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("but the collector's timeout is 10s"), "{found:?}");
}

#[test]
fn the_file_s_labels_and_the_module_s_do_not_meet() {
    let labels = |name: &'static str| vec![(name.into(), "x".into())];
    let text = "targets: [{host: a, labels: {site: b}}]";
    let time = Duration::from_secs(10);
    let found = load(text, time, labels("site")).unwrap_err();
    assert!(
        found[0].starts_with("1:11: the label `site` stands in `labels` of this file already"),
        "{found:?}"
    );
    let found = load(text, time, labels("target")).unwrap_err();
    assert!(found[0].contains("sets `target`, which module ping sets itself"), "{found:?}");
}

#[test]
fn a_codepoint_is_a_name_s_number() {
    let cases = [("cs0", 0), ("cs7", 56), ("af11", 10), ("af43", 38), ("ef", 46)];
    for (name, number) in cases {
        assert_eq!(codepoint(name), Some(number), "{name}");
    }
    for name in ["", "cs8", "cs", "af14", "af51", "af1", "EF", "cs00"] {
        assert_eq!(codepoint(name), None, "{name}");
    }
}

#[test]
fn what_is_for_all_targets_is_on_each() {
    let text = "{all_addresses: true, size: 100, source: 192.0.2.7, targets: [a, default-gateway]}";
    let definition = load(text, Duration::from_secs(10), Vec::new()).unwrap();
    assert!(definition.targets.iter().all(|target| target.all_addresses));
    assert_eq!(definition.plan.size, 100);
    assert_eq!(definition.settings.sources, [("192.0.2.7".parse().unwrap(), None)]);
}
