//! `GET /explain`, `GET /ruleset`, and `ms-acld explain --server`.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use std::fs;

use common::world::World;
use common::{Daemon, Reply, Request, alone, run_with, wait_for};
use serde_json::{Value, json};

const FLOW: &str = "/explain?from=data/db-1&to=shop/web-1&port=8080/tcp";

/// A world with a policy and an ACL, of which the flow of [`FLOW`] meets both.
fn world() -> World {
    let world = World::new();
    world
        .policy("shop/in", &json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
            {"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}], "ports": [{"port": "http"}]}]}))
        .policy("data/out", &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 8080}]}]}))
        .acl(&json!([{"action": "ALLOW", "srcCIDR": "10.0.0.0/8", "name": "cluster"}, {"action": "DENY"}]));
    world
}

/// A daemon of node1 that has the world in force.
fn daemon(world: &World, more: &[&str]) -> Daemon {
    let file = world.beside("acl.json");
    let all: Vec<&str> = ["--policy-file", &file].into_iter().chain(more.iter().copied()).collect();
    let daemon = Daemon::start(&world.folder(), &all);
    wait_for("ready", || Some(daemon.ask("GET", "/readyz").status).filter(|status| *status == 200));
    daemon
}

/// An explanation without its notes.
fn without_notes(mut explanation: Value) -> (Value, Vec<String>) {
    let notes = explanation.as_object_mut().unwrap().remove("notes").unwrap();
    (explanation, serde_json::from_value(notes).unwrap())
}

fn ask_text(daemon: &Daemon, path: &str) -> Reply {
    Request::new("GET", path).header("Accept", "text/plain").send(daemon.address)
}

#[test]
fn the_daemon_explains_as_the_command_does() {
    alone("the_daemon_explains_as_the_command_does", || {
        let world = world();
        let daemon = daemon(&world, &[]);
        for (flow, offline) in [
            (FLOW, "data/db-1 -> shop/web-1 8080/tcp"),
            ("/explain?from=shop/api-1&to=shop/web-1&port=80", "shop/api-1 -> shop/web-1 80"),
            ("/explain?from=203.0.113.7&to=shop%2Fweb-1&port=icmp", "203.0.113.7 -> shop/web-1 icmp"),
            ("/explain?from=node:node1&to=shop/web-1&port=53%2Fudp", "node:node1 -> shop/web-1 53/udp"),
            ("/explain?from=shop/web-1&to=kube-system/proxy&port=80", "shop/web-1 -> kube-system/proxy 80"),
        ] {
            let (text, json) = world.explain(offline, &[]);
            let reply = daemon.ask("GET", flow);
            assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{reply:?}");
            assert_eq!(reply.header("vary"), "Accept");
            assert_eq!(without_notes(reply.json()).0, without_notes(json).0);
            let reply = ask_text(&daemon, flow);
            assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
            let lines = |text: &str| -> Vec<String> {
                text.lines().filter(|line| !line.starts_with("note: ")).map(str::to_owned).collect()
            };
            assert_eq!(lines(&reply.body), lines(&text));
        }
        let (answer, notes) = without_notes(daemon.ask("GET", FLOW).json());
        assert_eq!((&answer["verdict"], &answer["accepted"]), (&json!("allow"), &json!(true)));
        assert_eq!(
            (&answer["egress"]["node"], &answer["ingress"]["node"]),
            (&json!("node2"), &json!("node1"))
        );
        assert!(notes[0].starts_with("the side of node node2 is compiled by node node1"), "{notes:?}");
    });
}

#[test]
fn what_the_kernel_holds_is_explained_and_printed() {
    alone("what_the_kernel_holds_is_explained_and_printed", || {
        let world = world();
        let daemon = daemon(&world, &[]);
        let observed = daemon.ask("GET", &format!("{FLOW}&observed=true"));
        assert_eq!(observed.status, 200, "{observed:?}");
        let (observed, notes) = without_notes(observed.json());
        assert_eq!(observed, without_notes(daemon.ask("GET", FLOW).json()).0);
        assert!(notes[0].ends_with("it holds what is desired"), "{notes:?}");

        let kinds = ["text/plain; charset=utf-8", "text/vnd.graphviz; charset=utf-8", "application/json"];
        for (format, kind) in [
            ("iptables", kinds[0]),
            ("ipset", kinds[0]),
            ("nft", kinds[0]),
            ("dot", kinds[1]),
            ("json", kinds[2]),
        ] {
            let desired = daemon.ask("GET", &format!("/ruleset?format={format}"));
            assert_eq!((desired.status, desired.header("content-type")), (200, kind));
            let compiled = world.run("compile", &["--node", "node1", "--format", format]).fine();
            assert_eq!(desired.body.trim_end(), compiled.trim_end(), "{format}");
            let observed = daemon.ask("GET", &format!("/ruleset?format={format}&observed=true"));
            assert_eq!((observed.status, observed.header("content-type")), (200, kind));
            assert!(observed.body.contains("MS-G-") || format == "ipset", "{format}: {}", observed.body);
        }
        let iptables = |more: &str| daemon.ask("GET", &format!("/ruleset{more}")).body;
        assert_eq!(iptables("?observed=true"), iptables(""), "it is what is programmed, to the byte");
        assert_eq!(iptables("?format=ipset&observed=true"), iptables("?format=ipset"));
        let six = iptables("?family=6&observed=true");
        assert!(
            six.starts_with("*filter\n") && six.contains("fd00:1::5") && !six.contains("10.1.0.5"),
            "{six}"
        );
    });
}

#[test]
fn what_a_former_run_left_is_explained_while_it_counts() {
    alone("what_a_former_run_left_is_explained_while_it_counts", || {
        let world = world();
        daemon(&world, &[]).terminate();
        // What refuses can't be read any more: the rules of the last run stay beside what is known.
        world.write("policy-shop-in.json", "{{{");
        let daemon = Daemon::start(&world.folder(), &["--policy-file", &world.beside("acl.json")]);
        daemon.wait("all that is known", |status| {
            status["applied"] == status["generation"] && status["localPods"] == 2
        });
        for more in ["", "&observed=true"] {
            let flow = format!("/explain?from=shop/api-1&to=shop/web-1&port=8080{more}");
            let (answer, notes) = without_notes(daemon.ask("GET", &flow).json());
            assert_eq!(answer["ingress"]["verdict"], "reject", "{answer}");
            assert_eq!(answer["ingress"]["object"], "NetworkPolicy shop/in", "{answer}");
            assert!(notes.iter().any(|note| note.contains("can't be read")), "{notes:?}");
        }
        let flow = "/explain?from=data/db-1&to=shop/web-1&port=8080";
        let (answer, _) = without_notes(daemon.ask("GET", flow).json());
        assert_eq!((&answer["verdict"], &answer["ingress"]["gate"]), (&json!("allow"), &json!("kubernetes")));
        let detail = answer["ingress"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("a rule of NetworkPolicy shop/in, of which only the chain "), "{detail}");
    });
}

#[test]
fn bad_questions_are_problems_that_name_the_parameter() {
    alone("bad_questions_are_problems_that_name_the_parameter", || {
        let world = world();
        let daemon = daemon(&world, &[]);
        let detail = |path: &str, status: u16| {
            daemon.ask("GET", path).problem(status)["detail"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            detail("/explain", 400),
            "the parameter from is missing; the parameter to is missing; the parameter port is missing"
        );
        let wrong = detail("/explain?from=web&to=10.0.0.0/8&port=http", 400);
        for name in ["from", "to", "port"] {
            assert!(wrong.contains(&format!("the parameter {name}: ")), "{wrong}");
        }
        assert!(detail(&format!("{FLOW}&port=1"), 400).contains("port is there twice"));
        assert!(detail(&format!("{FLOW}&protocol=tcp"), 400).contains("\"protocol\" is not known here"));
        assert!(detail(&format!("{FLOW}&observed=yes"), 400).contains("the parameter observed is \"yes\""));
        let unknown = detail("/explain?from=shop/web&to=data/db-1&port=80", 404);
        assert_eq!(unknown, "there is no pod shop/web; did you mean shop/web-1?");
        assert!(detail("/explain?from=node:node3&to=data/db-1&port=80", 404).contains("no node node3"));
        assert!(detail("/explain?from=fd00::1&to=data/db-1&port=80", 422).contains("only ipv6"));
        assert!(detail("/ruleset?format=yaml", 400).contains("the parameter format is \"yaml\""));
        assert!(detail("/ruleset?format=summary", 400).contains("iptables, ipset, nft, dot, json"));
        assert!(detail("/ruleset?family=5", 400).contains("the parameter family is \"5\""));
        assert!(detail("/ruleset?observed=1", 400).contains("the parameter observed"));
        daemon.ask("POST", FLOW).problem(405);
        assert_eq!(daemon.ask("HEAD", FLOW).body, "");
        assert_eq!(daemon.ask("GET", "/status").status, 200, "it lives");
    });
}

#[test]
fn the_command_asks_a_daemon() {
    alone("the_command_asks_a_daemon", || {
        let world = world();
        let daemon = daemon(&world, &["--api-token", "secret"]);
        let server = format!("http://{}", daemon.address);
        let base =
            ["explain", "--server", &server, "--from", "data/db-1", "--to", "shop/web-1", "--port", "8080"];
        let ask = |more: &[&str], token: &str| {
            let arguments: Vec<&str> = base.iter().chain(more).copied().collect();
            run_with(&arguments, &[("API_TOKEN", token), ("NODE_TRAFFIC", "enforce")])
        };
        let served = |accept: &str| {
            let request = Request::new("GET", FLOW).header("X-API-Token", "secret");
            request.header("Accept", accept).send(daemon.address).body
        };
        assert_eq!(ask(&[], "secret"), (Some(0), served("text/plain"), String::new()));
        assert_eq!(ask(&["--json"], "secret"), (Some(0), served("application/json") + "\n", String::new()));
        let (code, text, _) = ask(&["--observed"], "secret");
        assert!(code == Some(0) && text.contains("it holds what is desired"), "{text}");

        fs::write(world.beside("token"), "secret\n").unwrap();
        let (code, ..) = ask(&["--api-token-file", &world.beside("token")], "");
        assert_eq!(code, Some(0));
        for token in ["", "wrong"] {
            let (code, text, errors) = ask(&[], token);
            assert_eq!((code, &*text), (Some(1), ""));
            assert!(errors.contains("401 Unauthorized: the header X-API-Token"), "{errors}");
        }
        let (code, _, errors) = run_with(
            &["explain", "--server", &server, "--from", "shop/web", "--to", "data/db-1", "--port", "80"],
            &[("API_TOKEN", "secret")],
        );
        let said = format!(
            "ms-acld: the daemon at {server} answers 404 Not Found: there is no pod shop/web; did you mean shop/web-1?\n"
        );
        assert_eq!((code, errors), (Some(1), said));
        daemon.terminate();
        let (code, text, errors) = ask(&[], "secret");
        assert!(code == Some(1) && text.is_empty() && errors.contains("Connection refused"), "{errors}");
    });
}
