//! What promdrop refuses to trust as root. The files of these tests belong to root, in a directory of /tmp, which is
//! sticky.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use promdrop::config::load::{LoadError, Loaded, load_directory};
use promdrop::config::trust;

use crate::support::promdrop;

const SOMEBODY: Option<u32> = Some(4_000_001);

fn load(dir: &Path) -> Result<Loaded<()>, LoadError> {
    load_directory(dir, &|top, _| {
        top.skip_maps();
        Some(())
    })
}

fn collectors() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/x.yaml"), "module: m\n").unwrap();
    dir
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The one failure in `dir`, as it is shown.
fn refusal(dir: &Path) -> String {
    let loaded = load(dir).unwrap();
    assert_eq!(loaded.definitions.len(), 0);
    assert_eq!(loaded.failed.len(), 1);
    assert_eq!(loaded.failed[0].stem.as_ref().map(|stem| stem.as_str()), Some("x"), "its name stays claimed");
    loaded.failed[0].to_string()
}

#[test]
fn a_definition_of_root_alone_is_loaded() {
    let dir = collectors();
    assert_eq!(load(&dir.path().join("d")).unwrap().definitions.len(), 1);
}

#[test]
fn a_definition_that_others_can_write_is_refused_and_its_text_not_shown() {
    let dir = collectors();
    let (d, file) = (dir.path().join("d"), dir.path().join("d/x.yaml"));
    let at = file.display();
    mode(&file, 0o666);
    assert_eq!(
        refusal(&d),
        format!("{at}: {at} can be changed by everyone (mode 0666)\n   = chmod go-w {at}")
    );
    mode(&file, 0o664);
    assert_eq!(load(&d).unwrap().failed.len(), 0, "the group of root may write");
    chown(&file, None, SOMEBODY).unwrap();
    assert!(refusal(&d).contains("can be changed by its group, gid 4000001 (mode 0664)"));
    mode(&file, 0o600);
    chown(&file, SOMEBODY, None).unwrap();
    assert!(refusal(&d).contains(&format!("its owner, uid 4000001 (mode 0600)\n   = chown root:root {at}")));
}

/// It may be a draft, or the temporary file of a tool that asks before it installs it. What is run is asked about.
#[test]
fn a_single_file_is_checked_whoever_wrote_it() {
    let dir = collectors();
    let file = dir.path().join("d/x.yaml");
    fs::write(&file, "module: netstat\n").unwrap();
    mode(&file, 0o666);
    let check = |path: &Path| promdrop().arg("check").arg(path).status().unwrap().code();
    assert_eq!((check(&file), check(&dir.path().join("d"))), (Some(0), Some(1)));
}

#[test]
fn a_directory_that_others_can_write_is_refused_as_a_whole() {
    let dir = collectors();
    let d = dir.path().join("d");
    for bits in [0o777, 0o1777] {
        mode(&d, bits);
        let error = load(&d).unwrap_err().to_string();
        assert!(error.contains(&format!("can be changed by everyone (mode {bits:04o})")), "{error}");
    }
    mode(&d, 0o755);
    chown(dir.path(), SOMEBODY, None).unwrap();
    let error = load(&d).unwrap_err().to_string();
    assert!(error.contains(&format!("chown root:root {}", dir.path().display())), "{error}");
}

#[test]
fn links_are_followed_with_the_same_eyes() {
    let dir = collectors();
    let (d, file) = (dir.path().join("d"), dir.path().join("d/x.yaml"));
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(&file, elsewhere.join("target")).unwrap();
    symlink("../elsewhere/target", &file).unwrap();
    assert_eq!(load(&d).unwrap().definitions.len(), 1, "a trusted target");

    mode(&elsewhere, 0o777);
    assert!(refusal(&d).contains(&format!("{} can be changed by everyone", elsewhere.display())));
    mode(&elsewhere, 0o755);
    lchown(&file, SOMEBODY, None).unwrap();
    assert!(refusal(&d).contains(&format!("chown -h root:root {}", file.display())));
    lchown(&file, Some(0), None).unwrap();
    chown(elsewhere.join("target"), SOMEBODY, None).unwrap();
    assert!(refusal(&d).contains("can be changed by its owner"));
}

#[test]
fn a_program_may_belong_to_the_user_it_runs_as() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    let (home, script) = (dir.path().join("home"), dir.path().join("home/script"));
    fs::create_dir(&home).unwrap();
    fs::write(&script, "#!/bin/sh\n").unwrap();
    mode(dir.path(), 0o755);
    assert_eq!(trust::program(&script, None), Ok(()));
    chown(&home, Some(nobody), None).unwrap();
    chown(&script, Some(nobody), None).unwrap();
    assert_eq!(trust::program(&script, Some("nobody")), Ok(()));
    let wrong = trust::program(&script, None).unwrap_err();
    assert_eq!(wrong.message, format!("{} can be changed by its owner, nobody (mode 0755)", home.display()));
    let wrong = trust::program(&script, Some("no-such-user")).unwrap_err();
    assert_eq!(wrong.message, "there is no user `no-such-user`");
}

#[test]
fn system_programs_pass_and_odd_paths_end() {
    assert_eq!(trust::program(Path::new("/bin/sh"), None), Ok(()));
    assert_eq!(trust::program(Path::new("/usr/bin/../bin/./env"), None), Ok(()));
    let dir = tempfile::tempdir().unwrap();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    let wrong = trust::program(&dir.path().join("a"), None).unwrap_err();
    assert!(wrong.message.starts_with("more than 40 links"), "{wrong:?}");
    let wrong = trust::program(&dir.path().join("absent"), None).unwrap_err();
    assert!(wrong.message.contains("No such file"), "{wrong:?}");
}
