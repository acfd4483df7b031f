//! Entries of the connection table.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};

use common::{in_namespace, run};
use ms_acl_core::ruleset::Family;
use ms_acl_netfilter::conntrack::Conntrack;

#[test]
fn connections_of_an_address_are_listed_and_deleted() {
    in_namespace(|| {
        run("ip link set lo up");
        run("iptables-nft -A INPUT -m conntrack --ctstate NEW -j ACCEPT");
        run("ip6tables-nft -A INPUT -m conntrack --ctstate NEW -j ACCEPT");
        let listener = TcpListener::bind("127.0.0.2:8080").unwrap();
        let connection = TcpStream::connect("127.0.0.2:8080").unwrap();
        let from = UdpSocket::bind("127.0.0.3:0").unwrap();
        from.send_to(b"x", "127.0.0.4:9").unwrap();
        let six = UdpSocket::bind("[::1]:0").unwrap();
        six.send_to(b"x", "[::1]:9").unwrap();

        let mut conntrack = Conntrack::open().unwrap();
        let all = conntrack.entries(Family::V4, |_| true).unwrap();
        assert_eq!(all.len(), 2, "{all:?}");
        let tcp = all.iter().find(|entry| entry.protocol == 6).unwrap();
        assert_eq!(tcp.original.destination, IpAddr::from([127, 0, 0, 2]));
        assert_eq!((tcp.original.destination_port, tcp.reply.source_port), (8080, 8080));
        assert_eq!(tcp.original.source_port, connection.local_addr().unwrap().port());
        assert_eq!(conntrack.entries(Family::V6, |_| true).unwrap().len(), 1);

        let of =
            |text: &[&str]| -> BTreeSet<IpAddr> { text.iter().map(|text| text.parse().unwrap()).collect() };
        assert_eq!(conntrack.delete_of(&of(&["192.0.2.1"])).unwrap(), 0);
        assert_eq!(conntrack.delete_of(&of(&["127.0.0.2", "::1"])).unwrap(), 2);
        let left = conntrack.entries(Family::V4, |_| true).unwrap();
        assert_eq!(left.iter().map(|entry| entry.protocol).collect::<Vec<_>>(), [17]);
        assert_eq!(conntrack.delete(&left).unwrap(), 1);
        assert_eq!(conntrack.delete(&left).unwrap(), 0);
        drop(listener);
    });
}
