//! Answers who may reach whom, and why: `answer-verdict shop.yaml shop/web-1 shop/db-1 5432/tcp`.
#![forbid(unsafe_code)]

use std::error::Error;

use ms_acl_core::cluster::Cluster;
use ms_acl_core::model::Settings;
use ms_acl_core::object::Object;
use ms_acl_core::verdict::explain::Question;
use ms_acl_core::verdict::{Nodes, explain};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, from, to, port] = &arguments[..] else {
        return Err("usage: answer-verdict FILE FROM TO PORT".into());
    };
    let mut cluster = Cluster::new();
    for document in serde_saphyr::from_multiple(&std::fs::read_to_string(file)?)? {
        match Object::decode(document) {
            Ok(object) => object.into_iter().for_each(|object| cluster.apply(object)),
            Err(error) => cluster.apply_undecodable(&error),
        }
    }

    // The name of a node doesn't matter here: a flow is judged on the nodes of both its ends, by the
    // very rules that their kernels would run.
    let settings = Settings::new("");
    let mut nodes = Nodes::new(&cluster, &settings);
    let question = Question { from: from.parse()?, to: to.parse()?, port: port.parse()? };
    // Which addresses the nodes have besides those that their Node objects list isn't known here.
    let explanation = explain(&mut nodes, &question, &|_| Vec::new())?;
    println!("{}", explanation.trail.verdict);
    print!("{explanation}");
    Ok(())
}
