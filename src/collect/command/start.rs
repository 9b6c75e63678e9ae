//! As what a command is started, in words.

use super::limits::Resources;
use super::protocol::Specification;
use crate::collect::account::Account;
use crate::collect::trace::Start;

/// Tells of `specification`, made for `account`.
pub fn told(specification: &Specification, account: &Account) -> Start {
    let mut environment = specification.environment.clone();
    let secrets = specification.secrets.iter().map(|(name, _)| (name.clone(), "[secret]".to_owned()));
    environment.extend(secrets);
    Start {
        program: specification.program.clone(),
        argv: specification.argv.clone(),
        user: user(specification, account),
        directory: specification.directory.clone(),
        umask: specification.umask,
        limits: limits(specification),
        environment,
    }
}

fn user(specification: &Specification, account: &Account) -> String {
    match &specification.identity {
        None => format!("{}, who runs promdrop", account.name),
        Some(identity) => {
            let groups: Vec<String> = identity.groups.iter().map(u32::to_string).collect();
            format!(
                "{} (uid {}, gid {}, groups {})",
                account.name,
                identity.uid,
                identity.gid,
                groups.join(" ")
            )
        }
    }
}

fn limits(specification: &Specification) -> Vec<String> {
    let nice = specification.nice.map(|nice| format!("nice {nice}"));
    let no_new = specification.no_new_privileges.then(|| "no new privileges".to_owned());
    let limits = specification.limits.0.iter().map(|(what, limit)| match what {
        Resources::Cpu => format!("{} {limit} s", what.key()),
        Resources::Memory | Resources::FileSize => format!("{} {limit} bytes", what.key()),
        Resources::OpenFiles | Resources::Processes => format!("{} {limit}", what.key()),
    });
    nice.into_iter().chain(no_new).chain(limits).collect()
}
