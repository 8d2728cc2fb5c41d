//! The verdict of `-c` (MGT 3): what is said and with which code the process ends.
//!
//! Scripts and service units read both, so the texts are HAProxy's. A configuration with errors never
//! gets here: its errors are told and the code is 1.

use config::model::Model;

/// What `-c` prints on stdout, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lines: Vec<&'static str>,
    pub(crate) code: u8,
}

/// Whether anything would be listened on. Stats sockets count, as they do in HAProxy.
pub(crate) fn has_listener(model: &Model) -> bool {
    !model.global.stats_sockets.is_empty()
        || model
            .proxies
            .iter()
            .filter(|proxy| !proxy.disabled)
            .filter_map(|proxy| proxy.front.as_ref())
            .any(|front| !front.binds.is_empty())
}

/// Judges a valid configuration.
pub(crate) fn verdict(listens: bool, warned: bool, verbose: bool) -> Verdict {
    let mut lines = Vec::new();
    if warned {
        lines.push("Warnings were found.");
    }
    if !listens {
        lines.push("Configuration file has no error but will not start (no listener) => exit(2).");
        return Verdict { lines, code: 2 };
    }
    if verbose {
        lines.push("Configuration file is valid");
    }
    Verdict { lines, code: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_file_is_silent_unless_asked() {
        assert_eq!(verdict(true, false, false).lines, [] as [&str; 0]);
        let told = verdict(true, false, true);
        assert_eq!(told.lines, ["Configuration file is valid"]);
        assert_eq!(told.code, 0);
    }

    #[test]
    fn warnings_are_told_and_change_no_code() {
        let warned = verdict(true, true, true);
        assert_eq!(
            warned.lines,
            ["Warnings were found.", "Configuration file is valid"]
        );
        assert_eq!(warned.code, 0);
    }

    #[test]
    fn nothing_to_listen_on_is_two() {
        let silent = verdict(false, false, true);
        assert_eq!(silent.code, 2);
        assert_eq!(silent.lines.len(), 1);
        assert!(silent.lines[0].ends_with("(no listener) => exit(2)."));
    }

    #[test]
    fn a_stats_socket_is_a_listener() {
        let mut model = Model {
            global: config::model::Global::default(),
            userlists: Vec::new(),
            alerts: Vec::new(),
            mailers: Vec::new(),
            proxies: Vec::new(),
        };
        assert!(!has_listener(&model));
        model.global.stats_sockets.push(config::model::StatsSocket {
            at: config::model::Location {
                file: "f".into(),
                line: 1,
            },
            address: config::model::BindAddress::Unix("/s".into()),
            permissions: Default::default(),
            level: Default::default(),
            expose_fd: false,
        });
        assert!(has_listener(&model));
    }
}
