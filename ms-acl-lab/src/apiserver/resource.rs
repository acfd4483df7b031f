//! What kinds a server has, and what a path names.

/// A kind that a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The kind's group; empty = the core's.
    pub group: String,
    /// The version of the group.
    pub version: String,
    /// The kind as objects name it.
    pub kind: String,
    /// The kind as paths name it.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether `status` is written by requests of its own only.
    pub has_status: bool,
}

impl Resource {
    /// A custom kind with a status of its own, as a CustomResourceDefinition would bring it.
    pub fn custom(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) -> Self {
        Resource::new(group, version, kind, plural, namespaced, true)
    }

    fn new(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool, has_status: bool) -> Self {
        Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced,
            has_status,
        }
    }

    /// The kinds that every server has, as far as ms-acl has to do with them.
    pub(super) fn built_in() -> Vec<Resource> {
        vec![
            Resource::new("", "v1", "Namespace", "namespaces", false, true),
            Resource::new("", "v1", "Node", "nodes", false, true),
            Resource::new("", "v1", "Pod", "pods", true, true),
            Resource::new("apps", "v1", "Deployment", "deployments", true, true),
            Resource::new("apps", "v1", "ReplicaSet", "replicasets", true, true),
            Resource::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true, false),
            Resource::new("coordination.k8s.io", "v1", "Lease", "leases", true, false),
        ]
    }

    /// `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    /// The namespace; empty = all, or none.
    pub(super) namespace: String,
    /// One object; empty = all of them.
    pub(super) name: String,
    /// `status`, or another part of an object; empty = all of it.
    pub(super) part: String,
}

impl Place {
    /// Reads a path; `None`: it names no objects.
    pub(super) fn of(path: &str) -> Option<Place> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, plural, name, part) = match *rest {
            // Parts of a Namespace itself, not of something in it.
            ["namespaces", name, part @ ("status" | "finalize")] => ("", "namespaces", name, part),
            ["namespaces", namespace, plural] => (namespace, plural, "", ""),
            ["namespaces", namespace, plural, name] => (namespace, plural, name, ""),
            ["namespaces", namespace, plural, name, part] => (namespace, plural, name, part),
            [plural] => ("", plural, "", ""),
            [plural, name] => ("", plural, name, ""),
            [plural, name, part] => ("", plural, name, part),
            _ => return None,
        };
        Some(Place {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            part: part.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_kinds_namespaces_objects_and_parts() {
        let read = |path: &str| {
            let place = Place::of(path)?;
            Some([place.group, place.plural, place.namespace, place.name, place.part].join("|"))
        };
        assert_eq!(read("/api/v1/pods").as_deref(), Some("|pods|||"));
        assert_eq!(read("/api/v1/namespaces/a/pods/p").as_deref(), Some("|pods|a|p|"));
        assert_eq!(read("/api/v1/namespaces/a").as_deref(), Some("|namespaces||a|"));
        assert_eq!(read("/api/v1/namespaces/a/status").as_deref(), Some("|namespaces||a|status"));
        assert_eq!(read("/apis/apps/v1/deployments").as_deref(), Some("apps|deployments|||"));
        assert_eq!(
            read("/apis/acl.ms.io/v1alpha1/aclpolicies/p/status").as_deref(),
            Some("acl.ms.io|aclpolicies||p|status")
        );
        assert_eq!(read("/api/v1"), None);
        assert_eq!(read("/version"), None);
    }
}
