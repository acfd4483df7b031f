//! NetworkPolicy, `networking.k8s.io/v1`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{LabelSelector, Metadata, null_is_default};

/// A NetworkPolicy.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Its metadata.
    pub metadata: Metadata,
    /// What it says.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: NetworkPolicySpec,
}

/// `spec` of a NetworkPolicy. Absent lists are empty ones.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicySpec {
    /// The pods of the policy's namespace that it isolates; empty = all of them.
    #[serde(deserialize_with = "null_is_default")]
    pub pod_selector: LabelSelector,
    /// `Ingress`, `Egress`; empty = Ingress, and Egress iff there are egress rules.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub policy_types: Vec<String>,
    /// What may come in.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<NetworkPolicyIngressRule>,
    /// What may go out.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<NetworkPolicyEgressRule>,
}

/// A rule for traffic to the pods.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyIngressRule {
    /// From whom, any of them; empty = from everywhere.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<NetworkPolicyPeer>,
    /// To which ports, any of them; empty = all ports of all protocols.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<NetworkPolicyPort>,
}

/// A rule for traffic from the pods.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyEgressRule {
    /// To whom, any of them; empty = to everywhere.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<NetworkPolicyPeer>,
    /// To which ports, any of them; empty = all ports of all protocols.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<NetworkPolicyPort>,
}

/// A peer: either a block of addresses, or pods by namespace and labels.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyPeer {
    /// Pods with these labels; absent with a namespace selector = all pods of the namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces with these labels; absent = the policy's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// A block of addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
}

/// A block of addresses with holes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IpBlock {
    /// The block.
    pub cidr: String,
    /// The holes, each inside of the block.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// Ports of one protocol.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyPort {
    /// `TCP`, `UDP` or `SCTP`; absent = TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// A number, or the name of a container port; absent = every port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<IntOrString>,
    /// The last port of a range that starts at `port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_port: Option<i64>,
}

/// A number or a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A text.
    String(String),
}

/// What can be read of a policy that doesn't decode: whom it selects and in which directions. Parts
/// that can't be read are read so that more is refused, not less: a selector that is broken selects
/// every pod of the namespace. `None`: not even the object's name can be read.
pub(super) fn remains_of(value: &Value) -> Option<NetworkPolicy> {
    let text = |field: &str| value.get("metadata")?.get(field)?.as_str().map(str::to_owned);
    let metadata = Metadata {
        name: text("name")?,
        namespace: text("namespace").unwrap_or_default(),
        ..Metadata::default()
    };
    let empty = Value::Null;
    let spec = value.get("spec").unwrap_or(&empty);
    let part = |field: &str| spec.get(field).unwrap_or(&empty);
    let pod_selector = match part("podSelector") {
        selector @ Value::Object(_) => LabelSelector::deserialize(selector).unwrap_or_default(),
        _ => LabelSelector::default(),
    };
    let mut policy_types =
        Option::<Vec<String>>::deserialize(part("policyTypes")).unwrap_or(Some(both())).unwrap_or_default();
    let has_egress = match part("egress") {
        Value::Null => false,
        Value::Array(rules) => !rules.is_empty(),
        _ => true,
    };
    // A spec that is no object may have said anything.
    if policy_types.is_empty() && (has_egress || !matches!(spec, Value::Null | Value::Object(_))) {
        policy_types = both();
    }
    Some(NetworkPolicy {
        metadata,
        spec: NetworkPolicySpec { pod_selector, policy_types, ..Default::default() },
    })
}

fn both() -> Vec<String> {
    vec!["Ingress".to_owned(), "Egress".to_owned()]
}
