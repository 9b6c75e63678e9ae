//! Users that only a test sees.

use std::fs;
use std::path::Path;

use super::mounts::{in_private, mount};

/// The name of the user that [`with_user`] makes, and its ids.
pub const USER: &str = "pd-made";
/// Nobody else on this host has it.
pub const UID: u32 = 4_000_011;
/// Of its group, `pd-made` too.
pub const GID: u32 = 4_000_012;
/// Of the groups `pd-one` and `pd-two`, which it is in.
pub const GROUPS: [u32; 2] = [4_000_013, 4_000_014];
/// Of the group `pd-other`, which it is not in.
pub const OTHER: u32 = 4_000_015;

/// Runs `body` where there is a user more.
pub fn with_user<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = GROUPS;
    in_private(|| {
        for (file, lines) in [
            ("passwd", format!("{USER}:x:{UID}:{GID}::/nonexistent:/bin/sh\n")),
            (
                "group",
                format!(
                    "{USER}:x:{GID}:\npd-one:x:{one}:{USER}\npd-two:x:{two}:{USER}\npd-other:x:{OTHER}:\n"
                ),
            ),
        ] {
            let (own, real) = (dir.path().join(file), Path::new("/etc").join(file));
            fs::write(&own, fs::read_to_string(&real).unwrap() + &lines).unwrap();
            mount(&["--bind", own.to_str().unwrap()], &real);
        }
        body()
    })
}
