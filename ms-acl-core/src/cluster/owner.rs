//! Which Deployment a pod belongs to.

use super::{Cluster, key};
use crate::lower::acl::AclDocument;
use crate::lower::workload::deployment_by_name;
use crate::model::{Diagnostic, PodFacts, PodOwner, Severity, Subject};
use crate::ruleset::ObjectRef;

impl Cluster {
    /// The name of the Deployment, in the pod's namespace, that a pod belongs to: the one that
    /// controls its ReplicaSet; where that isn't known, the one after which the ReplicaSet is named;
    /// where nobody owns the pod, the only one whose selector matches.
    pub fn deployment_of<'a>(&'a self, pod: &'a PodFacts) -> Option<&'a str> {
        match &pod.owner {
            PodOwner::ReplicaSet { name, template_hash } => {
                match self.replica_sets.get(&key(&pod.namespace, name)) {
                    Some(deployment) => deployment.as_deref(),
                    None => deployment_by_name(name, template_hash.as_deref()?),
                }
            }
            PodOwner::Nobody => match self.selecting_deployments(pod)[..] {
                [name] => Some(name),
                _ => None,
            },
            PodOwner::Other => None,
        }
    }

    fn selecting_deployments<'a>(&'a self, pod: &'a PodFacts) -> Vec<&'a str> {
        let start = key(&pod.namespace, "");
        let in_namespace = self.deployments.range(start..).take_while(|((ns, _), _)| **ns == *pod.namespace);
        // An empty selector is invalid for a Deployment: one that has none selects nobody.
        let selecting =
            in_namespace.filter(|(_, selector)| !selector.is_everything() && selector.matches(&pod.labels));
        selecting.map(|((_, name), _)| name.as_str()).collect()
    }

    /// What is in force but hardly meant: entries for Deployments that don't exist, and pods that two
    /// Deployments select.
    pub(super) fn acl_warnings(&self) -> Vec<Diagnostic> {
        let mut warnings = Vec::new();
        let warn = |object: ObjectRef, detail: String| Diagnostic {
            object,
            path: String::new(),
            severity: Severity::Warning,
            detail,
        };
        let mut namespaces = std::collections::BTreeSet::new();
        for policy in self.acl.policies() {
            let Subject::Deployment { namespace, name } = &policy.subject else { continue };
            namespaces.insert(namespace.as_str());
            if !self.deployments.contains_key(&(namespace.clone(), name.clone())) {
                let object = ObjectRef::new(AclDocument::KIND, namespace, name);
                let detail = format!(
                    "the Deployment {namespace}/{name} doesn't exist; the entry takes effect when it appears"
                );
                warnings.push(warn(object, detail));
            }
        }
        for pod in self.pods().filter(|pod| namespaces.contains(&*pod.namespace)) {
            if pod.owner != PodOwner::Nobody || pod.addresses.is_empty() {
                continue;
            }
            let selecting = self.selecting_deployments(pod);
            if selecting.len() > 1 {
                let object = ObjectRef::new("Pod", &*pod.namespace, &*pod.name);
                let list = selecting.join(" and ");
                let detail =
                    format!("no owner, and the Deployments {list} all select it: no ACL is in force for it");
                warnings.push(warn(object, detail));
            }
        }
        warnings
    }
}
