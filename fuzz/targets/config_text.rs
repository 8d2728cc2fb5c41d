//! haproxy.cfg: any bytes end in a model or in errors that can be printed; names are not looked up.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use config::diagnostic::Severity;
use config::{Source, load_sources};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let source = Source {
        name: "fuzz.cfg".into(),
        text: bytes.to_vec(),
    };
    let variables = |name: &str| (name == "HOME").then(|| "/home/fuzz".to_owned());
    let resolver = |name: &str| (name == "mail").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let loaded = load_sources(&[source], &variables, &resolver);
    let alerts = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Alert)
        .count();
    assert_eq!(
        loaded.model.is_none(),
        alerts > 0,
        "a model, or the reason why not"
    );
    for diagnostic in &loaded.diagnostics {
        assert!(!diagnostic.render().is_empty());
    }
});
