//! Who a client is, as servers are told and limits see it: the part of the shell that AUTH and XCLIENT need.

use std::net::IpAddr;

use wire::smtp::{Login, Origin, Reach};

use super::failures::Key;
use super::{Wire, line};
use crate::clock::Clock;
use crate::session::Peer;
use crate::sock;

impl Wire<'_> {
    pub(super) fn how_reached(&self) -> Reach {
        let conf = self.session.server.as_ref().map(|server| &server.conf);
        Reach {
            xclient: conf.is_some_and(|conf| conf.xclient),
            verified: conf.is_some_and(|conf| conf.tls.as_ref().is_some_and(|tls| tls.verify)),
        }
    }

    pub(super) fn whom_for(&self) -> Origin {
        let own = || self.client.fd().and_then(sock::local_address);
        Origin {
            client: match self.session.client {
                Peer::Ip(address) => Some(address),
                Peer::Local => None,
            },
            destination: self.session.destination.or_else(own),
        }
    }

    /// Whether neither its source nor its name has failed too often.
    pub(super) fn admits(&self, name: Option<&str>) -> bool {
        let limits = self.limits();
        let failures = &self.worker.process.failed_logins;
        let now = Clock::get().now();
        let over = |limit: u32, key: Option<Key<'_>>| {
            limit > 0 && key.is_some_and(|key| failures.count(key, now) >= limit)
        };
        let banned = over(limits.0, self.source()) || over(limits.1, name.map(Key::Name));
        if banned {
            let login = Login {
                mechanism: "",
                name,
                code: 0,
                reply: b"",
            };
            self.tell_login(&login, LIMITED);
        }
        !banned
    }

    /// A server has judged a login, or could not.
    pub(super) fn note_login(&self, login: &Login<'_>) {
        let outcome = match login.code {
            200..=299 => ACCEPTED,
            WRONG => REFUSED,
            _ => FAILED,
        };
        let limits = self.limits();
        if outcome == REFUSED {
            let failures = &self.worker.process.failed_logins;
            let now = Clock::get().now();
            let name = login.name.map(Key::Name);
            for (limit, key) in [(limits.0, self.source()), (limits.1, name)] {
                if let Some(key) = key.filter(|_| limit > 0) {
                    failures.add(key, now);
                }
            }
        }
        self.tell_login(login, outcome);
    }

    fn tell_login(&self, login: &Login<'_>, outcome: usize) {
        if let Some(mail) = self.session.farm().and_then(|back| back.mail.as_ref()) {
            mail.totals.at(self.worker.id).logins[outcome].add(1);
        }
        if outcome != ACCEPTED {
            let word = super::counts::LOGINS[outcome];
            line::tell_login(self.worker, self.session, login, word);
        }
    }

    /// The limits of failed logins: by source, by name.
    fn limits(&self) -> (u32, u32) {
        let smtp = self.session.ingress.front().smtp.as_ref();
        smtp.map_or((0, 0), |smtp| {
            let limits = &smtp.limits;
            (
                limits.failed_logins_per_source,
                limits.failed_logins_per_name,
            )
        })
    }

    fn source(&self) -> Option<Key<'static>> {
        match self.session.client {
            Peer::Ip(address) => Some(Key::Source(network(address.ip()))),
            Peer::Local => None,
        }
    }
}

/// Of an IPv6 address what its owner cannot choose.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

/// The name or the secret is wrong (RFC 4954, 6). Others say that the client has given up, or what a server cannot.
const WRONG: u16 = 535;

/// Places in [`super::counts::LOGINS`].
const ACCEPTED: usize = 0;
const REFUSED: usize = 1;
const FAILED: usize = 2;
const LIMITED: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_what_its_owner_cannot_change() {
        let of = |ip: &str| network(ip.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.9"), "192.0.2.9");
        assert_eq!(of("::ffff:192.0.2.9"), "192.0.2.9");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
