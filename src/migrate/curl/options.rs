//! The options of curl and wget, as far as they are known here. Pure.

/// What an option is to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Flag,
    Ignored,
    /// The file that something is kept in.
    Kept,
    /// What is shown when all is done.
    Shown,
    Data,
    Binary,
    Raw,
    DataFile,
    Request,
    Upload,
    Url,
    Header,
}

/// Those of curl.
pub(super) const CURL: &[(&str, Role)] = &[
    ("-d --data --data-ascii", Role::Data),
    ("--data-binary", Role::Binary),
    ("-o -D --output --dump-header --stderr", Role::Kept),
    ("-w --write-out", Role::Shown),
    ("--data-raw", Role::Raw),
    ("-X --request", Role::Request),
    ("-T --upload-file", Role::Upload),
    ("--url", Role::Url),
    ("-H --header", Role::Header),
    (
        "-s -S -f -k -L -v -g -4 -6 -i -N -q -n -0 -# --silent --show-error --fail --fail-with-body --fail-early \
         --insecure --location --verbose --globoff --ipv4 --ipv6 --include --no-buffer --disable --netrc --http1.0 \
         --http1.1 --http2 --progress-bar --no-progress-meter --no-keepalive --retry-connrefused --retry-all-errors \
         --compressed --tcp-nodelay",
        Role::Flag,
    ),
    (
        "-m -u -A -x -E --max-time --connect-timeout --retry --retry-delay --retry-max-time --user \
         --user-agent --proxy --noproxy --cert --key --cacert --capath --cert-type --key-type \
         --interface --resolve --oauth2-bearer --netrc-file --keepalive-time --speed-time --speed-limit",
        Role::Ignored,
    ),
];

/// Those of wget.
pub(super) const WGET: &[(&str, Role)] = &[
    ("--post-data --body-data", Role::Raw),
    ("--post-file --body-file", Role::DataFile),
    ("--method", Role::Request),
    ("-O -o --output-document --output-file", Role::Kept),
    ("--header", Role::Header),
    ("-q -v -d -4 -6 --quiet --verbose --no-verbose --no-check-certificate --no-proxy", Role::Flag),
    (
        "-T -t -U --timeout --tries --user --password --user-agent --wait \
         --connect-timeout --read-timeout --ca-certificate",
        Role::Ignored,
    ),
];

/// What `name` is.
pub(super) fn role(options: &[(&str, Role)], name: &str) -> Option<Role> {
    options
        .iter()
        .find(|(names, _)| names.split_whitespace().any(|known| known == name))
        .map(|(_, role)| *role)
}

/// The name of an option, and the value that is part of the same word.
pub(super) fn split(text: &str, is_wget: bool) -> (&str, Option<&str>) {
    if text.starts_with("--") {
        return match text.split_once('=') {
            Some((name, value)) if is_wget => (name, Some(value)),
            _ => (text, None),
        };
    }
    let at = text.char_indices().nth(2).map_or(text.len(), |(at, _)| at);
    let (name, value) = text.split_at(at);
    (name, (!value.is_empty()).then_some(value))
}
