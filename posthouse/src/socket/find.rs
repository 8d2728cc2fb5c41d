//! Which stats socket is meant: `-s`, that of a configuration (`-f`), or where one usually is.

use std::path::{Path, PathBuf};

use config::model::{BindAddress, Level, Model};

use super::Address;
use crate::tool::Words;

/// Where sockets are looked for when nobody says: the first that is there.
const USUAL: [&str; 4] = [
    "/run/posthouse/admin.sock",
    "/run/haproxy/admin.sock",
    "/run/haproxy.sock",
    "/var/lib/haproxy/stats",
];

/// What the command line says of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Where {
    socket: Option<String>,
    files: Vec<PathBuf>,
}

impl Where {
    /// Takes `-s <socket>` and `-f <file>`; `false`: the word is neither.
    pub(crate) fn take(&mut self, word: &str, rest: &mut Words<'_>) -> Result<bool, String> {
        let mut value = |what: &str| rest.value(word, what);
        match word {
            "-s" => self.socket = Some(value("the stats socket, as a path or <host>:<port>")?),
            "-f" => self.files.push(value("the configuration")?.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The address, or what to do about there being none.
    pub(crate) fn address(&self) -> Result<Address, String> {
        match &self.socket {
            Some(socket) => Address::parse(socket),
            None if self.files.is_empty() => usual(&USUAL.map(Path::new)),
            None => configured(&self.files),
        }
    }
}

fn usual(places: &[&Path]) -> Result<Address, String> {
    let found = places.iter().find(|place| place.exists());
    found.map(|place| Address::Unix(place.to_path_buf())).ok_or_else(|| {
        let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        format!(
            "no stats socket in the usual places ({}): name it with -s <socket>, or its configuration with -f <file>",
            looked.join(", ")
        )
    })
}

fn configured(files: &[PathBuf]) -> Result<Address, String> {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let names = names.join(", ");
    let loaded = config::load(files);
    let Some(model) = loaded.model else {
        return Err(format!(
            "{names}: cannot be read or has errors (posthouse -c -f tells them); name the socket with -s <socket>"
        ));
    };
    best(&model).ok_or_else(|| {
        format!("{names}: has no `stats socket` in its `global` section, as in: stats socket {} level admin", USUAL[0])
    })
}

/// The one that allows most; of equals the first.
fn best(model: &Model) -> Option<Address> {
    let sockets = model.global.stats_sockets.iter().rev();
    sockets
        .filter_map(|socket| Some((socket.level, reachable(&socket.address)?)))
        .max_by_key(|(level, _): &(Level, Address)| *level)
        .map(|(_, address)| address)
}

/// From here: who listens everywhere is on loopback too.
fn reachable(address: &BindAddress) -> Option<Address> {
    match address {
        BindAddress::Ip(address) => {
            let mut address = *address;
            if address.ip().is_unspecified() {
                address.set_ip(match address.ip() {
                    std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                    std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                });
            }
            Some(Address::Tcp(address.to_string()))
        }
        BindAddress::Unix(path) => Some(Address::Unix(path.clone())),
        BindAddress::Abstract(name) => Some(Address::Abstract(name.clone())),
        BindAddress::Fd(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &str) -> Result<Address, String> {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let mut meant = Where::default();
        while let Some(word) = words.next() {
            assert!(meant.take(&word, &mut words)?, "{word}");
        }
        meant.address()
    }

    #[test]
    fn the_socket_that_allows_most() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("x.cfg");
        let by = |text: &str| {
            std::fs::write(&file, text).unwrap();
            found(&format!("-f {}", file.display()))
        };
        assert_eq!(
            by(
                "global\n stats socket /a level user\n stats socket :9 level admin\n stats socket /b level admin\n"
            ),
            Ok(Address::Tcp("127.0.0.1:9".into()))
        );
        assert!(by("global\n").unwrap_err().contains("no `stats socket`"));
        assert!(by("globl\n").unwrap_err().contains("posthouse -c"));
        assert_eq!(found("-s /x"), Ok(Address::Unix("/x".into())));
        assert!(found("-s").unwrap_err().contains("needs an argument"));
    }

    #[test]
    fn the_first_that_is_there() {
        let directory = tempfile::TempDir::new().unwrap();
        let (one, two) = (directory.path().join("1"), directory.path().join("2"));
        let places = [one.as_path(), two.as_path()];
        assert!(usual(&places).unwrap_err().contains("-s <socket>"));
        std::fs::write(&two, "").unwrap();
        assert_eq!(usual(&places), Ok(Address::Unix(two.clone())));
    }
}
