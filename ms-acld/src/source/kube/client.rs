//! The way to the API server.

use std::env;
use std::time::Duration;

use anyhow::Context;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use log::warn;
use tower::{BoxError, ServiceBuilder};

/// How long a connection may take until it stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent before the other end is asked whether it is still there…
const KEEPALIVE: Duration = Duration::from_secs(20);
/// …how often, and how long it has to answer: a node that lost its network notices within a minute.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 4;
const UNANSWERED: Duration = Duration::from_secs(30);

/// Where the API server is and who we are there: KUBECONFIG where it is set, else the pod's own
/// ServiceAccount, else the kubeconfig of the user.
pub(super) async fn configuration() -> anyhow::Result<Config> {
    if env::var_os("KUBECONFIG").is_none() && env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Config::incluster().context("can't use the pod's ServiceAccount");
    }
    Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .context("no API server is known (--source kube needs a pod's ServiceAccount, or KUBECONFIG)")
}

/// A client that notices when the other end is gone. Must be called inside a runtime.
pub(super) fn connect(config: &Config) -> anyhow::Result<Client> {
    // Whatever else is linked in, there is one answer to the question. A second one changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if config.proxy_url.is_some() {
        warn!("the API server is asked directly, not by the proxy that is set");
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    connector.set_tcp_user_timeout(Some(UNANSWERED));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector));
    Ok(Client::new(service, config.default_namespace.clone()))
}
