//! The set client alone.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{in_namespace, run, set_name, some_members};
use ms_acl_core::model::Protocol;
use ms_acl_core::ruleset::{Family, Member, SetKind, SetName};
use ms_acl_netfilter::ipset::{Client, ListedMember};

const KINDS: [SetKind; 3] = [SetKind::Addresses, SetKind::Networks, SetKind::AddressPorts];

fn fit(member: ListedMember) -> Member {
    match member {
        ListedMember::Fit(member) => member,
        ListedMember::Strange(member) => panic!("{member:?}"),
    }
}

fn members(client: &mut Client, name: &SetName, kind: SetKind, family: Family) -> Vec<Member> {
    let mut members: Vec<Member> = client.members(name, kind, family).unwrap().into_iter().map(fit).collect();
    members.sort();
    members
}

#[test]
fn sets_of_every_kind_are_made_filled_and_listed() {
    in_namespace(|| {
        let mut client = Client::open().unwrap();
        assert_eq!(client.protocol().unwrap(), 7);
        for family in Family::BOTH {
            for kind in KINDS {
                let name = set_name(kind, family, 1);
                client.create(&name, kind, family, 0, true).unwrap();
                assert!(client.create(&name, kind, family, 0, true).is_err());
                client.create(&name, kind, family, 0, false).unwrap();
                let mut wanted = some_members(kind, family);
                wanted.sort();
                client.add(&name, family, &wanted).unwrap();
                assert_eq!(members(&mut client, &name, kind, family), wanted);
                let header = client.header(&name).unwrap().unwrap();
                assert_eq!((header.members, header.references), (u32::try_from(wanted.len()).unwrap(), 0));
                assert!(header.index.is_some());
                client.remove(&name, family, &wanted[1..]).unwrap();
                assert_eq!(members(&mut client, &name, kind, family), &wanted[..1]);
                client.flush(&name).unwrap();
                assert_eq!(members(&mut client, &name, kind, family), []);
            }
        }
        assert_eq!(client.headers().unwrap().len(), 6);
        // The tool can read what we made.
        assert_eq!(run("ipset save").lines().filter(|line| line.starts_with("create")).count(), 6);
    });
}

#[test]
fn swapped_sets_exchange_their_members_and_keep_their_numbers() {
    in_namespace(|| {
        let mut client = Client::open().unwrap();
        let (one, two) = (set_name(KINDS[0], Family::V4, 1), set_name(KINDS[0], Family::V4, 2));
        let all = some_members(SetKind::Addresses, Family::V4);
        for (name, members) in [(&one, &all[..1]), (&two, &all[1..])] {
            client.create(name, SetKind::Addresses, Family::V4, 0, true).unwrap();
            client.add(name, Family::V4, members).unwrap();
        }
        let indexes = |client: &mut Client| {
            [&one, &two].map(|name| client.header(name).unwrap().unwrap().index.unwrap())
        };
        let before = indexes(&mut client);
        client.swap(&one, &two).unwrap();
        assert_eq!(indexes(&mut client), before);
        assert_eq!(members(&mut client, &one, SetKind::Addresses, Family::V4), &all[1..]);
        assert_eq!(members(&mut client, &two, SetKind::Addresses, Family::V4), &all[..1]);
    });
}

#[test]
fn a_set_is_destroyed_right_after_its_last_rule() {
    in_namespace(|| {
        let mut client = Client::open().unwrap();
        for number in 0..20 {
            let name = set_name(SetKind::Addresses, Family::V4, number);
            client.create(&name, SetKind::Addresses, Family::V4, 0, true).unwrap();
            run(&format!("iptables-nft -A FORWARD -m set --match-set {name} src -j DROP"));
            run("iptables-nft -F FORWARD");
            assert_eq!(client.destroy(&[name]).unwrap(), []);
        }
        // One that is in use stays, one that isn't there is no error, and neither keeps the others.
        let names = [1, 2, 3].map(|number| set_name(SetKind::Addresses, Family::V4, number));
        client.create(&names[0], SetKind::Addresses, Family::V4, 0, true).unwrap();
        client.create(&names[1], SetKind::Addresses, Family::V4, 0, true).unwrap();
        run(&format!("iptables-nft -A FORWARD -m set --match-set {} src -j DROP", names[0]));
        let stay = client.destroy(&names).unwrap();
        assert_eq!(stay.len(), 1);
        assert_eq!(stay[0].0, names[0]);
        assert_eq!(client.headers().unwrap().len(), 1);
    });
}

#[test]
fn more_sets_than_the_kernel_starts_with_are_numbered() {
    in_namespace(|| {
        let mut client = Client::open().unwrap();
        let names: Vec<SetName> = (0..400).map(|n| set_name(SetKind::Networks, Family::V6, n)).collect();
        for name in &names {
            client.create(name, SetKind::Networks, Family::V6, 0, true).unwrap();
        }
        assert_eq!(client.header(&set_name(SetKind::Networks, Family::V6, 1000)).unwrap(), None);
        let headers = client.headers().unwrap();
        let indexes: std::collections::BTreeSet<u16> = headers.iter().filter_map(|one| one.index).collect();
        assert_eq!((headers.len(), indexes.len()), (400, 400));
        assert_eq!(client.destroy(&names).unwrap(), []);
    });
}

#[test]
fn an_answer_is_read_whatever_was_asked_before() {
    in_namespace(|| {
        let mut client = Client::open().unwrap();
        let name = set_name(SetKind::AddressPorts, Family::V4, 1);
        assert_eq!(client.header(&name).unwrap(), None);
        assert!(client.members(&name, SetKind::AddressPorts, Family::V4).is_err());
        assert_eq!(client.headers().unwrap(), []);
        client.create(&name, SetKind::AddressPorts, Family::V4, 0, true).unwrap();
        let icmp = Member::AddressPort("10.0.0.1".parse().unwrap(), Protocol::Icmp, 8);
        let error = client.add(&name, Family::V4, &[icmp]).unwrap_err();
        assert_eq!(error.member, Some(icmp));
        let whole = Member::Network("0.0.0.0/0".parse().unwrap());
        assert_eq!(client.add(&name, Family::V4, &[whole]).unwrap_err().member, Some(whole));
    });
}
