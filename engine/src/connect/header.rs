//! The PROXY header that a server gets before anything else: of a session, and of a check.

use config::model::{ProxyHeader, ProxyOptions};
use wire::proxy::{self, Addresses, Extras, Ssl};

use super::destination;
use crate::prelude::Client;
use crate::server::Server;
use crate::session::{Peer, Session};
use crate::tls::Stream;

/// A session's; empty where the server takes none.
pub(super) fn of_session(session: &Session, server: &Server, client: &Client) -> Vec<u8> {
    let mut header = Vec::new();
    let Some(kind) = server.conf.send_proxy else {
        return header;
    };
    let addresses = match (session.client, destination(session, client)) {
        (Peer::Ip(source), Some(destination)) => Some(Addresses {
            source,
            destination,
        }),
        _ => None,
    };
    match kind {
        ProxyHeader::V1 => proxy::encode_v1(addresses.as_ref(), &mut header),
        ProxyHeader::V2(options) => {
            let tls = client.tls.as_ref().map(|tls| tls.borrow());
            let told = session.told.as_ref().map(|told| &*told.authority);
            tell(options, told, tls.as_deref(), |extras| {
                proxy::encode_v2(addresses.as_ref(), extras, &mut header);
            });
        }
    }
    header
}

/// A check's, which has those addresses: in version 2 it says LOCAL.
pub(crate) fn of_check(kind: ProxyHeader, addresses: Option<&Addresses>) -> Vec<u8> {
    match kind {
        ProxyHeader::V1 => in_clear(kind, addresses),
        ProxyHeader::V2(_) => in_clear(kind, None),
    }
}

/// That of a connection whose client is invented, or is not there: it has no TLS.
pub(crate) fn in_clear(kind: ProxyHeader, addresses: Option<&Addresses>) -> Vec<u8> {
    let mut header = Vec::new();
    match kind {
        ProxyHeader::V1 => proxy::encode_v1(addresses, &mut header),
        ProxyHeader::V2(options) => {
            let options = ProxyOptions {
                unique_id: false,
                ..options
            };
            tell(options, None, None, |extras| {
                proxy::encode_v2(addresses, extras, &mut header);
            });
        }
    }
    header
}

/// Gathers what is to be told of a client: what a PROXY header of its own told goes before what its TLS knows.
fn tell(
    options: ProxyOptions,
    authority: Option<&[u8]>,
    tls: Option<&Stream>,
    encode: impl FnOnce(&Extras<'_>),
) {
    let name = || tls.and_then(Stream::server_name).map(str::as_bytes);
    let peer = tls.filter(|_| options.common_name).and_then(Stream::peer);
    let own = tls.and_then(Stream::own);
    let ssl = options.ssl.then(|| Ssl {
        version: tls.and_then(Stream::version),
        certificate: tls.and_then(Stream::presented),
        common_name: peer.as_ref().and_then(|peer| peer.common_name.as_deref()),
        // Other keys than these have no size to tell.
        key: own
            .map(|own| own.algorithm.as_str())
            .filter(|name| options.key && (name.starts_with("RSA") || name.starts_with("EC"))),
        signature: own
            .and_then(|own| own.signature)
            .filter(|_| options.signature),
        cipher: tls.and_then(Stream::cipher).filter(|_| options.cipher),
    });
    encode(&Extras {
        crc32c: options.crc32c,
        alpn: tls.and_then(Stream::alpn),
        authority: options.authority.then(|| authority.or_else(name)).flatten(),
        unique_id: options.unique_id,
        ssl,
    });
}
