//! The API server for tests, asked over HTTP.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use ms_acl_lab::apiserver::{ApiServer, Fault, Resource, Streaming};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/pods";

fn start() -> ApiServer {
    ApiServer::start(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap()
}

fn pod(name: &str, app: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": name, "labels": {"app": app}}})
}

/// Sends a request of HTTP/1.0, so that the body comes as it is, and returns what comes behind the head.
fn open(server: &ApiServer, head: &str, body: &str) -> (u16, String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The first line is the request, the others are headers.
    let (start, headers) = head.split_once('\n').unwrap_or((head, "Accept: */*"));
    write!(stream, "{start} HTTP/1.0\r\n{headers}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_lowercase(), stream)
}

fn ask(server: &ApiServer, head: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (code, _, mut stream) = open(server, head, &body);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    (code, serde_json::from_str(&text).unwrap())
}

fn get(server: &ApiServer, target: &str) -> (u16, Value) {
    ask(server, &format!("GET {target}"), &Value::Null)
}

/// A watch that is going on.
struct Watch(BufReader<TcpStream>);

impl Watch {
    fn open(server: &ApiServer, target: &str) -> Self {
        let (code, _, stream) = open(server, &format!("GET {target}"), "");
        assert_eq!(code, 200);
        Watch(stream)
    }

    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    /// `ADDED x`, `BOOKMARK`, `ERROR 410`.
    fn next(&mut self) -> String {
        let line = self.line().unwrap();
        let what = line["type"].as_str().unwrap().to_owned();
        match (what.as_str(), &line["object"]) {
            ("BOOKMARK", _) => what,
            ("ERROR", status) => format!("{what} {}", status["code"]),
            (_, object) => format!("{what} {}", object["metadata"]["name"].as_str().unwrap()),
        }
    }
}

#[test]
fn lists_have_pages_of_one_moment() {
    let server = start();
    for name in ["a", "b", "c", "d", "e"] {
        server.apply(pod(name, "web"));
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (code, first) = get(&server, &format!("{PODS}?limit=2"));
    assert_eq!((code, names(&first)), (200, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!((&first["kind"], &first["metadata"]["remainingItemCount"]), (&json!("PodList"), &json!(3)));
    assert!(first["items"][0].get("kind").is_none(), "the list says what they are");
    server.delete("pods", "a", "c");
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = get(&server, &format!("{PODS}?limit=2&continue={token}"));
    assert_eq!(names(&second), ["c", "d"], "as it was when the first page was read");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().unwrap();
    server.compact();
    assert_eq!(get(&server, &format!("{PODS}?limit=2&continue={token}")).0, 410);
    assert_eq!(
        names(&get(&server, "/api/v1/namespaces/a/pods?labelSelector=app%3Dweb").1),
        ["a", "b", "d", "e"]
    );
    assert_eq!(names(&get(&server, "/api/v1/namespaces/b/pods").1), [""; 0]);
}

#[test]
fn watches_tell_what_happens_after_a_version() {
    let server = start();
    server.apply(pod("a", "web"));
    let version = get(&server, PODS).1["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let from = format!("watch=1&resourceVersion={version}");
    let mut all = Watch::open(&server, &format!("{PODS}?{from}"));
    let mut web = Watch::open(&server, &format!("{PODS}?{from}&labelSelector=app%3Dweb"));
    let mut other = Watch::open(&server, &format!("/api/v1/namespaces/b/pods?{from}"));
    server.apply(pod("a", "db"));
    server.apply(pod("a", "web"));
    server.delete("pods", "a", "a");
    let mut last = pod("z", "web");
    last["metadata"]["namespace"] = "b".into();
    server.apply(last);
    assert_eq!([all.next(), all.next(), all.next()], ["MODIFIED a", "MODIFIED a", "DELETED a"]);
    assert_eq!([web.next(), web.next(), web.next()], ["DELETED a", "ADDED a", "DELETED a"], "as it sees it");
    assert_eq!(other.next(), "ADDED z");
    // What happened in between is told to those who come later.
    let mut late = Watch::open(&server, &format!("{PODS}?{from}"));
    assert_eq!(late.next(), "MODIFIED a");
    server.end_watches();
    assert_eq!([all.next(), web.next()], ["ADDED z", "ADDED z"]);
    assert!(all.line().is_none());
    server.compact();
    assert_eq!(Watch::open(&server, &format!("{PODS}?{from}")).next(), "ERROR 410");
}

#[test]
fn streaming_lists_mark_their_end_and_bookmarks_come_when_asked_for() {
    let server = start();
    server.set_faults(|faults| faults.bookmarks = Duration::from_millis(20));
    server.apply(pod("a", "web"));
    let target = format!(
        "{PODS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion="
    );
    let mut watch = Watch::open(&server, &target);
    assert_eq!(watch.next(), "ADDED a");
    let end = watch.line().unwrap();
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(watch.next(), "BOOKMARK");
    server.set_faults(|faults| faults.streaming = Streaming::Refused);
    assert_eq!(get(&server, &target).0, 422);
    server.set_faults(|faults| faults.streaming = Streaming::Ignored);
    let mut watch = Watch::open(&server, &target);
    assert_eq!(watch.next(), "ADDED a");
    let mark = watch.line().unwrap();
    assert!(mark["type"] == "BOOKMARK" && mark["object"]["metadata"].get("annotations").is_none(), "{mark}");
}

#[test]
fn objects_are_written_over_http() {
    let server = start();
    server.add_resource(Resource::custom("acl.ms.io", "v1alpha1", "AclPolicy", "aclpolicies", false));
    let all = "/apis/acl.ms.io/v1alpha1/aclpolicies";
    let mut watch = Watch::open(&server, &format!("{all}?watch=1&resourceVersion=1000"));
    let policy = json!({"apiVersion": "acl.ms.io/v1alpha1", "kind": "AclPolicy", "metadata": {"name": "p"}, "spec": {"a": 1}});
    let (code, created) = ask(&server, &format!("POST {all}"), &policy);
    assert_eq!(code, 201);
    assert_eq!(ask(&server, &format!("POST {all}"), &policy).0, 409);
    let patch = |target: &str, kind: &str, body: &Value| {
        ask(&server, &format!("PATCH {target}\nContent-Type: application/{kind}"), body)
    };
    let one = format!("{all}/p");
    assert_eq!(patch(&one, "merge-patch+json", &json!({"spec": {"a": 2}})).1["spec"]["a"], 2);
    assert_eq!(patch(&one, "nonsense", &json!({})).0, 415);
    let (code, status) = patch(
        &format!("{one}/status"),
        "merge-patch+json",
        &json!({"status": {"ready": true}, "spec": {"a": 9}}),
    );
    assert_eq!((code, &status["spec"]["a"], &status["status"]["ready"]), (200, &json!(2), &json!(true)));
    let (code, conflict) = ask(&server, &format!("PUT {one}"), &created);
    assert_eq!((code, &conflict["reason"]), (409, &json!("Conflict")));
    assert_eq!(ask(&server, &format!("DELETE {one}"), &Value::Null).0, 200);
    assert_eq!(
        [watch.next(), watch.next(), watch.next(), watch.next()],
        ["ADDED p", "MODIFIED p", "MODIFIED p", "DELETED p"]
    );
    assert_eq!(get(&server, &one).0, 404);
    assert_eq!(ask(&server, &format!("PUT {all}"), &policy).0, 405);
    assert_eq!(get(&server, "/apis/none.io/v1/things").0, 404);

    let lease = json!({"metadata": {"name": "l", "namespace": "a"}, "spec": {"holderIdentity": "x"}});
    assert_eq!(ask(&server, "POST /apis/coordination.k8s.io/v1/namespaces/a/leases", &lease).0, 201);
    assert_eq!(server.get("leases", "a", "l").unwrap()["kind"], "Lease");
}

#[test]
fn it_goes_wrong_on_demand() {
    let server = start();
    server.apply(pod("a", "web"));
    server.set_fault("pods", Some(Fault::Status(403)));
    let (code, status) = get(&server, PODS);
    assert_eq!((code, &status["kind"], &status["reason"]), (403, &json!("Status"), &json!("Forbidden")));
    server.set_fault("pods", Some(Fault::TooMany(7)));
    let (code, head, _) = open(&server, &format!("GET {PODS}"), "");
    assert!(code == 429 && head.contains("retry-after: 7"), "{head}");
    server.set_fault("pods", None);
    server.set_faults(|faults| faults.token = Some("t".to_owned()));
    assert_eq!(get(&server, PODS).0, 401);
    assert_eq!(ask(&server, &format!("GET {PODS}\nAuthorization: Bearer t"), &Value::Null).0, 200);
    server.set_faults(|faults| {
        faults.token = None;
        faults.only_namespace = Some("a".to_owned());
    });
    assert_eq!(get(&server, PODS).0, 403);
    assert_eq!(get(&server, "/api/v1/namespaces/a/pods").0, 200);
    assert_eq!(get(&server, "/api/v1/namespaces/a").0, 404, "allowed, and not there");
    assert_eq!(get(&server, "/api/v1/namespaces/b").0, 403);
}

#[test]
fn a_server_that_stops_closes_what_is_open_and_knows_everything_later() {
    let mut server = start();
    server.apply(pod("a", "web"));
    let mut watch = Watch::open(&server, &format!("{PODS}?watch=1&resourceVersion=0"));
    assert_eq!(watch.next(), "ADDED a");
    let address = server.address();
    server.stop();
    assert!(watch.0.read_line(&mut String::new()).is_ok_and(|count| count == 0));
    assert!(TcpStream::connect(address).is_err());
    server.listen(TcpListener::bind(address).unwrap()).unwrap();
    assert_eq!(get(&server, "/api/v1/namespaces/a/pods/a").0, 200);
    assert_eq!(get(&server, "/version").1["major"], "1");
}
