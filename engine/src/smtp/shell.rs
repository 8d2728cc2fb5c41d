//! What the dialogue asks of its shell, and what it tells it ([`wire::smtp::Shell`]).

use wire::smtp::{Capabilities, Count, Login, Origin, Parting, Reach, Record, ServerId, Shell};

use super::store::Store;
use super::{Wire, line};
use crate::health::Sight;

impl Shell for Wire<'_> {
    fn to_client(&mut self, bytes: &[u8]) {
        self.client.give(bytes);
    }

    fn to_server(&mut self, bytes: &[u8]) {
        if let Some(server) = &mut self.server {
            server.give(bytes);
        }
    }

    fn secret_to_server(&mut self, bytes: &[u8]) {
        if let Some(server) = &mut self.server {
            server.give_secret(bytes);
        }
    }

    fn release_server(&mut self, parting: Parting) {
        self.release(parting);
    }

    fn server_is_stuck(&mut self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|server| !server.is_empty())
    }

    fn permits(&mut self, more: usize) -> bool {
        self.worker.process.journals.permits(more as u64)
    }

    fn spool(&mut self, bytes: &[u8]) -> bool {
        let process = &self.worker.process;
        let store = self
            .store
            .get_or_insert_with(|| Box::new(Store::new(process)));
        store.append(bytes, &self.offered, &self.worker.mail)
    }

    fn unspool(&mut self, at: u64, length: usize) -> bool {
        let (Some(store), Some(server)) = (&self.store, &mut self.server) else {
            return false;
        };
        let mut piece = vec![0; length];
        let whole = store.read(at, &mut piece);
        if whole {
            server.give(&piece);
        }
        whole
    }

    fn discard_spool(&mut self) {
        if let Some(store) = self.store.take() {
            store.discard(&self.worker.mail);
        }
    }

    fn reach(&self) -> Reach {
        self.how_reached()
    }

    fn origin(&self) -> Origin {
        self.whom_for()
    }

    fn may_log_in(&mut self, name: Option<&str>) -> bool {
        self.admits(name)
    }

    fn login(&mut self, login: &Login<'_>) {
        self.note_login(login);
    }

    fn learned(&mut self, server: ServerId, offer: Capabilities) {
        if let Some(back) = self.session.farm() {
            back.learn_offer(server as usize, offer);
        }
    }

    fn record(&mut self, record: Box<Record>) {
        if let Some(mail) = self.session.farm().and_then(|back| back.mail.as_ref()) {
            let totals = mail.totals.at(self.worker.id);
            totals.ended(record.outcome, record.size, record.accepted);
        }
        line::tell(self.worker, self.session, &record);
    }

    fn count(&mut self, what: Count) {
        match what {
            Count::Reply { .. } => {
                self.searches = 0;
                self.failed = Vec::new();
            }
            Count::Untold => self.report(Sight::Untold),
            _ => {}
        }
        if let Some(mail) = self.session.farm().and_then(|back| back.mail.as_ref()) {
            mail.count(self.worker.id, what);
        }
    }
}
