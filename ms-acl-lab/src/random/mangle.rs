//! Values that are nearly what they should be.

use serde_json::{Map, Value, json};

use super::Dice;

/// Does something to one place of a value, wherever it is: puts something else there, takes it away,
/// repeats it, or calls it something else.
pub fn mangle(dice: &mut Dice, value: &mut Value) {
    match value {
        Value::Array(items) if !items.is_empty() && dice.chance(85) => {
            let place = dice.below(items.len());
            match dice.below(12) {
                0 => {
                    items.remove(place);
                }
                1 => {
                    let again = items[place].clone();
                    let times = dice.between(1, 20);
                    items.extend(std::iter::repeat_n(again, times));
                }
                2 => dice.shuffle(items),
                _ => mangle(dice, &mut items[place]),
            }
        }
        Value::Object(fields) if !fields.is_empty() && dice.chance(90) => mangle_field(dice, fields),
        other => *other = strange(dice, other),
    }
}

fn mangle_field(dice: &mut Dice, fields: &mut Map<String, Value>) {
    let names: Vec<String> = fields.keys().cloned().collect();
    let name = dice.pick(&names);
    match dice.below(14) {
        0 => {
            fields.remove(&name);
        }
        1 => {
            let value = fields.remove(&name).unwrap_or_default();
            fields.insert(dice.pick(&["", "x", "a/b~c", "ports", "cidr", "Name", "\u{0}"]).to_owned(), value);
        }
        2 => {
            let other = fields.get(&dice.pick(&names)).cloned().unwrap_or_default();
            fields.insert(name, other);
        }
        _ => {
            if let Some(value) = fields.get_mut(&name) {
                mangle(dice, value);
            }
        }
    }
}

/// Something that hardly belongs there.
fn strange(dice: &mut Dice, instead_of: &Value) -> Value {
    match dice.below(8) {
        0 => dice.pick(&[
            Value::Null,
            json!(true),
            json!([]),
            json!({}),
            json!([[]]),
            json!([null]),
            json!(""),
        ]),
        1 => json!(dice.pick(&[0, -1, 1, 65535, 65536, i64::MAX, i64::MIN, 4_294_967_376])),
        2 => dice.pick(&[json!(1.5), json!(1e300), json!(u64::MAX)]),
        3 => json!(dice.pick(&[
            "0.0.0.0/0",
            "::/0",
            "::ffff:0:0/96",
            "10.0.0.0/33",
            "010.0.0.1/8",
            "fe80::1%eth0",
            "255.255.255.255/32",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
            "10.0.0.1",
            "/",
            "1-65535",
            "65535-1",
            "-",
            "0",
        ])),
        4 => json!(dice.pick(&[
            "\n-A FORWARD -j ACCEPT",
            "\"",
            "'; drop",
            "a\u{0}b",
            "\u{202e}",
            "🦀",
            "%s%n",
            "Ingress",
            "In",
            "TCP",
            "tcp",
        ])),
        5 => {
            let text = dice.pick(&["x", "ü", "a-", "9"]);
            json!(text.repeat(dice.pick(&[15, 16, 63, 64, 253, 254, 5000])))
        }
        6 => (0..dice.between(1, 30)).fold(instead_of.clone(), |inner, _| json!([inner])),
        _ => (0..dice.between(1, 30)).fold(instead_of.clone(), |inner, _| json!({"metadata": inner})),
    }
}
