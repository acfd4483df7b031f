//! How a law is checked: for the cases that it once failed for, then for new ones.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// So many cases: times `MS_ACL_TIMES` for a long run, or what `PROPTEST_CASES` says. A failing one is
/// shrunk and saved below, not by its seed: a seed means another world once the generator changes.
fn config(cases: u32) -> Config {
    let times = std::env::var("MS_ACL_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default().cases,
        None => cases.saturating_mul(times),
    };
    Config { cases, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() }
}

/// The cases that a law once failed for: `tests/regressions/<law>/*.json`.
fn folder(law: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/regressions").join(law)
}

fn saved<T: DeserializeOwned>(law: &str) -> Vec<(PathBuf, T)> {
    let Ok(entries) = fs::read_dir(folder(law)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let case = serde_json::from_str(&fs::read_to_string(&path).unwrap());
        let case = case.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, case)
    };
    paths.into_iter().map(read).collect()
}

fn save<T: Serialize>(law: &str, case: &T) -> PathBuf {
    let text = serde_json::to_string_pretty(case).unwrap() + "\n";
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let path = folder(law).join(format!("{:016x}.json", hasher.finish()));
    fs::create_dir_all(folder(law)).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Checks a law, which is named by its test, for what was saved and for so many new cases.
#[track_caller]
pub(crate) fn check<T>(
    law: &str,
    cases: u32,
    drawn: impl Strategy<Value = T>,
    holds: impl Fn(&T) -> Result<(), TestCaseError>,
) where
    T: Debug + Serialize + DeserializeOwned,
{
    for (path, case) in saved(law) {
        if let Err(error) = holds(&case) {
            panic!("{}: {error}", path.display());
        }
    }
    match TestRunner::new(config(cases)).run(&drawn, |case| holds(&case)) {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => {
            let path = save(law, &case);
            panic!("{reason}\nthe least case for it, saved as {}: {case:#?}", path.display());
        }
        Err(error) => panic!("{error}"),
    }
}
