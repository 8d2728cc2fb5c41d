//! `posthouse probe`: a visit to a server by the way that sessions take to it, without a plane.
//!
//! The source address, the PROXY header and TLS are a session's; only that no certificate ends the visit: what is wrong
//! with it is for others to weigh. Whoever asks decides what is asked.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use config::model::{ProxyHeader, ServerAddress, ServerTls};
use tokio::time::Instant;
use wire::proxy::Addresses;
use wire::visit::{Plan, Step, Visit};

use crate::call::{Call, words};
use crate::check::part;
use crate::connect::header;
use crate::tls::{Asked, Connector, Seen};
use crate::visit::{Patience, pay};

/// How sessions come to a server.
#[derive(Debug)]
pub struct Way {
    address: ServerAddress,
    source: Option<SocketAddr>,
    name: Option<String>,
    connector: Connector,
}

/// A PROXY header, and the client that it tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its version, and what else it tells.
    pub kind: ProxyHeader,
    /// The client.
    pub client: SocketAddr,
}

/// What came of a visit.
#[derive(Debug)]
pub struct Visited {
    /// Its steps.
    pub visit: Visit,
    /// Our end of the connection, where it stood and has an address.
    pub from: Option<SocketAddr>,
    /// `TLSv1.3`, where it ran.
    pub tls: Option<&'static str>,
}

impl Way {
    /// To a server that is at `address`, from `source`. TLS is as `tls` has it; where the configuration has none, for
    /// the host `name`, if it has one.
    ///
    /// # Errors
    /// What of `tls` cannot be used: a file.
    pub fn new(
        address: ServerAddress,
        source: Option<SocketAddr>,
        tls: Option<&ServerTls>,
        name: Option<String>,
    ) -> Result<Self, String> {
        let connector = match tls {
            Some(tls) => Connector::noting(tls)?,
            None => Connector::noting(&ServerTls::default())?,
        };
        Ok(Self {
            address,
            source,
            name: name.filter(|_| tls.is_none()),
            connector,
        })
    }

    /// Visits the server; each step may take so long. Returns when the connection is closed.
    pub async fn visit(&self, plan: Plan, header: Option<Header>, step: Duration) -> Visited {
        let begun = Instant::now();
        let patience = Patience {
            until: begun + step * (Step::ALL.len() + 2 * plan.envelopes.len()) as u32,
            connect: begun + step,
            step: Some(step),
        };
        let tls = || {
            let asked = Asked {
                name: self.name.as_deref(),
                alpn: &[],
            };
            self.connector.connect(&self.address, None, &asked)
        };
        let from = Cell::new(None);
        let (visit, call) = pay(plan, patience, words, self.dial(header, &from), tls).await;
        let visited = Visited {
            visit,
            from: from.get(),
            tls: call.as_ref().and_then(Call::tls_version),
        };
        if let Some(call) = call {
            // QUIT was said, where there was anybody to hear it.
            part(call, None).await;
        }
        visited
    }

    /// Connects, tells `from` our own end, and says the header.
    async fn dial(
        &self,
        header: Option<Header>,
        from: &Cell<Option<SocketAddr>>,
    ) -> io::Result<Call> {
        let mut call = Call::server(&self.address, self.source).await?;
        let ends = call.ends();
        from.set(ends.map(|(here, _)| here));
        if let Some(Header { kind, client }) = header {
            let addresses = Some(&Addresses {
                source: client,
                // A unix socket has none, and the client's is one.
                destination: ends.map_or(client, |(_, there)| there),
            });
            call.write_all(&header::in_clear(kind, addresses)).await?;
        }
        Ok(call)
    }

    /// The certificate the server has shown, and what is wrong with it.
    pub fn certificate(&self) -> Option<(Seen, Option<&'static str>)> {
        let seen = self.connector.seen()?;
        Some((seen, self.connector.fault()))
    }
}
