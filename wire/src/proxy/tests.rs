use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn addresses(source: &str, destination: &str) -> Addresses {
    let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
    Addresses {
        source: parse(source),
        destination: parse(destination),
    }
}

fn v1(addresses: Option<&Addresses>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_v1(addresses, &mut out);
    out
}

fn v2(addresses: Option<&Addresses>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_v2(addresses, &Extras::default(), &mut out);
    out
}

fn complete(header: Header, length: usize) -> Result<Parsed, Error> {
    Ok(Parsed::Complete { header, length })
}

#[test]
fn v1_is_written_as_haproxy_writes_it() {
    let v4 = addresses("192.0.2.1:1025", "192.0.2.2:25");
    assert_eq!(v1(Some(&v4)), b"PROXY TCP4 192.0.2.1 192.0.2.2 1025 25\r\n");
    let mixed = addresses("[2001:db8::1]:1025", "192.0.2.2:25");
    assert_eq!(
        v1(Some(&mixed)),
        b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 1025 25\r\n"
    );
    assert_eq!(v1(None), b"PROXY UNKNOWN\r\n");
}

#[test]
fn v2_local_is_sixteen_bytes() {
    let local = v2(None);
    assert_eq!(local.len(), 16);
    assert_eq!(&local[12..], b"\x20\0\0\0");
    assert_eq!(parse(&local), complete(Header::Local, 16));
}

#[test]
fn what_is_no_header_is_refused_at_once() {
    for bytes in [
        &b"EHLO x\r\n"[..],
        b"PROXI ",
        b"\r\n\r\n\0\r\nQUIX",
        b"\x16\x03\x01",
    ] {
        assert_eq!(parse(bytes), Err(Error::NotAHeader), "{bytes:?}");
    }
}

#[test]
fn v1_lines_are_strict() {
    let bad = [
        "PROXY TCP4 192.0.2.1 192.0.2.2 1025\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1025 25 9\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +5 25\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 05 25\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 5 25\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 5 25\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 5 25\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 5 25\r\n",
        "PROXY \r\n",
    ];
    for line in bad {
        assert_eq!(parse(line.as_bytes()), Err(Error::Invalid), "{line:?}");
    }
}

#[test]
fn unknown_is_taken_with_or_without_a_tail() {
    assert_eq!(parse(b"PROXY UNKNOWN\r\nEHLO"), complete(Header::Local, 15));
    let tail = b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n";
    assert_eq!(parse(tail), complete(Header::Local, tail.len()));
}

#[test]
fn a_line_without_end_is_refused_at_107_bytes() {
    let mut line = b"PROXY UNKNOWN ".to_vec();
    line.resize(106, b'x');
    assert_eq!(parse(&line), Ok(Parsed::Incomplete));
    line.push(b'x');
    assert_eq!(parse(&line), Err(Error::Invalid));
}

#[test]
fn v2_of_other_families_keeps_the_real_addresses() {
    let with = |version: u8, family: u8, rest: &[u8]| {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend_from_slice(&[version, family, 0, u8::try_from(rest.len()).expect("short")]);
        bytes.extend_from_slice(rest);
        bytes
    };
    for family in [0x00, 0x12, 0x22, 0x31, 0x32, 0xff] {
        let bytes = with(0x21, family, &[7; 20]);
        assert_eq!(parse(&bytes), complete(Header::Local, 36), "{family:#x}");
    }
    assert_eq!(
        parse(&with(0x20, 0x11, &[1; 12])),
        complete(Header::Local, 28)
    );
    assert_eq!(parse(&with(0x22, 0x11, &[1; 12])), Err(Error::Unhandled));
    assert_eq!(parse(&with(0x11, 0x11, &[1; 12])), Err(Error::Unhandled));
    assert_eq!(parse(&with(0x21, 0x11, &[1; 11])), Err(Error::Invalid));
}

#[test]
fn tlvs_must_fit_and_a_checksum_must_be_right() {
    let with = |tlvs: &[u8]| {
        let mut bytes = v2(Some(&addresses("192.0.2.1:1025", "192.0.2.2:25")));
        let length = u16::try_from(12 + tlvs.len()).expect("short");
        bytes[14..16].copy_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(tlvs);
        bytes
    };
    assert!(parse(&with(&[0x04, 0, 2, 1, 2])).is_ok());
    assert_eq!(parse(&with(&[0x04, 0, 3, 1, 2])), Err(Error::Invalid));
    assert_eq!(parse(&with(&[0x04, 0])), Err(Error::Invalid));
    assert_eq!(
        parse(&with(&[&[0x05, 0, 129][..], &[b'x'; 129]].concat())),
        Err(Error::Invalid)
    );
    let mut summed = with(&[0x03, 0, 4, 0, 0, 0, 0]);
    assert_eq!(parse(&summed), Err(Error::Invalid));
    let sum = tlv::crc32c(summed.iter()).to_be_bytes();
    summed[31..].copy_from_slice(&sum);
    assert!(parse(&summed).is_ok());
}

#[test]
fn crc32c_of_the_usual_example() {
    assert_eq!(tlv::crc32c(b"123456789".iter()), 0xe306_9283);
}

#[test]
fn the_authority_of_a_header_is_found() {
    let addresses = addresses("192.0.2.1:1025", "[2001:db8::2]:25");
    let with = |addresses, authority| {
        let extras = Extras {
            crc32c: true,
            authority,
            ..Extras::default()
        };
        let mut out = Vec::new();
        encode_v2(addresses, &extras, &mut out);
        out
    };
    let name = Some(&b"mx.example.com"[..]);
    assert_eq!(authority(&with(Some(&addresses), name)), name);
    assert_eq!(
        authority(&with(Some(&addresses), Some(b""))),
        Some(&b""[..])
    );
    assert_eq!(authority(&with(Some(&addresses), None)), None);
    assert_eq!(authority(&with(None, name)), None);
    assert_eq!(
        authority(b"PROXY TCP4 192.0.2.1 192.0.2.2 1025 25\r\n"),
        None
    );
}

/// Extras with every choice made at random; texts are leaked, there are few.
fn any_extras() -> impl Strategy<Value = Extras<'static>> {
    fn bytes() -> impl Strategy<Value = Option<&'static [u8]>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..300);
        prop::option::of(bytes.prop_map(|bytes| &*bytes.leak()))
    }
    fn text() -> impl Strategy<Value = Option<&'static str>> {
        prop::option::of("[ -~]{0,150}".prop_map(|text| &*text.leak()))
    }
    let certificate = prop::option::of(prop::sample::select(vec![
        Presented::InConnection,
        Presented::InSession,
    ]));
    let ssl = (text(), certificate, text(), text(), text(), text());
    let ssl = ssl.prop_map(
        |(version, certificate, common_name, key, signature, cipher)| Ssl {
            version,
            certificate,
            common_name,
            key,
            signature,
            cipher,
        },
    );
    let all = (
        any::<bool>(),
        bytes(),
        bytes(),
        any::<bool>(),
        prop::option::of(ssl),
    );
    all.prop_map(|(crc32c, alpn, authority, unique_id, ssl)| Extras {
        crc32c,
        alpn,
        authority,
        unique_id,
        ssl,
    })
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn what_is_written_is_read(source in any_address(), destination in any_address()) {
        let sent = Addresses { source, destination };
        let (source, destination) = same_family(&sent);
        let expected = Header::Proxied(Addresses { source, destination });
        for bytes in [v1(Some(&sent)), v2(Some(&sent))] {
            prop_assert_eq!(parse(&bytes), complete(expected, bytes.len()));
            for cut in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..cut]), Ok(Parsed::Incomplete));
            }
        }
    }

    /// The oracles read what we write as we meant it.
    #[test]
    fn other_implementations_agree(source in any_address(), destination in any_address()) {
        let sent = Addresses { source, destination };
        let (source, destination) = same_family(&sent);
        let line = v1(Some(&sent));
        let theirs = ppp::v1::Header::try_from(&line[..]).expect("ppp reads v1");
        let (s, d) = match theirs.addresses {
            ppp::v1::Addresses::Tcp4(a) => (
                SocketAddr::new(a.source_address.into(), a.source_port),
                SocketAddr::new(a.destination_address.into(), a.destination_port),
            ),
            ppp::v1::Addresses::Tcp6(a) => (
                SocketAddr::new(a.source_address.into(), a.source_port),
                SocketAddr::new(a.destination_address.into(), a.destination_port),
            ),
            ppp::v1::Addresses::Unknown => return Err(TestCaseError::fail("unknown")),
        };
        prop_assert_eq!((s, d), (source, destination));
        for bytes in [line, v2(Some(&sent))] {
            let (theirs, length) = proxy_header::ProxyHeader::parse(&bytes, Default::default())
                .expect("proxy-header reads it");
            prop_assert_eq!(length, bytes.len());
            let pair = theirs.proxied_address().map(|a| (a.source, a.destination));
            prop_assert_eq!(pair, Some((source, destination)));
        }
    }

    #[test]
    fn nothing_panics_and_more_bytes_do_not_change_a_verdict(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        start in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"]),
    ) {
        let bytes = [start, &bytes].concat();
        let whole = parse(&bytes);
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(Parsed::Incomplete) => {}
                settled => { prop_assert_eq!(settled, whole); break; }
            }
        }
    }

    /// What is told is taken by our own reader, and means to another what was meant.
    #[test]
    fn extras_are_read_as_they_were_meant(
        source in any_address(), destination in any_address(), proxied: bool, extras in any_extras(), at: usize, bit in 0u8..8,
    ) {
        let sent = Addresses { source, destination };
        let mut bytes = Vec::new();
        encode_v2(proxied.then_some(&sent), &extras, &mut bytes);
        let (source, destination) = same_family(&sent);
        let header = match proxied {
            true => Header::Proxied(Addresses { source, destination }),
            false => Header::Local,
        };
        prop_assert_eq!(parse(&bytes), complete(header, bytes.len()));
        let short = |value: Option<&'static [u8]>| value.filter(|value| value.len() <= 255);
        let told = short(extras.authority);
        prop_assert_eq!(authority(&bytes), told.filter(|_| proxied));

        let (theirs, _) = proxy_header::ProxyHeader::parse(&bytes, Default::default()).expect("proxy-header reads it");
        prop_assert_eq!(theirs.alpn(), short(extras.alpn));
        prop_assert_eq!(theirs.unique_id().is_some(), extras.unique_id);
        prop_assert_eq!(theirs.crc32c().is_some(), extras.crc32c);
        prop_assert_eq!(theirs.ssl().is_some(), extras.ssl.is_some());
        if let (Some(theirs), Some(ours)) = (theirs.ssl(), extras.ssl) {
            let short = |text: Option<&'static str>| text.filter(|text| text.len() <= 128);
            prop_assert_eq!(theirs.version(), short(ours.version));
            prop_assert_eq!(theirs.client_ssl(), ours.version.is_some());
            prop_assert_eq!(theirs.client_cert_sess(), ours.certificate.is_some());
            prop_assert_eq!(theirs.client_cert_conn(), ours.certificate == Some(Presented::InConnection));
            prop_assert_eq!(theirs.verify(), 0);
            prop_assert_eq!(theirs.cn(), short(ours.common_name));
            prop_assert_eq!(theirs.key_alg(), short(ours.key));
            prop_assert_eq!(theirs.sig_alg(), short(ours.signature));
            prop_assert_eq!(theirs.cipher(), short(ours.cipher));
        }

        // With a checksum no bit of addresses and extras may change.
        if extras.crc32c && proxied {
            let at = 16 + at % (bytes.len() - 16);
            bytes[at] ^= 1 << bit;
            let read = parse(&bytes);
            let kind_of_the_checksum = 16 + if source.is_ipv4() { 12 } else { 36 };
            if at != kind_of_the_checksum {
                prop_assert_eq!(read, Err(Error::Invalid), "byte {}", at);
            }
        }
    }
}
