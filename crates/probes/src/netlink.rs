//! Interfaces of every known network namespace, what they are, and how they are connected.
//!
//! One thread of `sys` reads netlink for all namespaces; one task, [`run`], owns everything known about interfaces
//! (`model`), turns what the thread tells into changes of it, and sends the difference between what is known and
//! what the graph was told. Starting, losing notifications and reading again are therefore the same thing: tables
//! are read and the difference is sent.
//!
//! | file | holds |
//! |---|---|
//! | `model` | namespaces and interfaces, opening and closing |
//! | `links` | interfaces coming, changing, leaving; who is behind a namespace id |
//! | `lists` | addresses, neighbours, forwarding entries |
//! | `routes` | routes |
//! | `counters` | samples of counters |
//! | `fields` | facts → metadata |
//! | `edges` | who is connected to whom |
//! | `pairs` | the two halves of a pair finding each other |
//! | `show` | what changed → mutations |
//! | `agenda` | what to do later |

mod agenda;
mod counters;
mod edges;
mod fields;
mod links;
mod lists;
mod model;
mod pairs;
mod routes;
mod show;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use skydive_sys::{NsId, Privileges, Reader, Refused};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::{BoxFuture, BuildError, Need, Probe, ProbeConfig, ProbeDef, ProbeError, ProbeScope, Stopped};
use model::{Missing, Model};

/// See [`crate::PROBES`].
pub(crate) const DEF: ProbeDef = ProbeDef {
    name: "netlink",
    about: "interfaces, their addresses, routes, neighbours, counters and links",
    needs: &[Need::Capability("CAP_SYS_ADMIN")],
    always: true,
    build,
};

/// Reports of the reading thread that may wait. Each can be the tables of a namespace; more would only be memory.
const REPORTS: usize = 64;

/// Mutations sent as one: the owner of the graph serves others in between.
const MUTATIONS: usize = 1024;

struct Netlink {
    config: ProbeConfig,
}

fn build(config: &ProbeConfig) -> Result<Box<dyn Probe>, BuildError> {
    if config.metrics_update < Duration::from_millis(100) {
        return Err(BuildError("metrics_update is below 100 ms".into()));
    }
    Ok(Box::new(Netlink { config: config.clone() }))
}

impl Probe for Netlink {
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>> {
        Box::pin(run(self.config, scope))
    }
}

async fn run(config: ProbeConfig, scope: ProbeScope) -> Result<(), ProbeError> {
    let fault = |what: &str| {
        let what = what.to_owned();
        move |source| ProbeError::Source { what, source }
    };
    let may_enter = Privileges::read().map_err(fault("own capabilities"))?.sys_admin;
    let own = NsId::here().map_err(fault("own namespace"))?;
    // A refusal shows later, as a namespace that cannot be opened.
    let _ = skydive_sys::raise_nofile();
    let entering = skydive_sys::Namespaces::start().map_err(fault("thread for namespaces"))?;
    let (reports, inbox) = mpsc::channel(REPORTS);
    let reader = Reader::start(entering, reports).map_err(fault("thread for netlink"))?;

    watch(config, own, may_enter, &scope, &reader, inbox).await
}

/// Owns the end where the reports come out, so that it is gone before the thread is waited for, which may itself
/// wait for room in it.
async fn watch(
    config: ProbeConfig,
    own: NsId,
    may_enter: bool,
    scope: &ProbeScope,
    reader: &Reader,
    mut inbox: mpsc::Receiver<skydive_sys::Report>,
) -> Result<(), ProbeError> {
    let mut known = config.namespaces.watch();
    let telemetry = config.telemetry.clone();
    let mut malformed = 0;
    let mut model = Model::new(config, own, may_enter, Instant::now());
    let table = known.borrow_and_update().clone();
    model.set_namespaces(&table);
    let mut batch = Vec::with_capacity(REPORTS);
    loop {
        let wake = model.next_due();
        tokio::select! {
            () = scope.stopped() => return Ok(()),
            count = inbox.recv_many(&mut batch, REPORTS) => {
                if count == 0 {
                    // What was shown cannot be kept true; the next run shows it anew.
                    let _ = send(scope, model.clear()).await;
                    return Err(ProbeError::Other("the netlink thread has ended".into()));
                }
                let (now, at) = (Instant::now(), scope.now());
                for report in batch.drain(..) {
                    model.take(report, now, at);
                }
            }
            changed = known.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let table = known.borrow_and_update().clone();
                model.set_namespaces(&table);
            }
            () = sleep_until(wake) => model.do_due(Instant::now()),
            () = reader.room(), if model.has_commands() => {}
        }
        while let Some(command) = model.next_command() {
            match reader.send(command) {
                Ok(()) => {}
                Err(Refused::Full(command)) => {
                    model.keep_command(command);
                    break;
                }
                // The closed channel of reports is handled above.
                Err(Refused::Ended) => break,
            }
        }
        let so_far = reader.counters().malformed.load(Ordering::Relaxed);
        telemetry.netlink_malformed_more(so_far - std::mem::replace(&mut malformed, so_far));
        let mutations = model.show(Instant::now(), scope.now());
        if send(scope, mutations).await.is_err() || tell_health(&mut model, scope).await.is_err() {
            return Ok(());
        }
    }
}

async fn send(scope: &ProbeScope, mut mutations: Vec<skydive_graph::Mutation>) -> Result<(), Stopped> {
    while mutations.len() > MUTATIONS {
        let rest = mutations.split_off(MUTATIONS);
        scope.send(std::mem::replace(&mut mutations, rest)).await?;
    }
    scope.send(mutations).await
}

async fn tell_health(model: &mut Model, scope: &ProbeScope) -> Result<(), Stopped> {
    match model.health(Instant::now()) {
        None => Ok(()),
        Some(Missing::Nothing) => scope.running().await,
        Some(Missing::This(why)) => scope.degraded(why).await,
    }
}
