//! The examples run, and say what they are there to show.
#![allow(clippy::unwrap_used, reason = "tests read better so")]

use std::process::{Command, Output};

fn run(example: &str, arguments: &[&str]) -> Output {
    let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/shop.yaml");
    Command::new(example).arg(shop).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn manifests_are_compiled_to_text() {
    let text = stdout(&run(env!("CARGO_BIN_EXE_compile-yaml"), &["node1"]));
    for part in
        ["create MS-pa4-", "*filter", "-A MS-INGRESS -d 10.0.1.2/32 -g MS-I-", "-d fd00:1::2/128", "COMMIT"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let other = stdout(&run(env!("CARGO_BIN_EXE_compile-yaml"), &["node2"]));
    assert!(other.contains("-d 10.0.2.1/32") && !other.contains("-d 10.0.1.2/32 -g"), "{other}");
}

#[test]
fn a_verdict_is_answered_with_its_reason() {
    for (from, to, port, verdict, object) in [
        ("shop/web-1", "shop/api-1", "8080", "allow", "shop/api"),
        ("shop/web-1", "shop/api-1", "80", "reject", "shop/api"),
        ("shop/web-1", "shop/db-1", "5432", "reject", "shop/db"),
        ("shop/api-1", "shop/db-1", "5432/tcp", "allow", "shop/db"),
        ("shop/api-1", "203.0.113.7", "443", "reject", "shop/api"),
    ] {
        let text = stdout(&run(env!("CARGO_BIN_EXE_answer-verdict"), &[from, to, port]));
        assert!(
            text.starts_with(&format!("{verdict}\n")) && text.contains(object),
            "{from} {to} {port}: {text}"
        );
    }
    let wrong = run(env!("CARGO_BIN_EXE_answer-verdict"), &["shop/nobody", "shop/db-1", "80"]);
    assert!(!wrong.status.success());
}

#[test]
fn a_dataplane_follows_events() {
    let text = stdout(&run(env!("CARGO_BIN_EXE_drive-dataplane"), &["node1"]));
    assert!(text.contains("+ NetworkPolicy shop/api\n  set MS-"), "{text}");
    assert!(text.contains("rules are written in one batch"), "{text}");
    // Who comes and goes elsewhere is a member of a set and no rule.
    let after = text.split("- Pod shop/db-1\n").nth(1).unwrap();
    assert!(!after.split("- Pod").next().unwrap().contains("batch"), "{text}");
    assert!(text.trim_end().ends_with("rules are left"), "{text}");
}
