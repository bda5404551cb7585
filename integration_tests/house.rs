//! The house keeps its rules: who may import whom, and what is generated agrees with the code.

use std::path::{Path, PathBuf};

use crate::harness::{Call, STREAMS, config, fake};

/// Module → the modules of the crate it may use ("Who may import whom" in docs/architecture.md).
const MAY_USE: [(&str, &[&str]); 11] = [
    ("airbyte", &[]),
    ("api", &[]),
    ("nearest", &[]),
    ("redact", &[]),
    ("config", &["api", "nearest"]),
    ("streams", &["api", "redact"]),
    ("failure", &["airbyte", "api", "config", "streams"]),
    ("sync", &["streams", "api", "airbyte", "failure", "redact"]),
    ("terminal", &["api", "airbyte"]),
    ("commands", &["sync", "config", "airbyte", "api", "streams", "failure", "nearest", "redact", "terminal"]),
    ("main", &["commands"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|entry| sources(&entry))
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// The top-level modules that `text` names after `crate::` or the crate's own name.
fn used_modules(text: &str) -> Vec<String> {
    let paths = ["crate::", "source_100ms::"]
        .into_iter()
        .flat_map(|prefix| text.match_indices(prefix).map(move |(at, _)| at + prefix.len()));
    paths
        .map(|at| text[at..].chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect())
        .collect()
}

#[test]
fn nobody_imports_what_is_not_theirs() {
    for (module, allowed) in MAY_USE {
        let (file, folder) = (root().join(format!("src/{module}.rs")), root().join(format!("src/{module}")));
        let files = sources(if file.exists() { &file } else { &folder });
        assert!(!files.is_empty(), "{module} is gone: mend the table");
        for file in files {
            for used in used_modules(&std::fs::read_to_string(&file).unwrap()) {
                let is_allowed = used == module || allowed.contains(&used.as_str());
                assert!(is_allowed, "{} uses `{used}`, which `{module}` may not", file.display());
            }
        }
    }
}

#[test]
fn no_stream_knows_another() {
    for stream in STREAMS {
        let file = root().join(format!("src/streams/{stream}.rs"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{stream} has no file of its own"));
        let code = text.split("#[cfg(test)]").next().unwrap();
        for other in STREAMS.iter().filter(|other| **other != stream) {
            assert!(!code.contains(&format!("super::{other}")), "{stream} uses {other}");
        }
    }
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_code() {
    let fake = fake(1);
    let discovered = Call::discover(&config(&fake)).run().good(&fake);
    for stream in &discovered.catalog().streams {
        let path = root().join(format!("schemas/{}.json", stream.name));
        let generated = serde_json::to_string_pretty(&stream.json_schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(kept, generated, "schemas/{}.json has drifted: run the tests with UPDATE_SCHEMAS=1", stream.name);
    }
    assert_eq!(std::fs::read_dir(root().join("schemas")).unwrap().count(), STREAMS.len());
}
