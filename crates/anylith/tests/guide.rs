//! The guide shows what is in the repository.
//!
//! A code block below `<!-- file: PATH -->` is that file, and one below `<!-- diff: OLD NEW -->` is what changed from
//! one file to the other. `UPDATE=1 cargo test -p anylith --test guide` writes the blocks anew.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use similar::TextDiff;

#[test]
fn the_guide_shows_the_files_as_they_are() {
    let mut shown = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page is text");
        let (renewed, blocks) = renew(&text);
        shown += blocks;
        if env::var_os("UPDATE").is_some() {
            fs::write(&page, &renewed).expect("a page can be written");
        } else {
            let page = page.display();
            let mend = "`UPDATE=1 cargo test -p anylith --test guide` writes it anew";
            assert!(text == renewed, "{page} shows what is no longer so: {mend}");
        }
    }
    assert!(shown >= 8, "only {shown} blocks were found to compare");
}

fn pages() -> Vec<PathBuf> {
    let guide = fs::read_dir(repository().join("docs/guide")).expect("the guide is there");
    let entries = guide.map(|entry| entry.expect("a folder can be read").path());
    // Beside the pages lie their pictures.
    let pages = entries.filter(|path| path.extension().is_some_and(|it| it == "md"));
    pages.chain([repository().join("README.md")]).collect()
}

/// The page with every marked block as it should be, and how many there are.
fn renew(page: &str) -> (String, usize) {
    let (mut renewed, mut blocks) = (String::new(), 0);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        renewed.push_str(line);
        renewed.push('\n');
        let Some(content) = marked(line) else {
            continue;
        };
        blocks += 1;
        let fence = lines.next().expect("a block follows its mark");
        assert!(fence.starts_with("```"), "after `{line}` comes a block");
        lines
            .by_ref()
            .find(|line| *line == "```")
            .expect("a block ends");
        renewed.push_str(&format!("{fence}\n{content}```\n"));
    }
    (renewed, blocks)
}

/// What the block below `line` shows, if it is a mark.
fn marked(line: &str) -> Option<String> {
    let mark = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    if let Some(path) = mark.strip_prefix("file: ") {
        return Some(read(path));
    }
    let (old, new) = mark.strip_prefix("diff: ")?.split_once(' ')?;
    let (old, new) = (read(old), read(new));
    let diff = TextDiff::from_lines(&old, &new);
    Some(diff.unified_diff().context_radius(2).to_string())
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn repository() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder
        .ancestors()
        .nth(2)
        .expect("it lies in crates/anylith")
}
