//! The text of an `anylith.toml`, and how a byte of it becomes a line and a column.

use std::{fmt, ops::Range};

use crate::{
    Place, Problem,
    problem::{Excerpt, printable},
};

/// Where a key or a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// In the file, at these bytes.
    Span(Range<usize>),
    /// Not in the file: in the environment variable or the flag with this label.
    Given(String),
}

/// The file's name and its text.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Source {
    file: String,
    pub(crate) text: String,
    /// The first byte of every line but the first.
    breaks: Vec<usize>,
}

/// The longest part of a line that is quoted, in characters.
const QUOTED: usize = 120;

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        // Some editors begin a file with a byte order mark. Nobody sees it, so it does not count.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let breaks = text
            .match_indices('\n')
            .map(|(index, _)| index + 1)
            .collect();
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            breaks,
        }
    }

    /// The problem `what` at `at`, mended by `mend`.
    pub(crate) fn problem(
        &self,
        at: &At,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Problem {
        Problem {
            place: self.place(at),
            what: printable(&what.into()),
            mend: printable(&mend.into()),
        }
    }

    /// The place just after the last line, where something that is missing would be added.
    pub(crate) fn end(&self) -> At {
        let end = self.text.trim_end().len();
        At::Span(end..end)
    }

    /// The line of byte `index`, from 1.
    pub(crate) fn line_of(&self, index: usize) -> usize {
        1 + self.breaks.partition_point(|start| *start <= index)
    }

    /// The line with this number, from 1; empty if there is none.
    pub(crate) fn line(&self, number: usize) -> &str {
        let start = number
            .checked_sub(2)
            .map_or(Some(0), |index| self.breaks.get(index).copied());
        let line = start.and_then(|start| self.text[start..].lines().next());
        line.unwrap_or_default()
    }

    /// The place in a few words: `anylith.toml:3:1`.
    pub(crate) fn label(&self, at: &At) -> String {
        self.place(at).to_string()
    }

    fn place(&self, at: &At) -> Place {
        let span = match at {
            At::Span(span) => span,
            At::Given(label) => return Place::Given(printable(label)),
        };
        let start = self.boundary(span.start);
        let line_start = self.text[..start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |end| start + end);
        let before = self.text[line_start..start].chars().count();
        let end = self.boundary(span.end).clamp(start, line_end);
        let width = self.text[start..end].trim_end().chars().count().max(1);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        Place::File {
            file: printable(&self.file),
            line: self.line_of(start),
            column: before + 1,
            excerpt: excerpt(line, before, width),
        }
    }

    /// The nearest character boundary at or before `index`.
    fn boundary(&self, index: usize) -> usize {
        let mut index = index.min(self.text.len());
        while !self.text.is_char_boundary(index) {
            index -= 1;
        }
        index
    }
}

/// At most [`QUOTED`] characters of `line` around the `width` characters after the first `before`.
fn excerpt(line: &str, before: usize, width: usize) -> Excerpt {
    let skipped = if before + width <= QUOTED {
        0
    } else {
        before.saturating_sub(QUOTED / 4)
    };
    let mut quoted = String::new();
    let (mut offset, mut marked) = (0, 0);
    if skipped > 0 {
        quoted.push('…');
        offset += 1;
    }
    for (index, character) in line.chars().enumerate().skip(skipped) {
        if index - skipped >= QUOTED {
            quoted.push('…');
            break;
        }
        let shown = printable(character.encode_utf8(&mut [0; 4]));
        let shown = if character == '\t' {
            " ".to_owned()
        } else {
            shown
        };
        let length = shown.chars().count();
        if index < before {
            offset += length;
        } else if index < before + width {
            marked += length;
        }
        quoted.push_str(&shown);
    }
    Excerpt {
        line: quoted,
        offset,
        width: marked.max(1),
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
