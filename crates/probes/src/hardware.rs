//! What the machine is: processors, operating system, kernel, virtualisation; on the host's node.

use skydive_graph::Mutation;

use crate::{BoxFuture, BuildError, Probe, ProbeConfig, ProbeDef, ProbeError, ProbeScope};

/// See [`crate::PROBES`].
pub(crate) const DEF: ProbeDef = ProbeDef {
    name: "hardware",
    about: "processors, operating system, kernel and virtualisation of the host",
    needs: &[],
    always: true,
    build,
};

struct Hardware {
    host_node: skydive_value::Id,
}

fn build(config: &ProbeConfig) -> Result<Box<dyn Probe>, BuildError> {
    Ok(Box::new(Hardware { host_node: config.host_node.clone() }))
}

impl Probe for Hardware {
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>> {
        Box::pin(async move {
            let ops = Vec::new();
            let _ = scope.send(vec![Mutation::update_node(self.host_node, ops)]).await;
            scope.stopped().await;
            Ok(())
        })
    }
}
