//! Nothing here: this package holds only the end-to-end tests of `e2e.rs`.
