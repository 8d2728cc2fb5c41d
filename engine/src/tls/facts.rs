//! What a handshake has agreed on, in OpenSSL's words: for PROXY headers and log lines.

use std::cell::Cell;
use std::sync::Arc;

use rustls::{Connection, ProtocolVersion};
use wire::proxy::Presented;
use wire::x509::{self, Certificate};

use super::{Bundle, Stream, rules};

thread_local! {
    /// The library asks for a certificate in the middle of a handshake and does not say afterwards which it got; the
    /// session that has just fed it takes it from here.
    static SHOWN: Cell<Option<Arc<Bundle>>> = const { Cell::new(None) };
}

/// This one is shown to the client whose hello is looked at.
pub(super) fn show(bundle: &Arc<Bundle>) {
    SHOWN.set(Some(Arc::clone(bundle)));
}

/// The one that was shown since it was last asked.
pub(super) fn shown() -> Option<Arc<Bundle>> {
    SHOWN.take()
}

impl Stream {
    /// `TLSv1.3`.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self.connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        }
    }

    /// `TLS_AES_256_GCM_SHA384`.
    pub(crate) fn cipher(&self) -> Option<&'static str> {
        rules::cipher_name(self.connection.negotiated_cipher_suite()?)
    }

    /// The protocol within it that both know.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The name the client asked for.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match &*self.connection {
            Connection::Server(connection) => connection.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// When the other side presented a certificate; it was good.
    pub(crate) fn presented(&self) -> Option<Presented> {
        self.connection.peer_certificates()?;
        Some(match self.is_resumed() {
            true => Presented::InSession,
            false => Presented::InConnection,
        })
    }

    /// That certificate.
    pub(crate) fn peer(&self) -> Option<Certificate> {
        x509::parse(self.connection.peer_certificates()?.first()?)
    }

    /// The certificate that was shown to the client.
    pub(crate) fn own(&self) -> Option<&Certificate> {
        self.own.as_deref().map(|bundle| &bundle.leaf)
    }
}
