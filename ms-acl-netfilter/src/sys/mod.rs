//! The seam to the operating system: sockets, socket options and libnftnl's batch pages.
//!
//! All unsafe code of the workspace is in here, one operation a block. Everything above deals in
//! byte slices and is safe.

mod legacy;
mod page;
mod socket;

pub(crate) use legacy::legacy_rules;
pub(crate) use page::{Page, PageBytes};
pub(crate) use socket::{Received, Socket};

/// The length of a netlink message's header.
pub(crate) const NLMSG_HEADER: usize = 16;
/// The length of the header that every netfilter message has after it: family, version, resource.
pub(crate) const NFGEN_HEADER: usize = 4;

const _: () = assert!(size_of::<libc::nlmsghdr>() == NLMSG_HEADER);
const _: () = assert!(size_of::<libc::nlattr>() == 4);
const _: () = assert!(std::mem::offset_of!(libc::nlmsghdr, nlmsg_type) == 4);
const _: () = assert!(std::mem::offset_of!(libc::nlmsghdr, nlmsg_flags) == 6);
const _: () = assert!(std::mem::offset_of!(libc::nlmsghdr, nlmsg_seq) == 8);
const _: () = assert!(std::mem::offset_of!(libc::nlmsghdr, nlmsg_pid) == 12);
