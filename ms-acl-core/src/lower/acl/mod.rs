//! The Deployment ACL document: `PUT /policy`, the AclPolicy object and the annotation say the same.
//!
//! The document is validated as a value tree, so that every fault is found at once and each names
//! its place by a JSON pointer.

mod read;
mod rule;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Tree, name};
use crate::model::{Action, Policy, Section, Subject};
use crate::ruleset::{Direction, GateKind, ObjectRef};
use read::{Fields, Reader};

/// A fault of a document, or a warning about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclFault {
    /// JSON pointer to the place: `/deployments/0/rules/2/srcCIDR`.
    pub path: String,
    /// What is wrong there.
    pub detail: String,
}

/// A valid document.
#[derive(Debug, Clone, PartialEq)]
pub struct AclDocument {
    source: Tree,
    policies: Vec<Arc<Policy>>,
    by_deployment: BTreeMap<(String, String), usize>,
    rules: usize,
    warnings: Vec<AclFault>,
}

impl Default for AclDocument {
    fn default() -> Self {
        let source = Tree::Map(vec![
            ("defaultAction".to_owned(), Tree::String("ALLOW".to_owned())),
            ("deployments".to_owned(), Tree::Seq(Vec::new())),
        ]);
        AclDocument {
            source,
            policies: Vec::new(),
            by_deployment: BTreeMap::new(),
            rules: 0,
            warnings: Vec::new(),
        }
    }
}

impl AclDocument {
    /// The kind by which an entry's policy is named in diagnostics and provenance.
    pub const KIND: &'static str = "Acl";

    /// Validates a document. The error holds every fault of it.
    pub fn parse(source: Tree) -> Result<Self, Vec<AclFault>> {
        let mut reader = Reader::default();
        let (policies, rules) = document(&mut reader, &source);
        if reader.faults.is_empty() {
            let name = |policy: &Policy| (policy.object.namespace.clone(), policy.object.name.clone());
            let by_deployment =
                policies.iter().enumerate().map(|(index, policy)| (name(policy), index)).collect();
            Ok(AclDocument { source, policies, by_deployment, rules, warnings: reader.warnings })
        } else {
            Err(reader.faults)
        }
    }

    /// The document with its values in their order, as it was given.
    pub fn source(&self) -> &Tree {
        &self.source
    }

    /// One policy for each listed Deployment, in the order of the document.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The policy for a Deployment, if it is listed.
    pub fn policy_of(&self, namespace: &str, name: &str) -> Option<&Arc<Policy>> {
        let index = self.by_deployment.get(&(namespace.to_owned(), name.to_owned()))?;
        self.policies.get(*index)
    }

    /// The number of Deployments that it lists.
    pub fn deployments(&self) -> usize {
        self.policies.len()
    }

    /// The number of rules in it.
    pub fn rules(&self) -> usize {
        self.rules
    }

    /// What is in force but hardly meant.
    pub fn warnings(&self) -> &[AclFault] {
        &self.warnings
    }
}

fn document(reader: &mut Reader, source: &Tree) -> (Vec<Arc<Policy>>, usize) {
    let fields = reader.fields("", source, &["defaultAction", "deployments"]);
    let default = default_action(reader, &fields).unwrap_or(Action::Accept);
    let mut policies = Vec::new();
    let mut rules = 0;
    let mut seen = BTreeMap::new();
    for (path, item) in reader.list(&fields, "deployments") {
        let Some((policy, count)) = entry(reader, &path, item, default) else { continue };
        rules += count;
        let name = (policy.object.namespace.clone(), policy.object.name.clone());
        if let Some(first) = seen.get(&name) {
            reader.fault(
                &path,
                format!("the Deployment {}/{} is listed twice, first at {first}", name.0, name.1),
            );
        } else {
            seen.insert(name, path);
        }
        policies.push(Arc::new(policy));
    }
    (policies, rules)
}

fn default_action(reader: &mut Reader, fields: &Fields<'_>) -> Option<Action> {
    let (path, value) = fields.get("defaultAction")?;
    action(reader, &path, value)
}

fn entry(reader: &mut Reader, path: &str, item: &Tree, default: Action) -> Option<(Policy, usize)> {
    let fields = reader.fields(path, item, &["namespace", "name", "defaultAction", "rules"]);
    let namespace = name_of(reader, &fields, "namespace", name::is_label);
    let name = name_of(reader, &fields, "name", name::is_subdomain);
    let otherwise = default_action(reader, &fields).unwrap_or(default);
    // Without a name the rules are read all the same: every fault is told at once.
    let named = namespace.is_some() && name.is_some();
    let object = ObjectRef::new(AclDocument::KIND, namespace.unwrap_or_default(), name.unwrap_or_default());
    let mut sections: BTreeMap<Direction, Vec<_>> = BTreeMap::new();
    let mut count = 0;
    for (index, (path, item)) in reader.list(&fields, "rules").into_iter().enumerate() {
        count += 1;
        if let Some((direction, rule)) = rule::rule(reader, &path, item, index, &object) {
            sections.entry(direction).or_default().push(rule);
        }
    }
    if count == 0 {
        sections.insert(Direction::Ingress, Vec::new());
    }
    let mut section = |direction| {
        sections.remove(&direction).map(|rules| Section { gate: GateKind::Acl, rules, otherwise })
    };
    let (egress, ingress) = (section(Direction::Egress), section(Direction::Ingress));
    let subject = Subject::Deployment { namespace: object.namespace.clone(), name: object.name.clone() };
    named.then_some((Policy { object, subject, egress, ingress }, count))
}

fn action(reader: &mut Reader, path: &str, value: &Tree) -> Option<Action> {
    let text = reader.text(path, value)?;
    match text.to_ascii_uppercase().as_str() {
        "ALLOW" | "ACCEPT" => Some(Action::Accept),
        "DENY" | "DROP" => Some(Action::Deny),
        "REJECT" => Some(Action::Reject),
        "RETURN" => Some(Action::Allow),
        _ => {
            reader.fault(path, format!("{text:?} is not an action: ALLOW, DENY, REJECT and RETURN are"));
            None
        }
    }
}

/// A name that `fits`.
fn name_of(reader: &mut Reader, fields: &Fields<'_>, field: &str, fits: fn(&str) -> bool) -> Option<String> {
    let Some((path, value)) = fields.get(field) else {
        reader.fault(&fields.path_of(field), "is missing".to_owned());
        return None;
    };
    let text = reader.text(&path, value)?;
    if !fits(text) {
        reader.fault(&path, format!("{text:?} can't be the {field} of a Deployment"));
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests;
