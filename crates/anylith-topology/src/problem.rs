//! What is wrong with the input: where, what, and what to type instead.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
};

/// One thing that is wrong with the input.
///
/// Shown, it names the place, quotes the line and says the mend:
///
/// ```text
/// anylith.toml:12:37: unknown key `replica` in [topologies.split] group `rest`
///    |
/// 12 | groups.rest = { components = ["*"], replica = 2 }
///    |                                     ^^^^^^^
///    = did you mean `replicas`?
/// ```
///
/// Text that came from the input is shown without its control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong, in one line that begins with a small letter.
    pub what: String,
    /// What to write instead; one line.
    pub mend: String,
}

/// Where a [`Problem`] is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// In a file.
    File {
        /// The file, as the caller named it.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, in characters, from 1.
        column: usize,
        /// The line itself.
        excerpt: Excerpt,
    },
    /// In a flag or an environment variable, which is named.
    Given(String),
    /// In the application's own code: its components, as it describes them.
    Application(String),
}

/// A quoted line, cut if it is long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Excerpt {
    /// The text, with control characters escaped.
    pub line: String,
    /// How many characters precede those that are meant.
    pub offset: usize,
    /// How many characters are meant, at least one.
    pub width: usize,
}

impl Problem {
    /// A problem of a flag or an environment variable, which `label` names without its value.
    pub fn given(label: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let place = Place::Given(printable(label));
        Self {
            place,
            what: printable(&what.into()),
            mend: printable(&mend.into()),
        }
    }

    /// A problem of the application's own code.
    pub(crate) fn application(app: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            place: Place::Application(app.to_owned()),
            what: what.into(),
            mend: mend.into(),
        }
    }

    /// The file, if it is in one.
    pub fn file(&self) -> Option<&str> {
        match &self.place {
            Place::File { file, .. } => Some(file),
            Place::Given(_) | Place::Application(_) => None,
        }
    }

    /// The line from 1, if it is in a file.
    pub fn line(&self) -> Option<usize> {
        match &self.place {
            Place::File { line, .. } => Some(*line),
            Place::Given(_) | Place::Application(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                file, line, column, ..
            } => write!(f, "{file}:{line}:{column}"),
            Self::Given(label) => f.write_str(label),
            Self::Application(app) => write!(f, "application `{app}`"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        let Place::File { line, excerpt, .. } = &self.place else {
            return write!(f, "\n  = {}", self.mend);
        };
        let number = line.to_string();
        let gutter = number.len();
        write!(f, "\n{:gutter$} |", "")?;
        write!(f, "\n{number} | {}", excerpt.line)?;
        write!(
            f,
            "\n{:gutter$} | {:offset$}",
            "",
            "",
            offset = excerpt.offset
        )?;
        for _ in 0..excerpt.width {
            f.write_char('^')?;
        }
        write!(f, "\n{:gutter$} = {}", "", self.mend)
    }
}

/// Everything that is wrong, in the order of the file; problems outside of a file come last.
///
/// Never empty where it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Orders `problems` and leaves out those said twice.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        let rank = |problem: &Problem| match &problem.place {
            Place::File { line, column, .. } => (0, *line, *column),
            Place::Given(_) => (1, 0, 0),
            Place::Application(_) => (2, 0, 0),
        };
        problems.sort_by_key(rank);
        let mut seen = HashSet::with_capacity(problems.len());
        problems.retain(|problem| seen.insert(problem.clone()));
        Self(problems)
    }

    /// `Ok(value)` if there are none.
    ///
    /// # Errors
    ///
    /// These problems, if there are any.
    pub fn none_or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// The problems, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl std::error::Error for Problem {}

/// `text` with its control characters escaped, and with those that turn the direction of writing.
/// A file that was received from somebody else can so not drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    let hostile = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hostile) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if hostile(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
