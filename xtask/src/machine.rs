//! What the tests need besides Rust, and getting it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::step::{Stop, succeed};

/// A program that a step runs, and the Debian package that has it.
pub(crate) struct Need {
    program: &'static str,
    package: &'static str,
    /// Why it is needed, to complete "needed …".
    why: &'static str,
}

/// For the tests in a browser.
pub(crate) const BROWSER: &[Need] = &[
    Need {
        program: "chromium",
        package: "chromium",
        why: "to buy something in a real browser",
    },
    Need {
        program: "chromedriver",
        package: "chromium-driver",
        why: "to steer the browser",
    },
];

/// For building anything that keeps something in a database.
pub(crate) const COMPILER: &[Need] = &[Need {
    program: "c++",
    package: "g++",
    why: "to build SQLite, and the fuzzer",
}];

/// For everything else.
pub(crate) const ALWAYS: &[Need] = &[
    Need {
        program: "git",
        package: "git",
        why: "to know which files belong to the repository",
    },
    Need {
        program: "postgres",
        package: "postgresql",
        why: "to keep carts in a real PostgreSQL",
    },
    Need {
        program: "promtool",
        package: "prometheus",
        why: "to have metrics judged by Prometheus' own tool",
    },
    Need {
        program: "python3",
        package: "python3-venv",
        why: "to have manifests judged by the schemas of Kubernetes",
    },
    Need {
        program: "pip3",
        package: "python3-pip",
        why: "to get an OTLP collector that others have written",
    },
];

/// The collector, and its version.
const COLLECTOR: &str = "rotel==0.0.1a15";

/// Gets a collector into `target`, if it is not there, and returns its path.
pub(crate) fn collector(target: &Path) -> Result<PathBuf, Stop> {
    let folder = target.join("otlp-collector");
    let program = folder.join("rotel/rotel-agent");
    if !program.is_file() {
        println!("getting {COLLECTOR} from PyPI");
        let mut pip = Command::new("pip3");
        pip.args([
            "install",
            "--quiet",
            "--no-deps",
            "--pre",
            "--upgrade",
            "--target",
        ]);
        pip.arg(&folder).arg(COLLECTOR);
        pip.stdin(std::process::Stdio::null());
        succeed(pip.status()?)?;
    }
    Ok(program)
}

/// For faults that only root can make.
pub(crate) const ROOT: &[Need] = &[
    Need {
        program: "ip",
        package: "iproute2",
        why: "to make hosts out of network namespaces",
    },
    Need {
        program: "nft",
        package: "nftables",
        why: "to drop packets between them",
    },
    Need {
        program: "iptables",
        package: "iptables",
        why: "to hold packets back",
    },
    Need {
        program: "faketime",
        package: "faketime",
        why: "to let clocks jump",
    },
];

/// For containers.
pub(crate) const CONTAINERS: &[Need] = &[
    Need {
        program: "podman",
        package: "podman",
        why: "to run the image in containers",
    },
    Need {
        program: "runc",
        package: "runc",
        why: "to have podman start them",
    },
    Need {
        program: "netavark",
        package: "netavark",
        why: "to make a network of containers",
    },
    Need {
        program: "aardvark-dns",
        package: "aardvark-dns",
        why: "to let containers find each other by name",
    },
];

/// What this machine lets its processes have, in a line: for whoever reads the log of a machine that is not his.
pub(crate) fn facts() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let rest = text.lines().find_map(|line| line.strip_prefix(name));
        let words: Vec<&str> = rest.unwrap_or("?").split_whitespace().collect();
        words.join(" ")
    };
    let room = |folder: &str| {
        let df = Command::new("df")
            .args(["-h", "--output=avail", folder])
            .output();
        let text = df.map(|df| String::from_utf8_lossy(&df.stdout).into_owned());
        let last = text
            .unwrap_or_default()
            .lines()
            .last()
            .map(str::trim)
            .map(str::to_owned);
        last.unwrap_or_default()
    };
    format!(
        "{processors} processors; memory {} available; disk {} here, {} in /tmp; descriptors {}; signals ignored {}, \
         blocked {}; capabilities {}",
        field("/proc/meminfo", "MemAvailable:"),
        room("."),
        room("/tmp"),
        field("/proc/self/limits", "Max open files"),
        field("/proc/self/status", "SigIgn:"),
        field("/proc/self/status", "SigBlk:"),
        field("/proc/self/status", "CapEff:"),
    )
}

/// Makes sure that all of `needs` are there, installing what is not where that is possible.
pub(crate) fn provide(needs: &[&Need]) -> Result<(), Stop> {
    let missing: Vec<&&Need> = needs
        .iter()
        .filter(|need| find(need.program).is_none())
        .collect();
    if missing.is_empty() {
        println!("everything is there");
        return Ok(());
    }
    for need in &missing {
        println!("`{}` is missing; needed {}", need.program, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let packages = packages.join(" ");
    if find("apt-get").is_none() {
        return Err(Stop::Unable(format!(
            "this is no Debian, so install by hand what Debian calls: {packages}\n\
             (of `cargo xtask test`, --skip-browser needs no browser)"
        )));
    }
    if !am_root() {
        return Err(Stop::Unable(format!(
            "run `sudo apt-get install --no-install-recommends {packages}`, then this again\n\
             (of `cargo xtask test`, --skip-browser needs no browser)"
        )));
    }
    println!("installing from Debian, which takes a while: {packages}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
            .args(arguments);
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            // In single-user mode no package starts its server: tests start what they need, and end it.
            .env("RUNLEVEL", "1")
            .stdin(std::process::Stdio::null());
        // What apt says of each package is of interest only if it fails; its errors go through.
        command.stdout(std::process::Stdio::null());
        command
    };
    succeed(apt(&["update"]).status()?)?;
    let install = ["install", "--yes", "--no-install-recommends"];
    succeed(apt(&install).args(packages.split(' ')).status()?)
}

/// Where `program` is: on the search path, or where Debian keeps the server of PostgreSQL and what podman runs.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.push("/usr/lib/podman".into());
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Whether `program` is on this machine.
pub(crate) fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Whether the user may do everything.
pub(crate) fn am_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_search_path_is_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }

    #[test]
    fn nothing_is_installed_where_nothing_is_missing() {
        let shell = Need {
            program: "sh",
            package: "dash",
            why: "to run",
        };
        assert!(provide(&[&shell]).is_ok());
    }
}
