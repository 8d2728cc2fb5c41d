//! Posthouse's configuration: the text of haproxy.cfg to a validated, immutable [`model::Model`].
//!
//! Text -> words (`lexer`) -> sections (`section`) -> declarations (`keyword`, one row each, recorded in a
//! `draft`) -> names resolved and rules between keywords checked (`resolve`) -> the model. Errors add up;
//! each names file, line, word and a way out.

pub mod acl;
mod added;
mod certificate;
pub mod condition;
pub mod diagnostic;
mod draft;
mod env;
mod keyword;
mod lexer;
mod lint;
mod load;
pub mod model;
mod reference;
mod resolve;
mod secret;
mod section;
pub mod units;

pub use added::added_server;
pub use certificate::certificate_options;
pub use env::Lookup;
pub use keyword::address::Resolver;
pub use lint::advise;
pub use load::{Loaded, Source, load, load_sources};
pub use reference::reference;
