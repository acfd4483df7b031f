//! Connections and their limits.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use log::{debug, warn};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Api;
use super::places::{Place, Places};
use super::router::{Call, answer};
use crate::args::Bind;

/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The largest head of a request.
const MAX_HEAD: usize = 32 << 10;
const MAX_HEADERS: usize = 64;
/// How many requests of one HTTP/2 connection are answered at the same time.
const MAX_STREAMS: u32 = 64;
/// How long a connection may be without a request.
const IDLE: Duration = Duration::from_secs(30);
/// How long a connection has to come to its end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Listens where the API is to be served.
pub(crate) fn listen(bind: Bind) -> anyhow::Result<TcpListener> {
    let listener = match bind {
        Bind::One(address) => bind_to(address),
        Bind::All(port) => match bind_to((Ipv6Addr::UNSPECIFIED, port).into()) {
            // A kernel without IPv6.
            Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
                bind_to((Ipv4Addr::UNSPECIFIED, port).into())
            }
            outcome => outcome,
        },
    };
    listener.with_context(|| format!("can't serve the HTTP API at {bind}"))
}

fn bind_to(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Serves the API until `end` says so; then what has begun is finished, within a short time.
pub(crate) async fn serve(
    api: Arc<Api>,
    listener: TcpListener,
    mut end: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("can't serve the HTTP API")?;
    let places = Arc::new(Places::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = end.wait_for(|end| *end) => break,
        };
        let (stream, caller) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, for example: it passes.
                warn!("can't accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let caller = SocketAddr::new(caller.ip().to_canonical(), caller.port());
        let Some(seat) = places.take(caller.ip().is_loopback()) else {
            warn!("all connections are busy: another one from {caller} is closed");
            continue;
        };
        let (api, end) = (Arc::clone(&api), end.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(api, stream, (caller, &seat.place), end).await {
                debug!("connection of {caller}: {error}");
            }
            drop(seat);
        });
    }
    let _ = tokio::time::timeout(FAREWELL, places.all_given_back()).await;
    Ok(())
}

async fn connection(
    api: Arc<Api>,
    stream: TcpStream,
    (caller, place): (SocketAddr, &Arc<Place>),
    mut end: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let service = service_fn(|request| {
        let api = Arc::clone(&api);
        let answering = place.begin();
        async move {
            let response = answer(api, Call { request, caller }).await;
            drop(answering);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .keep_alive_interval(IDLE)
        .keep_alive_timeout(HEAD_TIME);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    loop {
        tokio::select! {
            outcome = connection.as_mut() => return outcome,
            _ = end.wait_for(|end| *end) => break,
            () = place.wanted() => break,
            () = tokio::time::sleep(place.left(IDLE)) => {
                if place.left(IDLE).is_zero() {
                    break;
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    // What doesn't end by itself is cut off.
    tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
}
