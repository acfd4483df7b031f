//! nf_tables expressions: the ones that we write, and what is read of any.

use crate::netlink::{Attribute, Attributes, Writer};

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// The register in which values are compared, and the one that holds the verdict.
const REGISTER: u32 = 1;
const VERDICT_REGISTER: u32 = 0;

/// The network header, as a payload's base.
pub(crate) const BASE_NETWORK: u32 = 1;
/// The transport header, as a payload's base.
pub(crate) const BASE_TRANSPORT: u32 = 2;

/// The names of the interfaces that a packet came in by and goes out by, as meta keys.
pub(crate) const META_IN_NAME: u32 = 6;
pub(crate) const META_OUT_NAME: u32 = 7;
/// The packet mark, as a meta key.
pub(crate) const META_MARK: u32 = 3;
/// The transport protocol, as a meta key.
pub(crate) const META_PROTOCOL: u32 = 16;

/// Comparisons, as `cmp` and `range` number them.
pub(crate) const EQUAL: u32 = 0;
pub(crate) const NOT_EQUAL: u32 = 1;
pub(crate) const AT_MOST: u32 = 3;
pub(crate) const AT_LEAST: u32 = 5;

/// Verdicts.
pub(crate) const DROP: i32 = 0;
pub(crate) const ACCEPT: i32 = 1;
pub(crate) const JUMP: i32 = -3;
pub(crate) const GOTO: i32 = -4;
pub(crate) const RETURN: i32 = -5;

/// Writes one expression of a list.
fn write(list: &mut Writer, name: &str, fill: impl FnOnce(&mut Writer)) {
    list.nest(LIST_ELEMENT, |element| {
        element.text(EXPRESSION_NAME, name);
        element.nest(EXPRESSION_DATA, fill);
    });
}

/// Loads bytes of a header into the register.
pub(crate) fn payload(list: &mut Writer, base: u32, offset: u32, length: u32) {
    write(list, "payload", |data| {
        data.be32(1, REGISTER);
        data.be32(2, base);
        data.be32(3, offset);
        data.be32(4, length);
    });
}

/// Loads something that is known of the packet into the register.
pub(crate) fn meta(list: &mut Writer, key: u32) {
    write(list, "meta", |data| {
        data.be32(2, key);
        data.be32(1, REGISTER);
    });
}

/// Clears the register's bits that aren't in a mask.
pub(crate) fn bitwise(list: &mut Writer, mask: &[u8]) {
    write(list, "bitwise", |data| {
        data.be32(1, REGISTER);
        data.be32(2, REGISTER);
        data.be32(3, u32::try_from(mask.len()).unwrap_or(u32::MAX));
        data.nest(4, |value| value.bytes(DATA_VALUE, mask));
        data.nest(5, |value| value.bytes(DATA_VALUE, &[0; 16][..mask.len().min(16)]));
    });
}

/// Goes on only if the register compares so with a value.
pub(crate) fn compare(list: &mut Writer, operation: u32, value: &[u8]) {
    write(list, "cmp", |data| {
        data.be32(1, REGISTER);
        data.be32(2, operation);
        data.nest(3, |nest| nest.bytes(DATA_VALUE, value));
    });
}

/// Counts packets and bytes, from zero.
pub(crate) fn counter(list: &mut Writer) {
    write(list, "counter", |data| {
        data.be64(2, 0);
        data.be64(1, 0);
    });
}

/// Ends the rule with a verdict; jump and goto name a chain.
pub(crate) fn verdict(list: &mut Writer, code: i32, chain: Option<&str>) {
    write(list, "immediate", |data| {
        data.be32(1, VERDICT_REGISTER);
        data.nest(2, |nest| {
            nest.nest(DATA_VERDICT, |verdict| {
                verdict.be32(VERDICT_CODE, code.cast_unsigned());
                if let Some(chain) = chain {
                    verdict.text(VERDICT_CHAIN, chain);
                }
            });
        });
    });
}

/// An xtables match (`"match"`) or target (`"target"`).
pub(crate) fn extension(list: &mut Writer, what: &str, name: &str, revision: u32, info: &[u8]) {
    write(list, what, |data| {
        data.text(1, name);
        data.be32(2, revision);
        data.bytes(3, info);
    });
}

/// An expression as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expression<'a> {
    Payload {
        base: u32,
        offset: u32,
        length: u32,
    },
    Meta {
        key: u32,
    },
    Bitwise {
        mask: &'a [u8],
        xor: &'a [u8],
    },
    Compare {
        operation: u32,
        value: &'a [u8],
    },
    Range {
        operation: u32,
        from: &'a [u8],
        to: &'a [u8],
    },
    Counter,
    Verdict {
        code: i32,
        chain: Option<&'a str>,
    },
    Match {
        name: &'a str,
        revision: u32,
        info: &'a [u8],
    },
    Target {
        name: &'a str,
        revision: u32,
        info: &'a [u8],
    },
    /// `log` with nothing but a group and a prefix.
    Log {
        group: u16,
        prefix: &'a str,
    },
    /// Anything else, by its name. `ends` = it may end the packet's way or send it another way.
    Other {
        name: &'a str,
        ends: bool,
    },
}

impl<'a> Expression<'a> {
    /// The expressions of a rule, from the value of `NFTA_RULE_EXPRESSIONS`.
    pub(crate) fn list(bytes: &'a [u8]) -> impl Iterator<Item = Expression<'a>> {
        Attributes::of(bytes).filter(|element| element.kind == LIST_ELEMENT).map(|element| {
            let element = element.nested();
            let name = element.get(EXPRESSION_NAME).and_then(Attribute::text).unwrap_or_default();
            let data = element.get(EXPRESSION_DATA).map_or(Attributes::of(&[]), Attribute::nested);
            Self::known(name, &data).unwrap_or_else(|| Expression::Other { name, ends: may_end(name, &data) })
        })
    }

    fn known(name: &str, data: &Attributes<'a>) -> Option<Self> {
        let number = |kind| data.get(kind).and_then(Attribute::be32);
        let value = |kind| Some(data.get(kind)?.nested().get(DATA_VALUE)?.value);
        Some(match name {
            "payload" if number(1)? == REGISTER => {
                Expression::Payload { base: number(2)?, offset: number(3)?, length: number(4)? }
            }
            "meta" if number(1)? == REGISTER => Expression::Meta { key: number(2)? },
            // Only `(register & mask) ^ xor`: newer kernels have other operations as well.
            "bitwise" if number(1)? == REGISTER && number(2)? == REGISTER && number(6).unwrap_or(0) == 0 => {
                Expression::Bitwise { mask: value(4)?, xor: value(5)? }
            }
            "cmp" if number(1)? == REGISTER => {
                Expression::Compare { operation: number(2)?, value: value(3)? }
            }
            "range" if number(1)? == REGISTER => {
                Expression::Range { operation: number(2)?, from: value(3)?, to: value(4)? }
            }
            "counter" => Expression::Counter,
            "immediate" if number(1)? == VERDICT_REGISTER => {
                let verdict = data.get(2)?.nested().get(DATA_VERDICT)?.nested();
                Expression::Verdict {
                    code: verdict.get(VERDICT_CODE)?.be32()?.cast_signed(),
                    chain: verdict.get(VERDICT_CHAIN).and_then(Attribute::text),
                }
            }
            "match" => Expression::Match {
                name: data.get(1)?.text()?,
                revision: number(2)?,
                info: data.get(3)?.value,
            },
            "target" => Expression::Target {
                name: data.get(1)?.text()?,
                revision: number(2)?,
                info: data.get(3)?.value,
            },
            // A level makes it syslog. The tool writes its defaults for the rest: nothing.
            "log" if data.get(5).is_none() && number(3).unwrap_or(0) == 0 => Expression::Log {
                group: data.get(1)?.be16()?,
                prefix: data.get(2).and_then(Attribute::text).unwrap_or_default(),
            },
            _ => return None,
        })
    }

    /// Whether it can end a packet's way through the chain, or send it elsewhere.
    pub(crate) fn can_divert(&self) -> bool {
        const HARMLESS: [&str; 19] = [
            "AUDIT",
            "CHECKSUM",
            "CLASSIFY",
            "CONNMARK",
            "CONNSECMARK",
            "CT",
            "DSCP",
            "HL",
            "IDLETIMER",
            "LOG",
            "MARK",
            "NFLOG",
            "RATEEST",
            "SECMARK",
            "SET",
            "TCPMSS",
            "TOS",
            "TRACE",
            "TTL",
        ];
        match self {
            Expression::Verdict { .. } => true,
            Expression::Target { name, .. } => !HARMLESS.contains(name),
            Expression::Other { ends, .. } => *ends,
            _ => false,
        }
    }
}

/// Whether an expression that we can't read may end a packet's way: only of those is it known that
/// they don't.
fn may_end(name: &str, data: &Attributes<'_>) -> bool {
    const LOOKUP_DESTINATION: u16 = 3;
    match name {
        "payload" | "meta" | "bitwise" | "cmp" | "range" | "counter" | "match" | "log" | "limit"
        | "quota" | "ct" | "rt" | "fib" | "numgen" | "hash" | "byteorder" | "exthdr" | "socket" | "osf"
        | "xfrm" | "dynset" | "connlimit" | "last" | "notrack" | "tunnel" | "inner" => false,
        // A verdict map looks up into the verdict's register.
        "lookup" => data.get(LOOKUP_DESTINATION).and_then(Attribute::be32) == Some(VERDICT_REGISTER),
        // An immediate value for a later expression.
        "immediate" => data.get(1).and_then(Attribute::be32) == Some(VERDICT_REGISTER),
        _ => true,
    }
}
