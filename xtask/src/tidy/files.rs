//! What files are called, and how much is in them.

use super::{File, Finding};

/// Names that name nothing.
const MEANINGLESS: &[&str] = &[
    "util", "utils", "common", "manager", "types", "helper", "helpers", "misc",
];

/// The most lines that a `lib.rs` may have besides comments.
const LIB_LINES: usize = 150;

/// A file longer than this is mentioned.
const LONG_LINES: usize = 700;

/// A source file or folder whose name says nothing about what is in it.
pub(super) fn meaningless_name(path: &str) -> Option<Finding> {
    if !path.ends_with(".rs") {
        return None;
    }
    let word = path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .find(|part| MEANINGLESS.contains(part))?;
    Some(Finding::new(
        path,
        1,
        "name",
        format!("`{word}` names nothing: find the noun that it defines"),
    ))
}

/// A `lib.rs` that is more than a table of contents.
pub(super) fn crowded_lib(file: &File) -> Option<Finding> {
    let lines = code_lines(&file.text);
    (lines > LIB_LINES).then(|| {
        Finding::new(
            &file.path,
            1,
            "contents",
            format!(
                "a lib.rs is a table of contents, and this one has {lines} lines of code: \
                 move them to files named after what they define"
            ),
        )
    })
}

/// Lines that are neither empty nor only a comment.
fn code_lines(text: &str) -> usize {
    let code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    text.lines().map(str::trim).filter(code).count()
}

/// A change log that has no place for the next change.
pub(super) fn no_unreleased(changelog: Option<&str>) -> Option<Finding> {
    let there = changelog.is_some_and(|text| text.lines().any(|line| line == "## [Unreleased]"));
    let mend = "begin it with a section `## [Unreleased]`, where users read what will change";
    (!there).then(|| Finding::new("CHANGELOG.md", 1, "changelog", mend))
}

/// Source files that may have grown too long: not wrong, but worth a look. The longest comes first.
pub(super) fn long(files: &[File]) -> Vec<(&str, usize)> {
    let mut long: Vec<_> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| (file.path.as_str(), file.text.lines().count()))
        .filter(|(_, lines)| *lines > LONG_LINES)
        .collect();
    long.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_names_nothing_is_found() {
        for bad in ["a/src/util.rs", "a/src/common/mod.rs", "tests/helpers.rs"] {
            assert!(meaningless_name(bad).is_some(), "{bad} was taken");
        }
        for good in ["a/src/balancer.rs", "a/common.md", "a/src/utilisation.rs"] {
            assert!(meaningless_name(good).is_none(), "{good} was refused");
        }
    }

    #[test]
    fn a_crowded_lib_is_found_and_its_guide_does_not_count() {
        let file = |text: String| File {
            path: "a/src/lib.rs".into(),
            text,
        };
        assert!(crowded_lib(&file("fn f() {}\n".repeat(151))).is_some());
        assert!(crowded_lib(&file("//! Guide.\n\n".repeat(500))).is_none());
    }

    #[test]
    fn a_change_log_needs_a_place_for_the_next_change() {
        assert!(no_unreleased(None).is_some());
        assert!(no_unreleased(Some("# Changelog\n\n## [0.1.0]\n")).is_some());
        assert!(no_unreleased(Some("# Changelog\n\n## [Unreleased]\n")).is_none());
    }

    #[test]
    fn long_files_are_listed_longest_first() {
        let file = |path: &str, lines| File {
            path: path.into(),
            text: "x\n".repeat(lines),
        };
        let files = [
            file("a.rs", 700),
            file("b.rs", 701),
            file("c.rs", 900),
            file("d.md", 9000),
        ];
        assert_eq!(long(&files), [("c.rs", 900), ("b.rs", 701)]);
    }
}
