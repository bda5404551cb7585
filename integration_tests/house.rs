//! The house keeps its rules: who may import whom, and what is generated agrees with the code.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{Call, EXTRA, STREAMS, config_with, fake};

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

/// A path's place in the crate: `src/streams/rooms.rs` is `streams::rooms`.
fn module_of(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let parts = inside.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| !matches!(part.as_str(), "mod" | "lib")).collect()
}

/// Every item of the crate that the text names by a path, from the crate's root; `module` is the text's own place.
fn used(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let (code, tests) = code.split_once("#[cfg(test)]").unwrap_or((&code, ""));
    let inside: Vec<String> = module.iter().cloned().chain(["tests".to_owned()]).collect();
    [(code, module), (tests, inside.as_slice())].into_iter().flat_map(|(code, module)| named(code, module)).collect()
}

fn named(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::", "source_100ms::"] {
        for (at, _) in code.match_indices(start) {
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
            // `super::super::` is found at its first word.
            if code[..at].chars().next_back().is_some_and(is_word) {
                continue;
            }
            let mut paths = Vec::new();
            tree(&code[at..], &mut Vec::new(), &mut paths);
            found.extend(paths.into_iter().map(|path| from_the_root(path, module)));
        }
    }
    found
}

/// Takes a path with all its branches, as in `a::{b, c::{d, e}}`, from the beginning; gives what follows it.
fn tree<'a>(text: &'a str, above: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let (depth, mut rest) = (above.len(), text.trim_start());
    loop {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        above.push(rest[..end].to_owned());
        rest = &rest[end..];
        let Some(deeper) = rest.strip_prefix("::") else { break };
        rest = deeper;
        if let Some(mut branches) = rest.strip_prefix('{') {
            loop {
                branches = tree(branches, above, paths).trim_start();
                match branches.strip_prefix(',') {
                    Some(more) if !more.trim_start().starts_with('}') => branches = more,
                    Some(more) => branches = more.trim_start(),
                    None => break,
                }
                if branches.starts_with('}') {
                    break;
                }
            }
            above.truncate(depth);
            return branches.strip_prefix('}').unwrap_or(branches);
        }
    }
    paths.push(above.clone());
    above.truncate(depth);
    rest
}

fn from_the_root(path: Vec<String>, module: &[String]) -> Vec<String> {
    let mut place = module.to_vec();
    let mut words = path.into_iter().peekable();
    match words.next().as_deref() {
        Some("super") => drop(place.pop()),
        Some("self") => {}
        _ => place.clear(),
    }
    while words.next_if(|word| word == "super").is_some() {
        place.pop();
    }
    place.extend(words);
    place
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let module = ["streams".to_owned(), "sessions".to_owned()];
    let text = "use super::{rooms::{Room, self}, time, };\nuse crate::api::Client;\n// crate::sync::x\n\
        fn f() { super::super::config::g() }\n#[cfg(test)]\nmod tests { use super::*; use super::super::record; }";
    let found: Vec<String> = used(text, &module).iter().map(|path| path.join("::")).collect();
    let expected = [
        "api::Client",
        "streams::rooms::Room",
        "streams::rooms::self",
        "streams::time",
        "config::g",
        "streams::sessions::",
        "streams::record",
    ];
    assert_eq!(found, expected);
}

#[test]
fn nobody_imports_what_is_not_theirs() {
    for (module, allowed) in MAY_USE {
        let (file, folder) = (root().join(format!("src/{module}.rs")), root().join(format!("src/{module}")));
        let files = sources(if file.exists() { &file } else { &folder });
        assert!(!files.is_empty(), "{module} is gone: mend the table");
        for file in files {
            for path in used(&std::fs::read_to_string(&file).unwrap(), &module_of(&file)) {
                let top = path.first().map_or("", String::as_str);
                let is_allowed = top == module || top == SEAMS || allowed.contains(&top) || is_of_the_root(top);
                assert!(is_allowed, "{} uses `{}`, which `{module}` may not", file.display(), path.join("::"));
            }
        }
    }
}

/// A constant or type of the crate's root, or the root itself.
fn is_of_the_root(name: &str) -> bool {
    name.is_empty() || name.starts_with(|letter: char| letter.is_uppercase())
}

#[test]
fn no_stream_knows_another() {
    for stream in STREAMS {
        let file = root().join(format!("src/streams/{stream}.rs"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{stream} has no file of its own"));
        for path in used(&text, &module_of(&file)) {
            let other = STREAMS.iter().find(|other| **other != stream && path.iter().take(2).eq(["streams", other]));
            assert_eq!(other, None, "{stream} uses another stream");
        }
    }
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_code() {
    let fake = fake(1);
    let config = config_with(&fake, json!({"extra_streams": EXTRA}));
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
    assert_eq!(std::fs::read_dir(root().join("schemas")).unwrap().count(), STREAMS.len() + EXTRA.len());
}
