use proptest::prelude::*;

use super::*;

/// A hello as a message, with these extensions.
fn message(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, content) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend((content.len() as u16).to_be_bytes());
        list.extend(content);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((list.len() as u16).to_be_bytes());
    body.extend(list);
    let mut message = vec![CLIENT_HELLO];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

/// The message in records of at most that many octets.
fn records(message: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for part in message.chunks(most) {
        out.extend([HANDSHAKE, 3, 1]);
        out.extend((part.len() as u16).to_be_bytes());
        out.extend(part);
    }
    out
}

fn named(name: &str) -> (u16, Vec<u8>) {
    let mut content = Vec::new();
    content.extend((name.len() as u16 + 3).to_be_bytes());
    content.push(0);
    content.extend((name.len() as u16).to_be_bytes());
    content.extend(name.as_bytes());
    (0, content)
}

fn speaks(protocols: &[&str]) -> (u16, Vec<u8>) {
    let list: Vec<u8> = protocols
        .iter()
        .flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat())
        .collect();
    (16, [&(list.len() as u16).to_be_bytes()[..], &list].concat())
}

#[test]
fn a_hello_tells_what_is_asked_for() {
    let extensions = [
        (23, Vec::new()),
        named("Mail.Example.com"),
        speaks(&["smtp", "imap"]),
        (42, Vec::new()),
    ];
    let bytes = records(&message(&extensions), 1 << 14);
    let hello = ClientHello {
        server_name: Some("Mail.Example.com".into()),
        protocols: vec!["smtp".into(), "imap".into()],
        early_data: true,
    };
    assert_eq!(parse(&bytes), Seen::This(hello));
    assert_eq!(handshake_type(&bytes[..5]), Seen::More);
    assert_eq!(handshake_type(&bytes[..6]), Seen::This(CLIENT_HELLO));
    let bare = records(&message(&[]), 1 << 14);
    assert_eq!(parse(&bare), Seen::This(ClientHello::default()));
}

#[test]
fn what_is_no_hello_is_known_at_once() {
    let hello = records(&message(&[named("a")]), 1 << 14);
    let with = |at: usize, byte: u8| {
        let mut bytes = hello.clone();
        bytes[at] = byte;
        bytes
    };
    let long = [&[22, 3, 1, 0x40, 1][..], &[1; 20]].concat();
    for bytes in [
        b"EHLO".to_vec(),
        b"\x16".iter().chain(b"\x02").copied().collect(),
        vec![22, 3, 1, 0, 0],
        long,
        with(0, 23),
        // Another message, a length beyond all bounds, a list that is longer than what holds it.
        with(5, 2),
        with(6, 1),
        with(hello.len() - 3, 200),
    ] {
        assert_eq!(parse(&bytes), Seen::Other, "{bytes:02x?}");
    }
    // The second record is another kind of record.
    let mut two = records(&message(&[named("a")]), 30);
    two[35] = 21;
    assert_eq!(parse(&two), Seen::Other);
    assert_eq!(handshake_type(&two), Seen::This(CLIENT_HELLO));
    // A name that would break a log line is none.
    let odd = records(&message(&[named("a\nb")]), 1 << 14);
    assert_eq!(parse(&odd), Seen::This(ClientHello::default()));
}

#[test]
fn our_own_hello_is_one() {
    assert_eq!(parse(&plain()), Seen::This(ClientHello::default()));
}

proptest! {
    /// However a hello is cut into records and pieces, it tells the same, and not before it is there.
    #[test]
    fn cuts_change_nothing(name in "[a-z.]{1,60}", most in 1_usize..200, early: bool, behind: Vec<u8>) {
        let mut extensions = vec![named(&name)];
        if early {
            extensions.push((42, Vec::new()));
        }
        let mut bytes = records(&message(&extensions), most);
        for end in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..end]), Seen::More);
        }
        bytes.extend(behind);
        let hello = ClientHello { server_name: Some(name), protocols: Vec::new(), early_data: early };
        prop_assert_eq!(parse(&bytes), Seen::This(hello));
    }

    /// A verdict stands, whatever follows.
    #[test]
    fn nothing_is_taken_back(bytes: Vec<u8>, at: usize, byte: u8) {
        let mut broken = records(&message(&[named("mx.example.com"), speaks(&["x"])]), 60);
        let place = at % broken.len();
        broken[place] = byte;
        for stream in [bytes, broken] {
            for end in 0..stream.len() {
                if parse(&stream[..end]) != Seen::More {
                    prop_assert_eq!(parse(&stream[..end]), parse(&stream));
                }
                if handshake_type(&stream[..end]) != Seen::More {
                    prop_assert_eq!(handshake_type(&stream[..end]), handshake_type(&stream));
                }
            }
        }
    }
}
