//! The application that a command is about: where it is, and what its `anylith.toml` says.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    string::FromUtf8Error,
};

use anylith_core::Manifest;
use anylith_supervisor::{Elsewhere, RunFolder};
use anylith_topology::{Overrides, Reading, Settings};

use crate::{args::Overriding, failure::Failure, secrets::SecretStore};

/// The file that makes a folder an application.
const FILE: &str = "anylith.toml";

/// Whether `given` is the folder of an application, or its file.
pub(crate) fn is_one(given: &Path) -> bool {
    given.join(FILE).is_file()
        || (given.is_file() && given.extension().is_some_and(|it| it == "toml"))
}

/// An application, found on the disk.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// The folder of its file.
    pub(crate) folder: PathBuf,
    /// The file.
    path: PathBuf,
    /// The file, as people call it.
    label: String,
    text: String,
}

impl App {
    /// Finds the application that `given` means, which is its folder or its file.
    pub(crate) fn find(given: &Path) -> Result<Self, Failure> {
        let path = if given.is_dir() {
            given.join(FILE)
        } else {
            given.to_owned()
        };
        let bytes = fs::read(&path).map_err(|error| unreadable(given, &path, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| not_text(&path, &error))?;
        let label = path
            .strip_prefix(".")
            .unwrap_or(&path)
            .display()
            .to_string();
        let path = fs::canonicalize(&path).map_err(|error| unreadable(given, &path, &error))?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self {
            folder,
            path,
            label,
            text,
        })
    }

    /// The same application as its file is now.
    pub(crate) fn again(&self) -> Result<Self, Failure> {
        let now = Self::find(&self.path)?;
        let label = self.label.clone();
        Ok(Self { label, ..now })
    }

    /// Reads the settings, with what the environment and the flags override. Once the application has
    /// described itself, `manifest` lets variables name its components in any case.
    pub(crate) fn read(&self, overriding: &Overriding, manifest: Option<&Manifest>) -> Reading {
        let variables = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut overrides = Overrides::default();
        if !overriding.for_elsewhere {
            overrides = overrides.env(variables);
        }
        for flag in &overriding.set {
            overrides = overrides.set(flag);
        }
        for flag in &overriding.listen {
            overrides = overrides.listen(flag);
        }
        if let Some(manifest) = manifest {
            let components = &manifest.components;
            overrides = overrides
                .names(components.iter().map(|component| &component.name))
                .names(components.iter().flat_map(|component| &component.listeners));
        }
        let secrets = SecretStore {
            folder: self.folder.clone(),
            may_be_elsewhere: overriding.for_elsewhere,
        };
        Settings::read(&self.label, &self.text, &overrides, &secrets)
    }

    /// What run folders are named after: the folder, or the file if it has another name than usual.
    fn home(&self) -> &Path {
        if self.path.ends_with(FILE) {
            &self.folder
        } else {
            &self.path
        }
    }

    /// The run folder under the name `app`.
    pub(crate) fn run_folder(&self, app: &anylith_core::Name) -> Result<RunFolder, Failure> {
        RunFolder::of(app, self.home()).map_err(|error| no_run_folder(&error))
    }

    /// The run folder of what was started last, if anything was.
    pub(crate) fn last_run(&self) -> Result<Option<RunFolder>, Failure> {
        RunFolder::find(self.home()).map_err(|error| no_run_folder(&error))
    }

    /// Where it runs under another user, or with another `XDG_RUNTIME_DIR`, if it does.
    pub(crate) fn elsewhere(&self) -> Option<Elsewhere> {
        Elsewhere::find(self.home()).ok()?
    }

    /// The application's name and its folder, as far as they are known without asking it.
    pub(crate) fn title(&self) -> String {
        let home = self.home().display();
        let written = self.read(&Overriding::default(), None).settings;
        let name = written.app().name.as_ref().map(ToString::to_string);
        match name.or_else(|| Some(name_of(&self.last_run().ok()??))) {
            Some(name) => format!("{name} in {home}"),
            None => format!("the application in {home}"),
        }
    }

    /// The file called `name` beside the application's own, as people call it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let folder = Path::new(&self.label).parent();
        folder.unwrap_or(Path::new("")).join(name)
    }

    /// How to name this application to `command`, for a hint.
    pub(crate) fn hint(&self, command: &str) -> String {
        let here = env::current_dir().is_ok_and(|here| here == self.home());
        match here {
            true => format!("anylith {command}"),
            false => {
                let name = self.label.strip_suffix(FILE).unwrap_or(&self.label);
                let name = name.strip_suffix('/').unwrap_or(name);
                format!("anylith {command} {name}")
            }
        }
    }
}

/// What the application was called that ran in `folder`.
fn name_of(folder: &RunFolder) -> String {
    let name = folder.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let end = name.rfind('-').unwrap_or(name.len());
    name[..end].to_owned()
}

/// The first line of a text that is not UTF-8, from 1.
pub(crate) fn first_bad_line(error: &FromUtf8Error) -> usize {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    1 + good.iter().filter(|byte| **byte == b'\n').count()
}

fn not_text(path: &Path, error: &FromUtf8Error) -> Failure {
    let line = first_bad_line(error);
    Failure::input(
        format!("{}:{line}: this line is not text in UTF-8", path.display()),
        "save the file in UTF-8",
    )
}

fn unreadable(given: &Path, path: &Path, error: &io::Error) -> Failure {
    let given = given.display();
    match error.kind() {
        io::ErrorKind::NotFound if path.ends_with(FILE) => Failure::input(
            format!("{given} has no {FILE}"),
            format!(
                "name the folder of an application, as in `anylith run examples/boutique`, or write \
                 {given}/{FILE} with\n    [app]\n    package = \"the cargo package of its binary\""
            ),
        ),
        io::ErrorKind::NotFound => Failure::input(
            format!("there is no {given}"),
            format!("name the folder of an application, or its {FILE}"),
        ),
        _ => Failure::input(
            format!("{} cannot be read: {error}", path.display()),
            format!("{FILE} is a text file that this user may read"),
        ),
    }
}

fn no_run_folder(error: &io::Error) -> Failure {
    Failure::new(
        format!("there is no place for the run folder: {error}"),
        "set XDG_RUNTIME_DIR to a folder that belongs to this user",
    )
}
