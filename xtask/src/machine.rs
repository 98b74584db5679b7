//! What the tests need of the machine: Debian's packages, and pinned Python clients.

use crate::step::{Failed, Outcome, output, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Debian package and how to see that what we want of it is there.
struct Need {
    package: &'static str,
    there: fn() -> bool,
}

/// The stanzas of Debian 12's main archive are 63,000; a machine with fewer has never fetched it.
const STANZAS_MIN: usize = 50_000;

const NEEDS: [Need; 7] = [
    Need {
        package: "curl",
        there: || on_path("curl"),
    },
    Need {
        package: "redis-server",
        there: || on_path("redis-server"),
    },
    Need {
        package: "redis-tools",
        there: || on_path("redis-cli") && on_path("redis-benchmark"),
    },
    Need {
        package: "memcached",
        there: || on_path("memcached"),
    },
    Need {
        package: "wamerican-huge",
        there: || Path::new("/usr/share/dict/american-english-huge").exists(),
    },
    Need {
        package: "python3",
        there: || on_path("python3"),
    },
    Need {
        package: "python3-venv",
        there: || succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])),
    },
];

/// Debian starts these by itself once they are installed. The tests start their own.
const SERVICES: [&str; 2] = ["redis-server", "memcached"];

/// Installs what is missing of the packages, and fetches Debian's package index where there is
/// none: it is test data. Does nothing, and needs neither network nor rights, when all is there.
pub(crate) fn packages() -> Outcome<()> {
    let missing: Vec<&str> = NEEDS
        .iter()
        .filter(|need| !(need.there)())
        .map(|need| need.package)
        .collect();
    if missing.is_empty() && index_is_there() {
        return Ok(());
    }
    println!("installing: {missing:?}");
    run(as_root("apt-get").args(["update", "--quiet"]))?;
    if missing.is_empty() {
        return Ok(());
    }
    run(as_root("apt-get")
        .args(["install", "--quiet", "--yes", "--no-install-recommends"])
        .args(&missing))?;
    for service in SERVICES.iter().filter(|service| missing.contains(service)) {
        // Where no service manager runs there is nothing to stop: the outcome does not matter.
        let _ = as_root("service")
            .args([service, "stop"])
            .stderr(Stdio::null())
            .status();
    }
    match NEEDS.iter().find(|need| !(need.there)()) {
        None => Ok(()),
        Some(need) => Err(Failed(format!(
            "{} is installed, but what the tests need of it is not there",
            need.package
        ))),
    }
}

/// The Python of a virtual environment under the target directory that holds exactly the clients
/// pinned in `tests/requirements.txt`. Made anew when the pins change.
pub(crate) fn python(root: &Path) -> Outcome<PathBuf> {
    let pins = root.join("tests/requirements.txt");
    let wanted = std::fs::read_to_string(&pins)?;
    let home = target()?.join("python");
    let python = home.join("bin/python");
    let marker = home.join("pins.txt");
    let there = std::fs::read_to_string(&marker).unwrap_or_default();
    if there == wanted && succeeds(Command::new(&python).arg("--version")) {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&home))?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .arg("--requirement")
        .arg(&pins))?;
    std::fs::write(&marker, wanted)?;
    Ok(python)
}

/// The directory that cargo builds into: this program lies in one of its profiles' directories.
pub(crate) fn target() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent);
    target
        .map(Path::to_owned)
        .ok_or_else(|| Failed("this program is not in a target directory".into()))
}

fn index_is_there() -> bool {
    let index = output(Command::new("apt-cache").arg("dumpavail")).unwrap_or_default();
    let stanzas = index
        .split(|&byte| byte == b'\n')
        .filter(|line| line.starts_with(b"Package: "));
    stanzas.count() >= STANZAS_MIN
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn as_root(program: &str) -> Command {
    let id = output(Command::new("id").arg("-u")).unwrap_or_default();
    let mut command = if id.trim_ascii() == b"0" {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program-as-this"));
    }

    #[test]
    fn a_failing_probe_says_no() {
        assert!(succeeds(Command::new("sh").args(["-c", "exit 0"])));
        assert!(!succeeds(Command::new("sh").args(["-c", "exit 1"])));
        assert!(!succeeds(&mut Command::new("no-such-program-as-this")));
    }
}
