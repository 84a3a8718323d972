//! What every `Cargo.toml` of the workspace has in it.

use toml::{Table, Value};

use super::{File, Finding};

/// Everything that is wrong with one manifest.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let Ok(manifest) = file.text.parse::<Table>() else {
        return Vec::new(); // cargo says it better
    };
    if !manifest.contains_key("package") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    findings.extend(own_lints(&file.path, &manifest));
    findings.extend(own_versions(file, &manifest));
    findings.extend(planted_defects(&file.path, &manifest));
    findings
}

/// Whoever enables the defects that can be planted, and is not the fault suite; that one, if it enables them always.
fn planted_defects(path: &str, manifest: &Table) -> Option<Finding> {
    let features = manifest.get("features").and_then(Value::as_table);
    let mut features = features.into_iter().flatten();
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut dependencies = kinds.iter().filter_map(|kind| manifest.get(*kind));
    let enabled = match path {
        "tests/faults/Cargo.toml" => {
            features.any(|(name, value)| name == "default" && says_defects(value))
        }
        _ => features.any(|(_, value)| says_defects(value)) || dependencies.any(says_defects),
    };
    enabled.then(|| planted(path))
}

/// Whether the feature stands in a value, however deep.
fn says_defects(value: &Value) -> bool {
    match value {
        Value::String(text) => text == "defects" || text.ends_with("/defects"),
        Value::Array(values) => values.iter().any(says_defects),
        Value::Table(table) => table.values().any(says_defects),
        _ => false,
    }
}

fn planted(path: &str) -> Finding {
    let mend = "only the fault suite enables the feature `defects`, and only when it is asked to: take it out here";
    Finding::new(path, 1, "defects", mend)
}

/// A crate that does not take the one lint table.
fn own_lints(path: &str, manifest: &Table) -> Option<Finding> {
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    let mend = "add `[lints]` with `workspace = true`, so that the same lints hold everywhere";
    (inherits != Some(&Value::Boolean(true))).then(|| Finding::new(path, 1, "lints", mend))
}

/// Dependencies whose version is not named in the root manifest.
fn own_versions(file: &File, manifest: &Table) -> Vec<Finding> {
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(Value::as_table);
    tables.extend(
        targets
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table),
    );
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let dependencies = tables
        .iter()
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten();
    let inherits = |dependency: &Value| {
        dependency
            .get("workspace")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    };
    dependencies
        .filter(|(_, dependency)| !inherits(dependency))
        .map(|(name, _)| {
            let line = file
                .text
                .lines()
                .position(|line| line.trim_start().starts_with(&**name));
            let mend = format!(
                "name the version of `{name}` in the root Cargo.toml, and write \
                 `{name}.workspace = true` here"
            );
            Finding::new(&file.path, line.map_or(1, |line| line + 1), "version", mend)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(&'static str, usize)> {
        let file = File {
            path: "a/Cargo.toml".into(),
            text: text.into(),
        };
        check(&file)
            .into_iter()
            .map(|finding| (finding.rule, finding.line))
            .collect()
    }

    #[test]
    fn a_crate_without_the_shared_lints_is_found() {
        assert_eq!(rules("[package]\nname = 'a'\n"), [("lints", 1)]);
        assert_eq!(
            rules("[package]\nname = 'a'\n[lints]\nworkspace = true\n"),
            []
        );
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        let manifest = "[package]\nname = 'a'\n[lints]\nworkspace = true\n\
                        [dependencies]\nbytes.workspace = true\nserde = '1'\n\
                        [target.'cfg(unix)'.dev-dependencies]\ntoml = { version = '1' }\n";
        assert_eq!(rules(manifest), [("version", 7), ("version", 9)]);
    }

    #[test]
    fn who_enables_the_defects_that_can_be_planted_is_found() {
        let package = "[package]\nname = 'a'\n[lints]\nworkspace = true\n";
        let enabled = |text| rules(&format!("{package}{text}"));
        for bad in [
            "[features]\ndefault = ['defects']\ndefects = []\n",
            "[dependencies]\nb = { workspace = true, features = ['defects'] }\n",
        ] {
            assert_eq!(enabled(bad), [("defects", 1)], "{bad}");
        }
        assert_eq!(enabled("[features]\ndefects = []\n"), []);
    }

    #[test]
    fn a_manifest_of_many_crates_is_not_a_crate() {
        assert_eq!(rules("[workspace]\nmembers = []\n"), []);
    }
}
