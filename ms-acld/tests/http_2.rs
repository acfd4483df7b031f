//! HTTP/2, without TLS and without an upgrade.

mod common;

use common::{Daemon, alone};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};

#[test]
fn many_requests_share_a_connection() {
    alone("many_requests_share_a_connection", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(daemon.address).await.unwrap();
            let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let send = |method: &str, body: &'static str| {
                let request =
                    Request::builder().method(method).uri(format!("http://{}/policy", daemon.address));
                let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
                let mut client = client.clone();
                async move {
                    let response = client.send_request(request).await.unwrap();
                    let status = response.status().as_u16();
                    (status, response.into_body().collect().await.unwrap().to_bytes())
                }
            };
            let document = r#"{"defaultAction":"DENY","deployments":[]}"#;
            let writers = tokio::join!(send("PUT", document), send("PUT", document), send("PUT", document));
            assert_eq!((writers.0.0, writers.1.0, writers.2.0), (200, 200, 200));
            assert_eq!(send("GET", "").await, (200, Bytes::from_static(document.as_bytes())));
            assert_eq!(send("PUT", "{").await.0, 400);
            assert_eq!(send("POST", "").await.0, 405);
        });
        assert_eq!(daemon.status()["generation"], 4);
    });
}
