//! What a program for Linux says of itself.

use goblin::elf::{
    Elf as Read,
    header::{EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64},
};

/// What a program or a library says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    machine: u16,
    is_64: bool,
    is_little: bool,
    /// The program that loads it and its libraries; none if it needs none.
    pub interpreter: Option<String>,
    /// The libraries that it needs, by their names.
    pub needed: Vec<String>,
    /// Where it says that these are, before anywhere else.
    pub(crate) paths: Vec<String>,
}

/// Why something is no program.
#[derive(Debug, thiserror::Error)]
#[error("it is no program for Linux: {0}")]
pub struct NotAProgram(String);

impl Elf {
    /// Reads `bytes`.
    ///
    /// # Errors
    ///
    /// They are no ELF file, or a broken one.
    pub fn read(bytes: &[u8]) -> Result<Self, NotAProgram> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(NotAProgram("it does not begin as one does".to_owned()));
        }
        let elf = Read::parse(bytes).map_err(|error| NotAProgram(error.to_string()))?;
        // An old path counts only where there is no new one.
        let paths = match elf.runpaths.is_empty() {
            true => &elf.rpaths,
            false => &elf.runpaths,
        };
        let paths = paths.iter().flat_map(|path| path.split(':'));
        Ok(Self {
            machine: elf.header.e_machine,
            is_64: elf.is_64,
            is_little: elf.little_endian,
            interpreter: elf.interpreter.map(str::to_owned),
            needed: elf.libraries.iter().map(|&name| name.to_owned()).collect(),
            paths: paths
                .filter(|path| !path.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Whether `other` can be a part of the same process.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        (self.machine, self.is_64, self.is_little) == (other.machine, other.is_64, other.is_little)
    }

    /// The machine that it is for, as images have it; `None` for one that there are no images for.
    pub fn architecture(&self) -> Option<&'static str> {
        match (self.machine, self.is_64, self.is_little) {
            (EM_X86_64, true, true) => Some("amd64"),
            (EM_AARCH64, true, true) => Some("arm64"),
            (EM_ARM, false, true) => Some("arm"),
            (EM_386, false, true) => Some("386"),
            (EM_RISCV, true, true) => Some("riscv64"),
            (EM_PPC64, true, true) => Some("ppc64le"),
            (EM_S390, true, false) => Some("s390x"),
            _ => None,
        }
    }

    /// What Debian calls the folder of the libraries for this machine.
    pub(crate) fn multiarch(&self) -> Option<&'static str> {
        Some(match self.architecture()? {
            "amd64" => "x86_64-linux-gnu",
            "arm64" => "aarch64-linux-gnu",
            "arm" => "arm-linux-gnueabihf",
            "386" => "i386-linux-gnu",
            "riscv64" => "riscv64-linux-gnu",
            "ppc64le" => "powerpc64le-linux-gnu",
            _ => "s390x-linux-gnu",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn own() -> Vec<u8> {
        fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn this_program_says_what_it_needs() {
        let elf = Elf::read(&own()).unwrap();
        assert!(
            elf.needed.iter().any(|it| it.starts_with("libc.so")),
            "{elf:?}"
        );
        assert!(
            elf.interpreter.is_some() && elf.architecture().is_some(),
            "{elf:?}"
        );
    }

    #[test]
    fn what_is_no_program_or_cut_off_is_refused_and_nothing_falls_over() {
        for other in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"MZ"] {
            assert!(Elf::read(other).is_err(), "{other:?}");
        }
        let mut own = own();
        // Its headers are at its beginning: where it is cut is where a reader could fall.
        for length in (0..4096.min(own.len())).step_by(7) {
            let _ = Elf::read(&own[..length]);
        }
        for at in 0..512 {
            own[at] ^= 0xff;
            let _ = Elf::read(&own);
            own[at] ^= 0xff;
        }
    }
}
