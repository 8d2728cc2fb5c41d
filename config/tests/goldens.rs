//! What is said of configurations that are wrong: one idea each, in `tests/invalid`.
//!
//! Every alert and warning names file, line and word, and a way out where there is one to name.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use config::{Source, load_sources};

#[test]
fn what_is_wrong_is_told() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cfg"))
        .collect();
    files.sort();
    assert!(
        files.len() > 30,
        "they have gone from {}",
        directory.display()
    );
    insta::with_settings!({ snapshot_path => "invalid", prepend_module_to_snapshot => false, omit_expression => true }, {
        for path in &files {
            let name = path.file_stem().unwrap().to_string_lossy();
            insta::assert_snapshot!(&*name, said_of(path));
        }
    });
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
    let lines = loaded
        .diagnostics
        .iter()
        .map(|diagnostic| format!("[{:?}] {}\n", diagnostic.severity, diagnostic.render()));
    let verdict = if loaded.model.is_some() {
        "taken"
    } else {
        "refused"
    };
    lines.collect::<String>() + verdict
}
