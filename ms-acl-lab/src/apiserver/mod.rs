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
mod verbs;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

pub use fault::{Fault, Faults, Streaming};
pub use resource::Resource;
use serve::Shared;
use store::Store;

/// A server. Dropping it ends it.
#[derive(Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    listening: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl ApiServer {
    /// Starts a server without objects. The listener may belong to any network namespace.
    pub fn start(listener: TcpListener) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut server = ApiServer {
            shared: Arc::new(Shared::new(Store::new(Resource::built_in()))),
            runtime: Some(runtime),
            listening: None,
            address: listener.local_addr()?,
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
        self.listening = Some(runtime.spawn(accept(listener, Arc::clone(&self.shared))));
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

    /// Writes a kubeconfig that leads here.
    pub fn write_kubeconfig(&self, path: &Path, token: Option<&str>) -> io::Result<()> {
        let user = token.map_or_else(|| "{}".to_owned(), |token| format!("{{\"token\": \"{token}\"}}"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\nclusters:\n- name: lab\n  cluster: {{server: \"http://{}\"}}\nusers:\n- name: lab\n  user: {user}\ncontexts:\n- name: lab\n  context: {{cluster: lab, user: lab}}\n",
            self.address
        );
        std::fs::write(path, text)
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
async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // Events go out as they happen.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| serve::answer(Arc::clone(&shared), request));
        connections.spawn(async move {
            // How a connection ends is its client's affair.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}
