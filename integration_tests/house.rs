//! The house keeps its rules: who may import whom, and what is generated agrees with the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;
use source_100ms::streams;

use crate::harness::{Call, config_with, every_stream, extra_streams, fake, offered_streams};

/// Module → the modules of the crate it may use ("Who may import whom" in docs/architecture.md).
const MAY_USE: [(&str, &[&str]); 12] = [
    ("airbyte", &[]),
    ("api", &[]),
    ("nearest", &[]),
    ("redact", &[]),
    ("config", &["api", "nearest", "streams"]),
    ("records", &["api", "redact"]),
    ("streams", &["api", "records", "redact"]),
    ("failure", &["airbyte", "api", "config", "streams"]),
    ("sync", &["streams", "api", "airbyte", "failure", "nearest", "redact"]),
    ("terminal", &["api", "airbyte"]),
    ("commands", &["sync", "config", "airbyte", "api", "streams", "failure", "nearest", "redact", "terminal"]),
    ("main", &["commands"]),
];

/// Everybody may ask for the time.
const SEAMS: &str = "seams";

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

/// The code of a file, without its tests and comments.
fn code_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The word behind each place where `start` stands in `code`, or all words of the braces there.
fn words_behind<'c>(code: &'c str, start: &'c str) -> impl Iterator<Item = &'c str> {
    let ends = |letter: char| !letter.is_alphanumeric() && letter != '_';
    code.match_indices(start).flat_map(move |(at, _)| {
        let rest = &code[at + start.len()..];
        let (several, one) = match rest.strip_prefix('{') {
            Some(inside) => (inside.split('}').next(), None),
            None => (None, rest.split(ends).next()),
        };
        several.into_iter().flat_map(move |words| words.split(ends)).chain(one)
    })
}

/// The files of the same folder that a file imports; a folder in it counts as a file.
fn neighbours(file: &Path, folder: &Path) -> BTreeSet<String> {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let (code, from_the_root) = (code_of(file), format!("crate::{name}::"));
    let beside = if file.parent() == Some(folder) { "super::" } else { "super::super::" };
    let words = words_behind(&code, &from_the_root).chain(words_behind(&code, beside));
    let is_file = |word: &&str| folder.join(word).with_extension("rs").is_file() || folder.join(word).is_dir();
    words.filter(|word| !word.is_empty()).filter(is_file).map(str::to_owned).collect()
}

/// Whether `from` leads back to itself.
fn is_in_a_circle(from: &str, imports: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let (mut reached, mut ahead) = (BTreeSet::new(), vec![from]);
    while let Some(file) = ahead.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if reached.insert(next) {
                ahead.push(next);
            }
        }
    }
    reached.contains(&from.to_owned())
}

#[test]
fn nobody_imports_what_is_not_theirs() {
    for (module, allowed) in MAY_USE {
        let (file, folder) = (root().join(format!("src/{module}.rs")), root().join(format!("src/{module}")));
        let files = sources(if file.exists() { &file } else { &folder });
        assert!(!files.is_empty(), "{module} is gone: mend the table");
        for file in files {
            let code = code_of(&file);
            assert!(!code.contains("crate::{"), "{}: write each folder out, so that this test sees it", file.display());
            for used in words_behind(&code, "crate::").chain(words_behind(&code, "source_100ms::")) {
                let is_allowed = used == module || used == SEAMS || allowed.contains(&used);
                assert!(is_allowed, "{} uses `{used}`, which `{module}` may not", file.display());
            }
        }
    }
}

/// A `mod.rs` and the files that it names belong together, so it does not count.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let fake = root().join("integration_tests/fake-100ms/src");
    let mut checked = 0;
    for crate_root in [root().join("src"), fake] {
        let folders: BTreeSet<PathBuf> =
            sources(&crate_root).iter().filter_map(|file| Some(file.parent()?.to_owned())).collect();
        for folder in folders {
            let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for file in sources(&folder) {
                let inside = file.strip_prefix(&folder).unwrap().with_extension("");
                let name = inside.iter().next().unwrap().to_str().unwrap().to_owned();
                if !matches!(name.as_str(), "mod" | "lib" | "main" | "tests") {
                    let mut others = neighbours(&file, &folder);
                    others.remove(&name);
                    imports.entry(name).or_default().extend(others);
                }
            }
            checked += imports.values().map(BTreeSet::len).sum::<usize>();
            let circle: Vec<&String> = imports.keys().filter(|file| is_in_a_circle(file, &imports)).collect();
            assert!(circle.is_empty(), "{}: {circle:?} import each other", folder.display());
        }
    }
    assert!(checked > 100, "{checked} imports: the test proves nothing");
}

#[test]
fn no_stream_knows_another_and_each_is_in_the_table_of_the_tests() {
    for stream in every_stream() {
        let file = root().join(format!("src/streams/{stream}.rs"));
        assert!(file.is_file(), "{stream} has no file of its own");
        let others = neighbours(&file, &root().join("src/streams"));
        let other = every_stream().into_iter().find(|other| *other != stream && others.contains(*other));
        assert_eq!(other, None, "{stream} uses another stream");
    }
    for stream in streams::every() {
        assert!(
            every_stream().contains(&stream.name),
            "{} is in no test: add it to fake-100ms/streams.json",
            stream.name
        );
    }
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_code() {
    let fake = fake(1);
    let config = config_with(&fake, json!({"extra_streams": extra_streams()}));
    let discovered = Call::discover(&config).run().good(&fake);
    for stream in &discovered.catalog().streams {
        let path = root().join(format!("schemas/{}.json", stream.name));
        let generated = serde_json::to_string_pretty(&stream.json_schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(kept, generated, "schemas/{}.json has drifted: run the tests with UPDATE_SCHEMAS=1", stream.name);
    }
    assert_eq!(
        std::fs::read_dir(root().join("schemas")).unwrap().count(),
        offered_streams().len() + extra_streams().len()
    );
}
