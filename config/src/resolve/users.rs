//! Userlists: groups and users that name each other, and the lists that conditions name.

use crate::diagnostic::{At, Fault, Report};
use crate::draft::ProxyDraft;
use crate::keyword::suggest;
use crate::keyword::userlist::UserListDraft;
use crate::model::UserList;

/// The lists, with every user in its groups.
pub(super) fn lists(drafts: Vec<UserListDraft>, report: &mut Report) -> Vec<UserList> {
    let mut lists = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut list = draft.list;
        for group in &draft.named {
            if !draft.groups.iter().any(|(name, _)| *name == group.value) {
                let text = format!("userlist '{}': no group '{}'.", list.name, group.value);
                let fault = Fault::new("unknown-group", text);
                report.fault(&group.spot, fault.help("write a 'group' line for it"));
            }
        }
        for (group, users) in &draft.groups {
            for user in users {
                match list.users.iter_mut().find(|known| known.name == user.value) {
                    Some(known) => known.groups.push(group.clone()),
                    None => {
                        let text = format!("userlist '{}': no user '{}'.", list.name, user.value);
                        report.fault(&user.spot, Fault::new("unknown-user", text));
                    }
                }
            }
        }
        lists.push(list);
    }
    lists
}

/// What conditions name must be there.
pub(super) fn check_names(proxies: &[ProxyDraft], lists: &[UserList], report: &mut Report) {
    let lists: Vec<&str> = lists.iter().map(|list| &*list.name).collect();
    let backends = proxies.iter().filter(|proxy| proxy.has_servers());
    let backends: Vec<&str> = backends.map(|proxy| &*proxy.name.value).collect();
    for proxy in proxies {
        let settings = &proxy.settings;
        check("userlist", &settings.named_lists, &lists, report);
        check("backend", &settings.named_backends, &backends, report);
    }
}

fn check(what: &str, named: &[At<String>], known: &[&str], report: &mut Report) {
    for name in named.iter().filter(|name| !known.contains(&&*name.value)) {
        let hint = suggest::hint(&name.value, known.iter().copied());
        let text = format!("unable to find {what} '{}'{hint}", name.value);
        report.fault(&name.spot, Fault::new("unknown-name", text));
    }
}
