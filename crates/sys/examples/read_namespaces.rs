//! Reads every namespace under `/run/netns` and says how long it took: the figure behind the bar of 1,000 namespaces.

use std::time::{Duration, Instant};

use skydive_sys::{Command, Namespaces, NsKey, NsRef, Reader, Report, raise_nofile};

#[expect(clippy::disallowed_methods, reason = "measuring is what it is for")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!("files allowed: {}", raise_nofile()?);
    let start = Instant::now();
    let (reports, mut inbox) = tokio::sync::mpsc::channel(256);
    let reader = Reader::start(Namespaces::start()?, reports)?;
    let mut places = vec![NsRef::Here];
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten() {
        places.push(NsRef::Path(entry?.path()));
    }
    let mut backlog =
        places.iter().cloned().zip(0..).map(|(place, key)| Command::Watch(NsKey(key), place)).collect();
    let (mut done, mut links, mut addrs, mut routes, mut neighs, mut fdb) = (0, 0, 0, 0, 0, 0);
    while done < places.len() {
        push(&reader, &mut backlog);
        match inbox.recv().await {
            Some(Report::Facts(_, facts)) => {
                done += 1;
                links += facts.links.map_or(0, |l| l.len());
                addrs += facts.addrs.map_or(0, |l| l.len());
                routes += facts.routes.map_or(0, |l| l.len());
                neighs += facts.neighs.map_or(0, |l| l.len());
                fdb += facts.fdb.map_or(0, |l| l.len());
                for refused in facts.refused {
                    println!("refused: {refused:?}");
                }
            }
            Some(Report::Failed(key, error)) => {
                done += 1;
                println!("{:?}: {error:?}", places.get(key.0 as usize));
            }
            Some(_) => {}
            None => break,
        }
    }
    println!(
        "{done} namespaces, {links} links, {addrs} addresses, {routes} routes, {neighs} neighbours, {fdb} fdb: {:?}",
        start.elapsed()
    );
    let start = Instant::now();
    let mut backlog = vec![Command::ReadStats((0..places.len() as u32).map(NsKey).collect())];
    push(&reader, &mut backlog);
    while !matches!(inbox.recv().await, Some(Report::Stats(_)) | None) {}
    println!("counters of all: {:?}", start.elapsed());
    let start = Instant::now();
    let held = skydive_sys::process_namespaces()?;
    println!(
        "{} namespaces held by processes, {} hidden: {:?}",
        held.held.len(),
        held.hidden,
        start.elapsed()
    );
    let start: Duration = {
        let s = Instant::now();
        drop(reader);
        s.elapsed()
    };
    println!("closed in {start:?}");
    Ok(())
}

fn push(reader: &Reader, backlog: &mut Vec<Command>) {
    while let Some(command) = backlog.pop() {
        if let Err(skydive_sys::Refused::Full(command)) = reader.send(command) {
            backlog.push(command);
            break;
        }
    }
}
