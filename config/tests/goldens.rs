//! What is said of configurations that are wrong: one idea each, in `tests/invalid`.
//!
//! Every alert and warning names file, line and word, and a way out where there is one to name.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use config::{Source, load_sources};

#[test]
fn what_is_wrong_is_told() {
    assert!(walk("invalid") > 30, "they have gone");
}

/// What is legal and goes wrong with mail; a clean file, and one that silences everything, hear nothing.
#[test]
fn advice_is_given() {
    assert_eq!(walk("lint"), 6);
}

/// What is shipped as an example is taken without a word.
#[test]
fn examples_are_taken() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let variable = |_: &str| Some("secret".to_owned());
    let resolver = |_: &str| Some([192, 0, 2, 1].into());
    let mut taken = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let source = Source {
            name: path.display().to_string(),
            text: std::fs::read(&path).unwrap(),
        };
        let loaded = load_sources(&[source], &variable, &resolver);
        let said: Vec<_> = loaded.diagnostics.iter().map(|d| d.render()).collect();
        assert!(loaded.model.is_some() && said.is_empty(), "{said:#?}");
        taken += 1;
    }
    assert!(taken >= 4);
}

/// Compares each file of a directory with what should be said of it; returns how many there are.
fn walk(name: &str) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cfg"))
        .collect();
    files.sort();
    insta::with_settings!({ snapshot_path => name, prepend_module_to_snapshot => false, omit_expression => true }, {
        for path in &files {
            let name = path.file_stem().unwrap().to_string_lossy();
            insta::assert_snapshot!(&*name, said_of(path));
        }
    });
    files.len()
}

/// `[SEVERITY] text` for each, with what is underlined, as the program prints them.
fn said_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let source = Source {
        name,
        text: std::fs::read(path).unwrap(),
    };
    // No name exists: the answer must not depend on where the test runs.
    let loaded = load_sources(&[source], &|_| None, &|_| None);
    let advice = match &loaded.model {
        Some(model) if path.parent().unwrap().ends_with("lint") => config::advise(model),
        _ => Vec::new(),
    };
    let lines = loaded
        .diagnostics
        .iter()
        .chain(&advice)
        .map(|diagnostic| format!("[{:?}] {}\n", diagnostic.severity, diagnostic.render()));
    let verdict = if loaded.model.is_some() {
        "taken"
    } else {
        "refused"
    };
    lines.collect::<String>() + verdict
}
