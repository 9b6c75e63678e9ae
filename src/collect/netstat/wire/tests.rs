use proptest::prelude::*;

use super::super::ports::PortRange;
use super::*;

const PORT: u32 = 3863;

/// What Linux 6.18 answered to `Walk::BothFamilies` on port 3863, both datagrams: listeners on 127.0.0.1:8080
/// and [::]:8081, an IPv4 connection in CLOSE_WAIT and FIN_WAIT1, an IPv4-mapped one in TIME_WAIT.
const SOCKETS: &str = "
    7c0000001200020001000000170f0000020a00001f9000007f000001000000000000000000000000000000000000000000000000
    00000000000000000b000000000000000000000000000000800000000000000012520100050008000000000008000f0000000000
    0c00150001000000000000000600160052000000
    840000001200020001000000170f00000a0a00001f91000000000000000000000000000000000000000000000000000000000000
    00000000000000000c0000000000000000000000000000008000000000000000fe4d0100050008000000000005000b0000000000
    08000f00000000000c00150001000000000000000600160012000000
    7c0000001200020001000000170f0000020800001f90ee0c7f0000010000000000000000000000007f0000010000000000000000
    00000000000000000d0000000000000000000000000000000000000000000000fd4d0100050008000100000008000f0000000000
    0c00150001000000000000000600160052000000
    7c0000001200020001000000170f000002040100ee0c1f907f0000010000000000000000000000007f0000010000000000000000
    00000000000000000e00000000000000cc00000000000000010000000000000000000000050008000300000008000f0000000000
    0c00150001000000000000000600160052000000
    600000001200020001000000170f00000a06030099341f9100000000000000000000ffff7f00000100000000000000000000ffff
    7f000001000000000f0000000000000060ea00000000000000000000000000000000000008000f0000000000";
const DONE: &str = "140000000300020001000000170f000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

const ALL: Request<'_> = Request { walk: Walk::BothFamilies, states: States::ALL, filter: None };

/// How a datagram ends, and its sockets.
fn read(datagram: &[u8]) -> Result<(Progress, Vec<Socket>), Error> {
    let mut sockets = Vec::new();
    let progress = Dump::new(&ALL, PORT).read(datagram, &mut |socket| sockets.push(*socket))?;
    Ok((progress, sockets))
}

fn malformed(datagram: &[u8]) -> String {
    match read(datagram) {
        Err(Error::Malformed(what)) => what,
        other => panic!("{other:?} for {datagram:02x?}"),
    }
}

/// Family and state of each.
fn kinds(sockets: &[Socket]) -> Vec<(IpFamily, TcpState)> {
    sockets.iter().map(|socket| (socket.family, socket.state)).collect()
}

fn message_to_us(kind: u16, body: &[u8]) -> Vec<u8> {
    message(kind, 2, PORT, body)
}

fn socket_message(family: u8, state: u8) -> Vec<u8> {
    let mut body = [0; INET_DIAG_MSG];
    (body[0], body[1]) = (family, state);
    message_to_us(18, &body)
}

fn status_message(kind: u16, number: i32, size: usize) -> Vec<u8> {
    let mut body = number.to_ne_bytes().to_vec();
    body.resize(size, 0);
    message_to_us(kind, &body)
}

fn listening(family: IpFamily, local_address: [u8; 16], local_port: u16) -> Socket {
    let state = TcpState::Listen;
    Socket { family, state, local_port, remote_port: 0, local_address, queue: 0, limit: 128 }
}

#[test]
#[cfg(target_endian = "little")]
fn a_kernels_answer() {
    let (progress, sockets) = read(&bytes(SOCKETS)).unwrap();
    assert_eq!(progress, Progress::More);
    assert_eq!(read(&bytes(DONE)), Ok((Progress::Done, Vec::new())));
    let expected = [
        (IpFamily::Ipv4, TcpState::Listen),
        (IpFamily::Ipv6, TcpState::Listen),
        (IpFamily::Ipv4, TcpState::CloseWait),
        (IpFamily::Ipv4, TcpState::FinWait1),
        (IpFamily::Ipv6, TcpState::TimeWait),
    ];
    assert_eq!(kinds(&sockets), expected);
    let local = [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(sockets[0], listening(IpFamily::Ipv4, local, 8080));
    assert_eq!(sockets[1], listening(IpFamily::Ipv6, [0; 16], 8081));
    let ports = |at: usize| (sockets[at].local_port, sockets[at].remote_port);
    assert_eq!([ports(2), ports(3), ports(4)], [(8080, 60940), (60940, 8080), (39220, 8081)]);
    assert_eq!(sockets[4].local_ip(), "::ffff:127.0.0.1".parse::<std::net::IpAddr>().unwrap());
}

#[test]
fn requests_are_what_the_headers_say() {
    let both = ALL.encode();
    assert_eq!(both.len(), 16 + 60);
    assert_eq!(both[0..4], 76_u32.to_ne_bytes());
    assert_eq!(both[4..6], 18_u16.to_ne_bytes());
    assert_eq!(both[6..8], 0x301_u16.to_ne_bytes());
    assert_eq!(both[68..72], 0x1ffe_u32.to_ne_bytes());
    let one = Request { walk: Walk::OneFamily(IpFamily::Ipv6), ..ALL };
    let ipv6 = one.encode();
    assert_eq!(ipv6.len(), 16 + 56);
    assert_eq!(ipv6[4..6], 20_u16.to_ne_bytes());
    assert_eq!(ipv6[16..20], [10, 6, 0, 0]);
    assert_eq!(ipv6[20..24], 0x1ffe_u32.to_ne_bytes());
    let filter = Filter::new(&[PortRange { first: 80, last: 80 }], &[], &[]).unwrap();
    for request in [ALL, one] {
        let filtered = Request { filter: Some(&filter), ..request }.encode();
        let bare = request.encode();
        assert_eq!(filtered[0..4], u32::try_from(filtered.len()).unwrap().to_ne_bytes());
        assert_eq!(filtered[4..bare.len()], bare[4..]);
        let attribute = [24_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat();
        assert_eq!(filtered[bare.len()..], [attribute.as_slice(), filter.bytes()].concat());
    }
}

#[test]
fn every_state_has_its_number() {
    for (number, state) in (1..).zip(TcpState::ALL) {
        for (family_number, family) in [(2, IpFamily::Ipv4), (10, IpFamily::Ipv6)] {
            let (_, sockets) = read(&socket_message(family_number, number)).unwrap();
            assert_eq!(kinds(&sockets), [(family, state)]);
        }
    }
    let (_, half_open) = read(&socket_message(2, 12)).unwrap();
    assert_eq!(kinds(&half_open), [(IpFamily::Ipv4, TcpState::SynRecv)]);
}

#[test]
fn what_is_unknown_is_not_left_out_silently() {
    for (family, state) in [(2, 0), (2, 13), (2, 255), (0, 1), (1, 1), (255, 1)] {
        let said = malformed(&socket_message(family, state));
        assert_eq!(said, format!("a socket of the unknown family {family} or state {state} at byte 0"));
    }
    assert_eq!(malformed(&message_to_us(20, &[0; 72])), "a message of the unexpected type 20 at byte 0");
}

#[test]
fn a_datagram_cut_anywhere_is_refused_unless_between_messages() {
    let whole = [socket_message(2, 1), socket_message(10, 10), status_message(NLMSG_DONE, 0, 4)].concat();
    assert_eq!(read(&whole).unwrap().0, Progress::Done);
    for length in 0..whole.len() {
        match length {
            88 | 176 => assert_eq!(read(&whole[..length]).unwrap().0, Progress::More),
            _ => _ = malformed(&whole[..length]),
        }
    }
}

#[test]
fn a_message_whose_own_length_is_short_is_refused() {
    let lengths = |message: Vec<u8>, longest: u32| {
        for length in 0..longest {
            let mut message = message.clone();
            // Cut with it, so that nothing but the body's own length is wrong.
            message.truncate((length.next_multiple_of(4) as usize).max(HEADER));
            message[..4].copy_from_slice(&length.to_ne_bytes());
            malformed(&message);
        }
    };
    lengths(socket_message(2, 1), 88);
    lengths(status_message(NLMSG_DONE, 0, 4), 20);
    lengths(status_message(NLMSG_ERROR, -2, 20), 36);
}

#[test]
fn a_length_beyond_the_datagram_is_refused() {
    for length in [89, 92, 1 << 16, u32::MAX - 3, u32::MAX] {
        let mut message = socket_message(2, 1);
        message[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(malformed(&message), format!("a message of {length} bytes where 88 are left at byte 0"));
    }
}

#[test]
fn the_kernels_errors_are_refusals() {
    let refused = |errno| Err(Error::Refused("list TCP sockets", errno));
    assert_eq!(read(&status_message(NLMSG_ERROR, -2, 20)), refused(Errno::ENOENT));
    // What a dump meets on its way stands in its last message.
    assert_eq!(read(&status_message(NLMSG_DONE, -1, 4)), refused(Errno::EPERM));
    assert!(malformed(&status_message(NLMSG_ERROR, 0, 20)).contains("acknowledgement"));
    for number in [1, i32::MAX, i32::MIN, -4096] {
        assert!(malformed(&status_message(NLMSG_DONE, number, 4)).contains("impossible status"));
        assert!(malformed(&status_message(NLMSG_ERROR, number, 20)).contains("impossible status"));
    }
}

#[test]
fn an_answer_to_somebody_else_is_refused() {
    let mut other_port = socket_message(2, 1);
    other_port[12] ^= 1;
    assert!(malformed(&other_port).starts_with("an answer to port "));
    let mut other_sequence = socket_message(2, 1);
    other_sequence[8] ^= 1;
    assert!(malformed(&other_sequence).starts_with("an answer to port "));
}

#[test]
fn an_interrupted_list_is_told_apart() {
    for mut message in [socket_message(2, 1), status_message(NLMSG_DONE, 0, 4)] {
        let flags = NLM_F_DUMP_INTR | 2;
        message[6..8].copy_from_slice(&flags.to_ne_bytes());
        assert!(matches!(read(&message), Err(Error::Interrupted(_))));
    }
    assert!(matches!(read(&message_to_us(NLMSG_OVERRUN, &[])), Err(Error::Interrupted(_))));
}

#[test]
fn noops_and_padding_are_passed_over() {
    // A body that ends within a word, then its padding.
    let mut odd = message_to_us(18, &[0; 76]);
    (odd[16], odd[17]) = (2, 1);
    odd[..4].copy_from_slice(&89_u32.to_ne_bytes());
    let datagram = [message_to_us(NLMSG_NOOP, &[]), odd, socket_message(10, 1)].concat();
    let expected = [(IpFamily::Ipv4, TcpState::Established), (IpFamily::Ipv6, TcpState::Established)];
    assert_eq!(kinds(&read(&datagram).unwrap().1), expected);
}

#[test]
fn what_comes_again_soon_is_no_other_socket() {
    let with_cookie = |cookie: u64| {
        let mut message = socket_message(2, 1);
        message[16 + 44..16 + 52].copy_from_slice(&cookie.to_ne_bytes());
        message
    };
    let count = |cookies: &[u64]| {
        let mut dump = Dump::new(&ALL, PORT);
        let mut count = 0;
        // In datagrams of their own.
        for cookie in cookies {
            dump.read(&with_cookie(*cookie), &mut |_| count += 1).unwrap();
        }
        count
    };
    assert_eq!(count(&[1, 2, 3, 1, 2, 3, 4]), 4);
    let row: Vec<u64> = (1..=16).collect();
    assert_eq!(count(&[row.as_slice(), &row, &[17]].concat()), 17);
    // Two of these say nothing about each other.
    assert_eq!(count(&[0, 0, u64::MAX, u64::MAX]), 4);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(datagram in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&datagram);
    }

    #[test]
    fn a_few_wrong_bytes_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut datagram = bytes(SOCKETS);
        datagram.extend(bytes(DONE));
        for (at, byte) in changes {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        let _ = read(&datagram);
    }

    #[test]
    fn every_socket_is_handed_over_as_it_is(
        all in proptest::collection::vec(
            (prop::sample::select(vec![2_u8, 10]), 1_u8..=11, any::<[u16; 2]>(), any::<[u8; 16]>(), any::<[u32; 2]>()),
            1..100,
        ),
    ) {
        let mut datagram = Vec::new();
        let mut expected = Vec::new();
        for (family, state, [local_port, remote_port], local_address, [queue, limit]) in all {
            let mut body = vec![family, state, 0, 0];
            body.extend([local_port.to_be_bytes(), remote_port.to_be_bytes()].concat());
            body.extend(local_address);
            body.extend([0xff; 32]);
            body.extend([queue.to_ne_bytes(), limit.to_ne_bytes()].concat());
            body.extend([0xff; 8]);
            datagram.extend(message_to_us(18, &body));
            let (family, state) = (IpFamily::from_number(family).unwrap(), TcpState::from_number(state).unwrap());
            expected.push(Socket { family, state, local_port, remote_port, local_address, queue, limit });
        }
        prop_assert_eq!(read(&datagram).unwrap().1, expected);
    }
}
