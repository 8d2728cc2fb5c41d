//! What the page's forms send, HAProxy's and ours (`application/x-www-form-urlencoded`). Pure.
//!
//! HAProxy's is `s=<server>` once or more, `b=<backend>` and `action=<what>`, in any order; a backend may be `#<id>`.

/// What a form asks for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Form {
    /// `s`, each.
    pub servers: Vec<String>,
    /// `b`.
    pub backend: Option<String>,
    /// `action`.
    pub action: Option<String>,
    /// Ours: `token`.
    pub token: Option<String>,
}

/// What is done, as the stats socket has it; `{}` is the server.
const ACTIONS: &[(&str, &str)] = &[
    ("ready", "set server {} state ready"),
    ("drain", "set server {} state drain"),
    ("maint", "set server {} state maint"),
    ("enable", "enable server {}"),
    ("disable", "disable server {}"),
    ("dhlth", "disable health {}"),
    ("ehlth", "enable health {}"),
    ("hrunn", "set server {} health up"),
    ("hnolb", "set server {} health stopping"),
    ("hdown", "set server {} health down"),
    ("dagent", "disable agent {}"),
    ("eagent", "enable agent {}"),
    ("arunn", "set server {} agent up"),
    ("adown", "set server {} agent down"),
    ("shutdown", "shutdown sessions server {}"),
];

impl Form {
    /// Reads it. What is not known is left out.
    pub fn parse(body: &str) -> Self {
        let mut form = Self::default();
        for pair in body.trim_end().split('&') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let value = decoded(value);
            match name {
                "s" => form.servers.push(value),
                "b" => form.backend = Some(value),
                "action" => form.action = Some(value),
                "token" => form.token = Some(value),
                // A button has room for one value: `<action> <backend> <server>`; names have no blanks.
                "do" => {
                    let mut words = value.split(' ').map(str::to_owned);
                    form.action = words.next();
                    form.backend = words.next();
                    form.servers.extend(words.next());
                }
                _ => {}
            }
        }
        form
    }

    /// The command of the stats socket for its action; `None`: there is no such action.
    pub fn command(&self) -> Option<&'static str> {
        let action = self.action.as_deref()?;
        let found = ACTIONS.iter().find(|(name, _)| *name == action);
        found.map(|(_, command)| *command)
    }
}

/// `+` is a blank, `%2F` a byte; what is not UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let digits = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes.get(..2)?).ok()?;
            // A sign is no digit.
            u8::from_str_radix(text, 16)
                .ok()
                .filter(|_| !text.starts_with('+'))
        };
        let (byte, left) = match (byte, digits(after)) {
            (b'%', Some(byte)) => (byte, &after[2..]),
            (b'+', _) => (b' ', after),
            (byte, _) => (*byte, after),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn haproxys_form_and_ours() {
        let form = Form::parse("s=s1&s=s%232&action=drain&b=%233");
        assert_eq!(form.servers, ["s1", "s#2"]);
        assert_eq!(form.backend.as_deref(), Some("#3"));
        assert_eq!(form.command(), Some("set server {} state drain"));
        let ours = Form::parse("token=t&do=maint+%233+s1\r\n");
        assert_eq!(ours.servers, ["s1"]);
        assert_eq!(ours.token.as_deref(), Some("t"));
        assert_eq!(ours.command(), Some("set server {} state maint"));
        assert_eq!(Form::parse("s=s1;action=ready;b=be").action, None);
        assert_eq!(Form::parse("action=bogus").command(), None);
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded("%+1"), "% 1");
    }

    proptest! {
        #[test]
        fn anything_is_read(body in ".*") {
            let form = Form::parse(&body);
            prop_assert!(form.servers.iter().map(String::len).sum::<usize>() <= 3 * body.len());
        }

        #[test]
        fn what_was_encoded_comes_back(text in ".{0,20}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decoded(&encoded), text);
        }
    }
}
