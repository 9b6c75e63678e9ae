use proptest::prelude::*;

use super::*;

const COOKIES: u64 = 0x0102_0304_0506_0708;
const SIZE: usize = 56;

fn sent(version: Version, id: u16, sequence: u16, size: usize) -> Vec<u8> {
    let mut message = vec![7; 3];
    request(version, id, sequence, COOKIES, size, &mut message);
    message
}

/// Puts the sum of an IPv4 message right.
fn sum_up(version: Version, message: &mut [u8]) {
    if version == Version::V4 {
        message[2..4].fill(0);
        let sum = checksum(message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
}

/// What a host makes of a request: the type changed, the sum put right.
fn answer(version: Version, request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[0] = version.types().1;
    sum_up(version, &mut reply);
    reply
}

/// An IP packet with `message`, from nowhere to [`target`].
fn packet(version: Version, protocol: u8, message: &[u8]) -> Vec<u8> {
    let header = match target(version) {
        IpAddr::V4(ip) => {
            [[0x45, 0, 0, 84, 0, 0, 0, 0, 1, protocol].as_slice(), &[0; 6], &ip.octets()].concat()
        }
        IpAddr::V6(ip) => [[0x60, 0, 0, 0, 0, 64, protocol, 1].as_slice(), &[0; 16], &ip.octets()].concat(),
    };
    [&header, message].concat()
}

fn target(version: Version) -> IpAddr {
    match version {
        Version::V4 => IpAddr::from([192, 0, 2, 7]),
        Version::V6 => "2001:db8::7".parse().unwrap(),
    }
}

/// An error of `kind` and `code` about the first `quoted` bytes of a packet.
fn error(version: Version, [kind, code]: [u8; 2], quoted: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0, 0, 0, 0, 0], quoted].concat();
    sum_up(version, &mut message);
    message
}

#[test]
fn the_checksum_of_rfc_1071() {
    // The example of RFC 1071 section 3: the sum is ddf2, the checksum its complement.
    assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    assert_eq!(checksum(&[0x12]), !0x1200);
    assert_eq!(checksum(&[]), 0xffff);
}

#[test]
fn a_request_is_an_echo_request() {
    let request = sent(Version::V4, 0x1234, 0x0a0b, SIZE);
    assert_eq!(request[..2], [8, 0]);
    assert_eq!(request[4..8], [0x12, 0x34, 0x0a, 0x0b]);
    assert_eq!(request[8..24], [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((request.len(), checksum(&request)), (64, 0));
    assert_eq!(sent(Version::V6, 1, 2, SIZE)[..8], [128, 0, 0, 0, 0, 1, 0, 2]);
}

#[test]
fn a_payload_of_any_size_is_known_to_the_byte() {
    for size in [8, 9, 15, 16, 56, 1473, 65_507] {
        let message = sent(Version::V4, 1, 2, size);
        let payload = &message[HEADER..];
        assert_eq!(payload.len(), size);
        assert!(carries(payload, COOKIES), "{size}");
        assert!(!carries(payload, COOKIES + 1), "{size}");
        let mut changed = payload.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert!(!carries(&changed, COOKIES), "{size}");
        assert!(HEADER + size < room(size) - LONGEST_IP_HEADER);
    }
}

#[test]
fn a_reply_is_read_and_only_a_reply() {
    for version in Version::ALL {
        let sent = sent(version, 0x1234, 0x0a0b, SIZE);
        assert_eq!(read(version, &sent), None, "one's own request, seen on the loopback");
        let good = answer(version, &sent);
        let Some(Message::Reply(echo)) = read(version, &good) else { panic!("{good:?}") };
        assert_eq!((echo.id, echo.sequence, echo.payload), (0x1234, 0x0a0b, &sent[HEADER..]));
        for cut in 0..HEADER {
            assert_eq!(read(version, &good[..cut]), None, "{cut} bytes");
        }
        let mut coded = good.clone();
        coded[1] = 1;
        sum_up(version, &mut coded);
        assert_eq!(read(version, &coded), None);
    }
}

#[test]
fn damage_on_the_way_is_seen() {
    let good = answer(Version::V4, &sent(Version::V4, 1, 2, SIZE));
    let quoted = packet(Version::V4, 1, &sent(Version::V4, 1, 2, SIZE));
    for good in [good, error(Version::V4, [3, 1], &quoted)] {
        assert!(read(Version::V4, &good).is_some());
        for at in 1..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(read(Version::V4, &bad), None, "byte {at}");
        }
        assert_eq!(read(Version::V4, &good[..good.len() - 1]), None);
    }
}

#[test]
fn an_error_names_the_request_it_is_about() {
    for (version, code) in [(Version::V4, [3, 1]), (Version::V6, [1, 3])] {
        let request = sent(version, 0x1234, 0x0a0b, SIZE);
        let quoted = packet(version, version.protocol(), &request);
        let header = quoted.len() - request.len();
        for length in 0..=quoted.len() {
            let message = error(version, code, &quoted[..length]);
            let expected = (length >= header + HEADER).then(|| {
                let payload = &request[HEADER..length - header];
                let echo = Echo { id: 0x1234, sequence: 0x0a0b, payload };
                Message::Error(ErrorKind::Unreachable, target(version), echo)
            });
            assert_eq!(read(version, &message), expected, "{length} bytes");
        }
        let another = packet(version, 17, &request);
        assert_eq!(read(version, &error(version, code, &another)), None, "about UDP");
        let reply = packet(version, version.protocol(), &answer(version, &request));
        assert_eq!(read(version, &error(version, code, &reply)), None, "about somebody's reply");
    }
}

#[test]
fn the_first_fragment_of_a_large_request_is_known() {
    let request = sent(Version::V6, 1, 2, 2000);
    let quoted = |offset: [u8; 2]| {
        let header = [58, 0, offset[0], offset[1], 0, 0, 0, 9];
        error(Version::V6, [1, 1], &packet(Version::V6, FRAGMENT, &[&header, &request[..500]].concat()))
    };
    let first = quoted([0, 1]);
    let Some(Message::Error(ErrorKind::Prohibited, _, echo)) = read(Version::V6, &first) else {
        panic!("{first:?}")
    };
    assert_eq!((echo.id, echo.sequence), (1, 2));
    assert_eq!(read(Version::V6, &quoted([0, 8])), None, "a later one begins anywhere");
}

#[test]
fn errors_are_told_apart() {
    use ErrorKind::*;
    let cases = [
        (Version::V4, 3, 0, Some(Unreachable)),
        (Version::V4, 3, 1, Some(Unreachable)),
        (Version::V4, 3, 4, Some(TooBig)),
        (Version::V4, 3, 9, Some(Prohibited)),
        (Version::V4, 3, 10, Some(Prohibited)),
        (Version::V4, 3, 13, Some(Prohibited)),
        (Version::V4, 11, 0, Some(TtlExceeded)),
        (Version::V4, 11, 1, Some(Other)),
        (Version::V4, 12, 0, Some(Other)),
        (Version::V4, 5, 0, None),
        (Version::V4, 8, 0, None),
        (Version::V6, 1, 0, Some(Unreachable)),
        (Version::V6, 1, 1, Some(Prohibited)),
        (Version::V6, 1, 3, Some(Unreachable)),
        (Version::V6, 1, 5, Some(Prohibited)),
        (Version::V6, 2, 0, Some(TooBig)),
        (Version::V6, 3, 0, Some(TtlExceeded)),
        (Version::V6, 4, 1, Some(Other)),
        (Version::V6, 134, 0, None),
    ];
    for (version, kind, code, expected) in cases {
        assert_eq!(ErrorKind::of(version, kind, code), expected, "{version:?} {kind} {code}");
    }
}

#[test]
fn a_request_is_found_behind_any_link_s_header() {
    for version in Version::ALL {
        let request = sent(version, 1, 0x0a0b, SIZE);
        let cookie = |sequence| if sequence == 0x0a0b { COOKIES } else { 0 };
        for link in [0, 4, 14, 18] {
            // Bytes that look like the beginning of a request are no request.
            let mut frame = vec![version.types().0; link];
            frame.extend(packet(version, version.protocol(), &request));
            assert_eq!(find_request(version, &frame, cookie), Some(0x0a0b), "{link}");
            assert_eq!(find_request(version, &frame, |_| 1), None, "{link}");
            frame.truncate(frame.len() - SIZE + 7);
            assert_eq!(find_request(version, &frame, cookie), None, "{link}");
        }
    }
}

#[test]
fn an_ipv4_header_is_as_long_as_it_says_or_none() {
    let packet = |first: u8, length: usize| {
        let mut packet = vec![0; length];
        packet[0] = first;
        packet
    };
    assert_eq!(after_ipv4_header(&packet(0x45, 28)).map(<[u8]>::len), Some(8));
    assert_eq!(after_ipv4_header(&packet(0x4f, 64)).map(<[u8]>::len), Some(4));
    assert_eq!(after_ipv4_header(&packet(0x4f, 59)), None, "longer than the packet");
    assert_eq!(after_ipv4_header(&packet(0x44, 28)), None, "shorter than any header");
    assert_eq!(after_ipv4_header(&packet(0x65, 40)), None, "another version");
    assert_eq!(after_ipv4_header(&[]), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for version in Version::ALL {
            let _ = read(version, &bytes);
            let _ = after_ipv4_header(&bytes).and_then(|message| read(version, message));
            let _ = find_request(version, &bytes, |_| 1);
        }
    }

    #[test]
    fn no_error_panics(
        code in any::<[u8; 2]>(), cut in 0..120_usize, at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        for version in Version::ALL {
            let mut quoted = packet(version, version.protocol(), &sent(version, 1, 2, SIZE));
            quoted.truncate(cut);
            let mut message = error(version, code, &quoted);
            *at.get_mut(&mut message) = to;
            let _ = read(version, &message);
        }
    }
}
