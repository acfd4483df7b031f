//! What the legacy iptables holds, which lives beside nf_tables in the same kernel.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use ms_acl_core::ruleset::Family;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`.
const GET_INFO: libc::c_int = 64;
/// The length of a table's name.
const NAME: usize = 32;

/// `struct ipt_getinfo`, and `struct ip6t_getinfo`, which is the same.
#[repr(C)]
#[derive(Clone, Copy)]
struct TableInfo {
    name: [u8; NAME],
    valid_hooks: u32,
    hook_entry: [u32; 5],
    underflow: [u32; 5],
    entries: u32,
    size: u32,
}

const _: () = assert!(size_of::<TableInfo>() == 84);

/// The number of rules in a table of the legacy iptables that is there already, without those that every table
/// has: a policy a hook, and the end.
pub(crate) fn legacy_rules(family: Family, table: &str) -> io::Result<u32> {
    let (socket, level) = match family {
        Family::V4 => (UdpSocket::bind("0.0.0.0:0")?, libc::SOL_IP),
        Family::V6 => (UdpSocket::bind("[::]:0")?, libc::SOL_IPV6),
    };
    let mut info = TableInfo {
        name: [0; NAME],
        valid_hooks: 0,
        hook_entry: [0; 5],
        underflow: [0; 5],
        entries: 0,
        size: 0,
    };
    let name = table.as_bytes();
    if name.len() >= NAME {
        return Err(io::Error::other("the name of a table is too long"));
    }
    info.name[..name.len()].copy_from_slice(name);
    let mut length = libc::socklen_t::try_from(size_of::<TableInfo>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads and writes at most `length` bytes of `info`, which is a plain structure of that
    // size, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, GET_INFO, (&raw mut info).cast(), &raw mut length)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info.entries.saturating_sub(info.valid_hooks.count_ones() + 1))
}
