//! Interfaces, and how packets get to a pod.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ms_acl_core::ruleset::Family;

use super::{BridgeCalls, Place};
use crate::batch::message::family_number;
use crate::netlink::{Attribute, Connection, NetlinkError, Writer};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
/// What comes before the attributes of a link, and of a route.
const LINK_START: usize = 16;
const ROUTE_START: usize = 12;

mod link {
    pub(super) const NAME: u16 = 3;
    pub(super) const INFO: u16 = 18;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const BRIDGE_CALL_IPTABLES: u16 = 36;
    pub(super) const BRIDGE_CALL_IP6TABLES: u16 = 37;
}

mod route {
    pub(super) const DESTINATION: u16 = 1;
    pub(super) const INTERFACE: u16 = 4;
    pub(super) const GATEWAY: u16 = 5;
    pub(super) const VIA: u16 = 18;
    /// A type: packets are sent on.
    pub(super) const UNICAST: u8 = 1;
}

/// Addresses that nobody has (RFC 5737, RFC 3849): they take the way to the outside.
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// The interfaces of the namespace.
#[derive(Debug, Default)]
pub(super) struct Links {
    names: BTreeMap<u32, String>,
    bridges: BTreeMap<String, BridgeCalls>,
    /// The interfaces that lead to the outside.
    outward: Vec<u32>,
}

/// Where a route leads.
struct Route {
    interface: u32,
    gateway: bool,
}

impl Links {
    pub(super) fn read(connection: &mut Connection) -> Result<Self, NetlinkError> {
        let ask = Writer::plain(GET_LINK, &[0; LINK_START]).finish();
        let mut links = connection.collect(&ask, Links::default, |links: &mut Links, entry| {
            if entry.kind != NEW_LINK {
                return;
            }
            let index =
                entry.payload.get(4..8).and_then(|bytes| Some(u32::from_ne_bytes(bytes.try_into().ok()?)));
            let attributes = entry.attributes_after(LINK_START);
            let name = attributes.get(link::NAME).and_then(Attribute::text);
            let (Some(index), Some(name)) = (index, name) else { return };
            let info = attributes.get(link::INFO).map(Attribute::nested);
            let kind = info.as_ref().and_then(|info| info.get(link::INFO_KIND)?.text());
            if kind == Some("bridge") {
                let settings = info.and_then(|info| Some(info.get(link::INFO_DATA)?.nested()));
                let calls = [link::BRIDGE_CALL_IPTABLES, link::BRIDGE_CALL_IP6TABLES].map(|call| {
                    settings.as_ref().and_then(|settings| settings.get(call)?.u8()).unwrap_or(0) != 0
                });
                links.bridges.insert(name.to_owned(), calls);
            }
            links.names.insert(index, name.to_owned());
        })?;
        for address in OUTSIDE {
            links.outward.extend(route_to(connection, address)?.map(|route| route.interface));
        }
        Ok(links)
    }

    /// How packets get to a pod of this node.
    pub(super) fn place(&self, connection: &mut Connection, pod: IpAddr) -> Result<Place, NetlinkError> {
        let Some(route) = route_to(connection, pod)? else { return Ok(Place::Nowhere) };
        let name = self.name(route.interface);
        Ok(if self.bridges.contains_key(&name) && !route.gateway {
            Place::Bridge(name)
        } else if route.gateway || self.outward.contains(&route.interface) {
            Place::Outside(name)
        } else {
            Place::Interface(name)
        })
    }

    /// The interface that leads to an address.
    pub(super) fn towards(
        &self,
        connection: &mut Connection,
        address: IpAddr,
    ) -> Result<Option<String>, NetlinkError> {
        Ok(route_to(connection, address)?.map(|route| self.name(route.interface)))
    }

    /// Whether a bridge leads its packets into chains by itself.
    pub(super) fn bridge_calls(&self, name: &str) -> BridgeCalls {
        self.bridges.get(name).copied().unwrap_or_default()
    }

    fn name(&self, index: u32) -> String {
        self.names.get(&index).cloned().unwrap_or_else(|| format!("interface {index}"))
    }
}

/// The route to an address; `None` = there is none, or it leads nowhere or to this machine.
fn route_to(connection: &mut Connection, address: IpAddr) -> Result<Option<Route>, NetlinkError> {
    let family = Family::of(address);
    let mut start = [0; ROUTE_START];
    start[0] = family_number(family);
    start[1] = family.bits();
    let mut ask = Writer::plain(GET_ROUTE, &start);
    match address {
        IpAddr::V4(address) => ask.bytes(route::DESTINATION, &address.octets()),
        IpAddr::V6(address) => ask.bytes(route::DESTINATION, &address.octets()),
    }
    let mut found = None;
    let answered = connection.request(ask.finish(), |reply| {
        if reply.kind != NEW_ROUTE || reply.payload.get(7) != Some(&route::UNICAST) {
            return;
        }
        let attributes = reply.attributes_after(ROUTE_START);
        found = attributes.get(route::INTERFACE).and_then(Attribute::ne32).map(|interface| Route {
            interface,
            gateway: attributes.get(route::GATEWAY).or(attributes.get(route::VIA)).is_some(),
        });
    });
    match answered {
        // A refusal is an answer, too: unreachable, prohibited, nowhere.
        Ok(()) | Err(NetlinkError::Refused(_)) => Ok(found),
        Err(error) => Err(error),
    }
}
