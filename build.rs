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
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn of_environment() -> Option<String> {
    let commit = std::env::var("SOURCE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = commit.map(|commit| commit.chars().take(9).collect::<String>());
    let day = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok()).map(day);
    let known: Vec<String> = [commit, day].into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// The day of a Unix time, as `YYYY-MM-DD` (Howard Hinnant's `civil_from_days`).
fn day(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
