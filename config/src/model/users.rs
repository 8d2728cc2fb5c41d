//! Who may see pages (CFG 12.4, `userlist`).

use std::fmt;

/// A `userlist` section.
#[derive(Debug, Clone, Default)]
pub struct UserList {
    /// Its name.
    pub name: String,
    /// Its users.
    pub users: Vec<User>,
}

/// A `user` line.
#[derive(Clone)]
pub struct User {
    /// The login.
    pub name: String,
    /// `insecure-password`; `None`: nobody can log in as this user.
    pub password: Option<String>,
    /// The groups it is in, by its own line or by a `group` line.
    pub groups: Vec<String>,
}

impl fmt::Debug for User {
    /// Without the password: this may end in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
