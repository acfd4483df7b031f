//! An API server for tests: it lists, watches and stores as a real one does, and goes wrong on demand.
//!
//! It has the kinds that ms-acl looks at, Leases, and whatever custom kinds it is given. It validates
//! nothing: any object may be stored, also one that no real server would take. Tests drive it from outside
//! by [`ApiServer::apply`] and its siblings, and programs through HTTP.

mod fault;
mod resource;
mod select;
mod serve;
mod store;
mod stream;
mod tls;
mod verbs;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub use fault::{Fault, Faults, Streaming};
pub use resource::Resource;
use serve::Shared;
use store::Store;
use tls::Tls;

/// A server. Dropping it ends it.
#[derive(Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    listening: Option<JoinHandle<()>>,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl ApiServer {
    /// Starts a server without objects. The listener may belong to any network namespace.
    pub fn start(listener: TcpListener) -> io::Result<Self> {
        Self::start_with(listener, None)
    }

    /// The same over HTTPS, with a certificate for the listener's address from an authority of its own.
    pub fn start_tls(listener: TcpListener) -> io::Result<Self> {
        let tls = Tls::new(listener.local_addr()?.ip())?;
        Self::start_with(listener, Some(tls))
    }

    fn start_with(listener: TcpListener, tls: Option<Tls>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut server = ApiServer {
            shared: Arc::new(Shared::new(Store::new(Resource::built_in()))),
            runtime: Some(runtime),
            listening: None,
            address: listener.local_addr()?,
            tls,
        };
        server.listen(listener)?;
        Ok(server)
    }

    /// Serves on a listener, after [`ApiServer::stop`]: what is stored is still there.
    pub fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        self.stop();
        self.address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let tls = self.tls.as_ref().map(Tls::acceptor);
        self.listening = Some(runtime.spawn(accept(listener, Arc::clone(&self.shared), tls)));
        Ok(())
    }

    /// Closes all connections and the listener, at once and without a word.
    pub fn stop(&mut self) {
        let (Some(listening), Some(runtime)) = (self.listening.take(), &self.runtime) else { return };
        listening.abort();
        // Its sockets are closed when it has ended.
        let _ = runtime.block_on(listening);
    }

    /// Where it serves, or served last.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority behind this server's, in PEM; without TLS there is none.
    pub fn authority(&self) -> Option<&str> {
        self.tls.as_ref().map(Tls::authority)
    }

    /// Writes a kubeconfig that leads here.
    pub fn write_kubeconfig(&self, path: &Path, token: Option<&str>) -> io::Result<()> {
        let mut cluster = json!({"server": format!("http://{}", self.address)});
        if let Some(authority) = self.authority() {
            let file = path.with_extension("ca.crt");
            std::fs::write(&file, authority)?;
            cluster = json!({"server": format!("https://{}", self.address), "certificate-authority": file});
        }
        let user = token.map_or_else(|| json!({}), |token| json!({"token": token}));
        // JSON is YAML.
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": cluster}], "users": [{"name": "lab", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}]});
        std::fs::write(path, config.to_string())
    }

    /// Adds a kind, as the creation of a CustomResourceDefinition does.
    pub fn add_resource(&self, resource: Resource) {
        self.shared.store().add_resource(resource);
    }

    /// Changes how it behaves. What is going on already goes on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults());
    }

    /// Makes a kind go wrong, or go well again.
    pub fn set_fault(&self, plural: &str, fault: Option<Fault>) {
        self.set_faults(|faults| match fault {
            Some(fault) => {
                faults.kinds.insert(plural.to_owned(), fault);
            }
            None => {
                faults.kinds.remove(plural);
            }
        });
    }

    /// Stores an object, new or in place of the former one, and returns it as stored.
    ///
    /// # Panics
    ///
    /// The object has no metadata, or is of a kind that the server doesn't have.
    pub fn apply(&self, object: Value) -> Value {
        let kind = self.shared.store().kind_of(&object);
        let kind = kind.unwrap_or_else(|| panic!("the API server has no kind for {object}"));
        assert!(object["metadata"].is_object(), "an object without metadata: {object}");
        self.shared.change(|store| store.put(kind, object))
    }

    /// Stores many objects.
    pub fn apply_all(&self, objects: impl IntoIterator<Item = Value>) {
        for object in objects {
            self.apply(object);
        }
    }

    /// Stores a text as an object, whatever it says.
    pub fn put_text(&self, plural: &str, namespace: &str, name: &str, text: &str) {
        let kind = self.kind(plural);
        self.shared.change(|store| store.put_text(kind, namespace, name, text));
    }

    /// Sends a line to all watches of a kind that is no event.
    pub fn send_line(&self, plural: &str, line: &str) {
        let kind = self.kind(plural);
        self.shared.change(|store| store.put_line(kind, line));
    }

    /// Removes an object. Whether there was one.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) -> bool {
        let kind = self.kind(plural);
        self.shared.change(|store| store.delete(kind, namespace, name)).is_ok()
    }

    /// An object as it is stored.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = self.kind(plural);
        let store = self.shared.store();
        let text = Arc::clone(&store.get(kind, namespace, name).ok()?.text);
        serde_json::from_str(&text).ok()
    }

    /// Forgets what happened until now: watches that go on from an earlier version get 410.
    pub fn compact(&self) {
        self.shared.store().compact();
    }

    /// Ends all watches, as a server does at the end of their time.
    pub fn end_watches(&self) {
        self.shared.breaks.send_modify(|count| *count += 1);
    }

    /// The requests since the last call: `GET /api/v1/pods?watch=true&…`.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.requests())
    }

    fn kind(&self, plural: &str) -> usize {
        let store = self.shared.store();
        let place = store.resources().position(|resource| resource.plural == plural);
        place.unwrap_or_else(|| panic!("the API server has no {plural}"))
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves every connection until this is aborted, which ends them too.
async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // Events go out as they happen.
        let _ = stream.set_nodelay(true);
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve_connection(stream, shared).await,
                // Who doesn't trust this server goes away, and that is all.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve_connection(stream, shared).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| serve::answer(Arc::clone(&shared), request));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // How a connection ends is its client's affair.
    let _ = connection.await;
}
