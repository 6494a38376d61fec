//! Landlock: what the kernel lets this process reach, whatever the engine is talked into.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
};

/// What the engine and its library read beside the data directory: the time zone, the libraries of the system,
/// and what the kernel tells of itself and of this process.
const READ: [&str; 11] = [
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/timezone",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/usr/lib",
    "/usr/share/zoneinfo",
];
/// The program that runs.
const PROGRAM: &str = "/proc/self/exe";
/// Devices that hold nothing.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

/// How far the kernel enforces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// Files and connections.
    Full,
    /// An older kernel: files alone, or not every operation on them.
    Partial,
    /// The kernel has no Landlock, or it is switched off.
    None,
}

/// Leaves the calling thread, and every thread and process that it starts, the data directory for reading and
/// writing, `library` and a few folders of the system for reading, and no new connection over TCP. It cannot be
/// undone. Called before the first thread is started.
///
/// # Errors
/// A path cannot be opened, or the kernel refuses the rules.
pub(crate) fn confine(data: &Path, library: &Path) -> io::Result<Confinement> {
    let abi = ABI::V5;
    let (read, all) = (AccessFs::from_read(abi), AccessFs::from_all(abi));
    // A file knows nothing of folders; the crate would call the rule inconsistent.
    let of_file = AccessFs::from_file(abi);
    let open = |path: &Path| PathFd::new(path).map_err(io::Error::other);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?
        .add_rule(PathBeneath::new(open(data)?, all))
        .map_err(io::Error::other)?
        .add_rule(PathBeneath::new(open(library)?, read & of_file))
        // Of each exception the engine makes a stack trace, with names that it reads out of the program; it aborts
        // if it cannot.
        .and_then(|rules| rules.add_rules(path_beneath_rules([PROGRAM], read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(READ, read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(DEVICES, all)))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(io::Error::other)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Full,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn nothing_but_the_data_directory_is_left() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let library = elsewhere.path().join("library");
        let secret = elsewhere.path().join("secret");
        fs::write(&library, "code").unwrap();
        fs::write(&secret, "secret").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The control: all of it is possible before.
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        drop(TcpStream::connect_timeout(&address, PATIENCE).unwrap());
        let (data_path, elsewhere_path) = (data.path().to_owned(), elsewhere.path().to_owned());
        // A thread of its own, which takes its rules to its grave.
        let confined = std::thread::spawn(move || {
            let confinement = confine(&data_path, &library).unwrap();
            if confinement == Confinement::None {
                return confinement;
            }
            fs::write(data_path.join("part"), "rows").unwrap();
            fs::rename(data_path.join("part"), data_path.join("whole")).unwrap();
            assert_eq!(fs::read_to_string(&library).unwrap(), "code");
            let denied = io::ErrorKind::PermissionDenied;
            assert_eq!(fs::read_to_string(&secret).unwrap_err().kind(), denied);
            assert_eq!(fs::write(&library, "other").unwrap_err().kind(), denied);
            // As `ATTACH TABLE … FROM` does it, in either direction.
            for (from, to) in [
                (elsewhere_path.join("secret"), data_path.join("moved")),
                (data_path.join("whole"), elsewhere_path.join("moved")),
            ] {
                let moved = fs::rename(from, to).unwrap_err();
                let refused = [libc::EXDEV, libc::EACCES].map(Some);
                assert!(refused.contains(&moved.raw_os_error()), "{moved}");
            }
            if confinement == Confinement::Full {
                let refused = TcpStream::connect_timeout(&address, PATIENCE).unwrap_err();
                assert_eq!(refused.kind(), denied);
            }
            confinement
        });
        let confinement = confined.join().unwrap();
        assert_eq!(fs::read_to_string(elsewhere.path().join("secret")).unwrap(), "secret");
        println!("confined: {confinement:?}");
    }
}
