//! `userlist`: who may see pages (CFG 12.4).

use super::{ANY, Args, Keyword, USERLIST};
use crate::diagnostic::{At, Fault};
use crate::model::{User, UserList};

type Row = Keyword<UserListDraft>;

/// A section while it is read.
#[derive(Debug, Default)]
pub(crate) struct UserListDraft {
    pub(crate) list: UserList,
    /// Groups, with the users their lines name: these may stand further down.
    pub(crate) groups: Vec<(String, Vec<At<String>>)>,
    /// Groups that `user` lines name.
    pub(crate) named: Vec<At<String>>,
}

impl UserListDraft {
    pub(crate) fn new(name: &str) -> Self {
        let mut draft = Self::default();
        name.clone_into(&mut draft.list.name);
        draft
    }
}

/// Lines of a userlist.
pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "group",
        USERLIST,
        "<name> [users <user>,...]",
        (1, 3),
        group,
        "A group, and who is in it.",
    ),
    Row::new(
        "user",
        USERLIST,
        "<name> [insecure-password <password>] [groups <group>,...]",
        (1, ANY),
        user,
        "A user. Keep the file from the eyes of others: `password`, with a hash, is not supported yet.",
    ),
];

fn group(args: &mut Args<'_>, draft: &mut UserListDraft) -> Result<(), Fault> {
    let name = args.word()?;
    if draft.groups.iter().any(|(known, _)| *known == name.text) {
        let text = format!("group '{}' is already there.", name.text);
        return Err(Fault::new("duplicate-group", text).on(&name.span));
    }
    let mut users = Vec::new();
    if args.take("users") {
        users = names(args)?;
    }
    draft.groups.push((name.text.clone(), users));
    args.end()
}

fn user(args: &mut Args<'_>, draft: &mut UserListDraft) -> Result<(), Fault> {
    let name = args.word()?;
    if draft.list.users.iter().any(|known| known.name == name.text) {
        let text = format!("user '{}' is already there.", name.text);
        return Err(Fault::new("duplicate-user", text).on(&name.span));
    }
    let mut user = User {
        name: name.text.clone(),
        password: None,
        groups: Vec::new(),
    };
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "insecure-password" => user.password = Some(args.text()?),
            "password" => {
                let text = "'password', with a hash, is not supported by Posthouse yet.";
                return Err(Fault::new("not-yet", text)
                    .on(&word.span)
                    .help("write 'insecure-password', in a file that only root may read"));
            }
            "groups" => {
                let groups = names(args)?;
                user.groups = groups.iter().map(|group| group.value.clone()).collect();
                draft.named.extend(groups);
            }
            other => {
                let text = format!("unknown word '{other}' in a 'user' line.");
                return Err(Fault::new("unknown-keyword", text)
                    .on(&word.span)
                    .help("there are insecure-password and groups"));
            }
        }
    }
    draft.list.users.push(user);
    Ok(())
}

/// `a,b`.
fn names(args: &mut Args<'_>) -> Result<Vec<At<String>>, Fault> {
    let word = args.word()?;
    let names = word.text.split(',').filter(|name| !name.is_empty());
    Ok(names
        .map(|name| args.placed(name.to_owned(), word))
        .collect())
}
