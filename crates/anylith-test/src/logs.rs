//! What the replicas wrote, for whoever looks into a test that failed.

use std::fs;

use anylith_supervisor::RunFolder;

/// The most that is shown of one log, in lines.
const LINES: usize = 40;

/// Prints the end of each log in `folder` where the test's own output goes.
pub(crate) fn show(folder: &RunFolder) {
    let Ok(files) = fs::read_dir(folder.logs()) else {
        return;
    };
    let mut paths: Vec<_> = files.flatten().map(|file| file.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let lines: Vec<&str> = text.lines().collect();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            eprintln!("{name} | {line}");
        }
    }
}
