//! The proxies at run time: built once from the model, read by everyone.

use std::sync::Arc;

use config::model::{self, Model};

use crate::backend::Backend;
use crate::frontend::Frontend;
use crate::log::Logger;
use crate::stick::Table;
use crate::tls::Tls;

/// All proxies.
#[derive(Debug)]
pub struct Topology {
    /// What it was built from.
    pub model: Arc<Model>,
    /// In the order of [`Model::proxies`]; indices of the model hold here.
    pub proxies: Vec<Arc<Proxy>>,
    /// Certificates, and what is made of them.
    pub tls: Arc<Tls>,
}

/// A frontend, backend or listen at run time.
#[derive(Debug)]
pub struct Proxy {
    /// Its place in the topology.
    pub index: usize,
    /// What takes connections.
    pub front: Option<Frontend>,
    /// What has servers.
    pub back: Option<Backend>,
    /// Its stick table; other proxies may use it too.
    pub table: Option<Table>,
    pub(crate) logger: Arc<Logger>,
    model: Arc<Model>,
}

impl Proxy {
    /// Its section.
    pub fn conf(&self) -> &model::Proxy {
        &self.model.proxies[self.index]
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.conf().name
    }
}

impl Topology {
    /// Builds the run-time side of a model for so many workers. `maxconn` is the process's limit.
    pub(crate) fn build(model: &Arc<Model>, tls: Arc<Tls>, maxconn: u32, workers: usize) -> Self {
        let global = &model.global;
        let proxies = (0..model.proxies.len())
            .map(|index| {
                let conf = &model.proxies[index];
                let tag = conf.log_tag.as_deref().or(global.log_tag.as_deref());
                let logger = Logger::new(&conf.log, tag, global.log_send_hostname.as_deref());
                Arc::new(Proxy {
                    index,
                    front: conf
                        .front
                        .as_ref()
                        .map(|front| Frontend::new(front, maxconn, workers)),
                    back: conf.back.as_ref().map(|back| {
                        let fullconn = full_connections(model, index, maxconn);
                        Backend::new(back, fullconn, workers, &tls)
                    }),
                    table: conf.stick_table.as_ref().map(Table::new),
                    logger: Arc::new(logger),
                    model: Arc::clone(model),
                })
            })
            .collect();
        Self {
            model: Arc::clone(model),
            proxies,
            tls,
        }
    }

    /// The proxy of that name, or `#<id>`.
    pub fn find(&self, name: &str) -> Option<&Arc<Proxy>> {
        let id = name.strip_prefix('#').and_then(|id| id.parse::<u32>().ok());
        self.proxies.iter().find(|proxy| match id {
            Some(id) => proxy.conf().id == id,
            None => **proxy.name() == *name,
        })
    }
}

/// `fullconn`, by default 10 % of what the frontends that can reach the backend take, rounded up.
fn full_connections(model: &Model, backend: usize, maxconn: u32) -> u32 {
    let reach = |(index, proxy): (usize, &model::Proxy)| {
        let front = proxy.front.as_ref()?;
        let own = proxy.back.as_ref().map(|_| index);
        let own = own.filter(|_| front.default_backend.is_none());
        let reaches = front.backends().chain(own).any(|target| target == backend);
        reaches.then(|| front.maxconn.unwrap_or(maxconn))
    };
    let written = model.proxies[backend]
        .back
        .as_ref()
        .and_then(|back| back.fullconn);
    written.unwrap_or_else(|| {
        let sum: u32 = model.proxies.iter().enumerate().filter_map(reach).sum();
        sum.div_ceil(10).max(1)
    })
}
