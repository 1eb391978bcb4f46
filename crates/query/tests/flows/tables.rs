//! What flow tables answer, each for itself and then put together: as agents and their analyzer do.

use skydive_flow::{FlowSearch, FlowSet, FlowsFound, Merge, Want};
use skydive_value::Coverage;

/// The answer of some tables to a search.
pub(crate) fn find<'t>(tables: impl Iterator<Item = &'t FlowSet>, search: &FlowSearch) -> FlowsFound {
    let FlowSearch { filter, range, sort, dedup, want, .. } = search;
    let merge = Merge { sort: sort.clone(), dedup: dedup.clone() };
    let mut found = FlowsFound::default();
    for table in tables {
        found.coverage.add(Coverage::complete());
        let mut set = table.clone();
        set.filter(filter);
        if *want == Want::Count {
            found.count += set.flows.len() as u64;
            continue;
        }
        if let Some(sort) = sort {
            set.sort(sort);
        }
        if let Some(by) = dedup {
            set.dedup(by);
        }
        if let Some(range) = range {
            set.slice(0..range.end as usize);
        }
        if *want == Want::Flows {
            set.flows.iter_mut().for_each(|flow| flow.raw_packets.clear());
        }
        found.set.merge(set, &merge);
    }
    found.count = search.count_of(found.count);
    if let Some(range) = range {
        found.set.slice(range.start as usize..range.end as usize);
    }
    found
}
