//! Finds out which source the program is built from, for `--version`: from git when the source is a clone,
//! else from `SOURCE_COMMIT` and `SOURCE_DATE_EPOCH` (images, packages), else the version stands alone.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["SOURCE_COMMIT", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    // A release says exactly what it is; while somebody develops, a build for each commit would only cost time.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
    let package = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let source = of_clone().or_else(of_environment).map(|source| format!(" ({source})")).unwrap_or_default();
    println!("cargo::rustc-env=SOURCE_100MS_VERSION={package}{source}");
}

/// Commit and day, when this folder is a clone itself and does not merely lie in one.
fn of_clone() -> Option<String> {
    let root = std::fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    let here = std::fs::canonicalize(std::env::var("CARGO_MANIFEST_DIR").ok()?).ok()?;
    if root != here {
        return None;
    }
    git(&["show", "--no-patch", "--format=%h, %cs", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    output_of("git", arguments)
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn of_environment() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let commit = variable("SOURCE_COMMIT").map(|commit| commit.chars().take(9).collect::<String>());
    let day = variable("SOURCE_DATE_EPOCH")
        .and_then(|seconds| output_of("date", &["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%d"]));
    let known: Vec<String> = [commit, day].into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}
