//! Words that do not belong into a finished file.

use super::{File, Finding};

/// Marks of unfinished work. Written in two halves, or this file would be found itself.
const MARKS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Folders of the machine that a file was written on.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
];

/// Comments and prose that leave work for later.
pub(super) fn unfinished(file: &File) -> Vec<Finding> {
    let comment = match file.path.rsplit('.').next() {
        Some("rs" | "js" | "css") => "//",
        Some("toml" | "sh" | "yml" | "yaml") => "#",
        Some("md") => "",
        _ => return Vec::new(),
    };
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let Some(start) = line.find(comment) else {
            continue;
        };
        let mut words = line[start..].split(|letter: char| !letter.is_ascii_alphanumeric());
        if let Some(mark) = words.find(|word| MARKS.contains(word)) {
            let mend = format!("finish what `{mark}` stands for, or open an issue and take it out");
            findings.push(Finding::new(&file.path, index + 1, "unfinished", mend));
        }
    }
    findings
}

/// Paths that exist only on the machine that a file was written on.
pub(super) fn machine_path(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let folder = MACHINE_FOLDERS.iter().find(|folder| {
            // The folder must begin the path: `docs/home/` and `https://a.example/home/` are others.
            line.match_indices(**folder).any(|(start, _)| {
                !line[..start]
                    .ends_with(|letter: char| letter.is_alphanumeric() || "._-/*}".contains(letter))
            })
        });
        if let Some(folder) = folder {
            let mend = format!("`{folder}…` is there on one machine only: write a relative path");
            findings.push(Finding::new(&file.path, index + 1, "path", mend));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn unfinished_work_is_found_in_comments_and_prose() {
        for mark in MARKS {
            let found = unfinished(&file("a.rs", &format!("fn f() {{}}\n// {mark}: more\n")));
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].line, 2);
            assert_eq!(unfinished(&file("a.md", &format!("A {mark}.\n"))).len(), 1);
        }
    }

    #[test]
    fn a_value_that_looks_like_a_mark_is_none() {
        // It is also the code for "no currency" of ISO 4217.
        let code = format!("const NONE: &str = {:?};\n", MARKS[2]);
        assert!(unfinished(&file("a.rs", &code)).is_empty());
        assert!(unfinished(&file("a.json", &code)).is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(
                machine_path(&file("a.md", &format!("see {folder}x\n"))).len(),
                1
            );
            assert!(machine_path(&file("a.md", &format!("see docs{folder}x\n"))).is_empty());
        }
    }
}
