//! A password: in memory that is wiped, and in no message.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes it over.
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    /// The text, for whoever has to say it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
