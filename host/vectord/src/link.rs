//! Linking rows that are in the log alone.
//!
//! A graph that lasts takes its time, while writes go on, and until it is built searches
//! would look at each row that came since. Where there are searches such rows therefore
//! get a graph in haste and in memory. It grows with them: each time enough more came,
//! a graph with these takes its place, which keeps the links that were.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::build::{self, Haste};
use crate::builders::Halt;
use crate::error::Result;
use crate::gathered::Gathered;
use crate::index::{Index, View};
use crate::seal::RETRY;
use crate::segment::Segment;
use crate::types::Engine;

/// Rows are linked once there is one for this many of those that are sealed otherwise:
/// to look at each takes not much longer than to walk a graph.
const PART: usize = 4;
/// And once there is one for this many that are linked already, all of which are copied.
const SHARE: usize = 8;
/// How many times as many rows as should be looked at one by one before linking them does
/// not wait for idle processors any more.
const LATE: usize = 2;
/// And before links that are being made patiently are given up, to be made so.
const TOO_LATE: usize = 5;
/// Haste, at least and at most.
const HASTE: RangeInclusive<usize> = 3..=6;

impl Index {
    /// How many times as many rows searches look at one by one as they should.
    fn overdue(&self, view: &View) -> usize {
        let (mut linked, mut plain) = (0, 0);
        for segment in view.tail() {
            match segment.sealed {
                Some(_) => linked += segment.len(),
                None => plain += segment.len(),
            }
        }
        plain / (self.seal_rows / PART).max(linked / SHARE).max(1)
    }

    /// Queues the index for the linker, if searches look one by one at so many rows that
    /// linking these pays.
    pub fn request_links(&self, view: &View) {
        let overdue = self.overdue(view);
        if overdue == 0 {
            return;
        }
        if overdue >= TOO_LATE {
            self.halt_links.store(true, Ordering::SeqCst);
        }
        if !self.links_queued.swap(true, Ordering::AcqRel) {
            self.threads.linker.push(Weak::clone(&self.itself));
        }
    }

    /// Links what is to be linked; called by the linker alone.
    pub fn link(&self) {
        self.links_queued.store(false, Ordering::Release);
        self.link_unless_failed(&mut self.linking.lock());
    }

    /// Links what is to be linked, unless that failed just now; `linking` is locked.
    pub fn link_unless_failed(&self, not_before: &mut Option<Instant>) {
        if not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        if let Err(error) = self.link_tail() {
            tracing::error!(index = self.spec.name, %error, "searching the newest rows one by one");
            *not_before = Some(Instant::now() + RETRY);
        }
    }

    /// Puts one segment with a graph in the place of those that are not being sealed.
    fn link_tail(&self) -> Result<()> {
        let Some((view, mut inputs)) = self.fix_tail() else {
            return Ok(());
        };
        let Some(id) = inputs.last().map(|segment| segment.id) else {
            return Ok(());
        };
        // The more came while the last ones were linked, the less time there is.
        let overdue = self.overdue(&view);
        let haste = Haste::By((HASTE.start() - 1 + overdue).min(*HASTE.end()));
        haste.put_kept_first(&mut inputs);
        let rows = Gathered::new(self.spec.space, &inputs, view.seq);
        let mut linked = None;
        if rows.len() > 0 {
            // Searches with a filter need them, and would wait for them.
            let with_attributes = inputs.iter().any(|input| input.attributes.get().is_some());
            linked = self.make_links(overdue >= LATE, |halt| {
                // The other engine cannot add to a graph.
                let built = build::build(&self.spec, Engine::Own, &rows, haste, halt)?;
                Ok(built.map(|built| {
                    let (segment, order) = Segment::linked(id, &rows, built);
                    if with_attributes {
                        segment.attributes_if_worth();
                    }
                    (segment, order)
                }))
            })?;
            if linked.is_none() {
                return Ok(());
            }
        }
        let writer = self.writer.lock();
        if writer.dropped {
            return Ok(());
        }
        if let Some((segment, order)) = &linked {
            rows.carry_deaths(order, segment);
        }
        let view = self.view();
        let mut segments = view.segments.clone();
        let is_input = |segment: &Arc<Segment>| inputs.iter().any(|input| input.id == segment.id);
        let at = segments.iter().position(is_input).unwrap_or_default();
        segments.retain(|segment| !is_input(segment));
        if let Some((segment, _)) = linked {
            segments.insert(at, Arc::new(segment));
        }
        self.put_view(View { segments, ..*view });
        Ok(())
    }

    /// Makes links, until they are to be given up.
    fn make_links<R: Send>(&self, urgent: bool, make: impl FnOnce(&Halt<'_>) -> R + Send) -> R {
        // Whoever ends the work says so before it sets this.
        self.halt_links.store(false, Ordering::SeqCst);
        let end = match urgent || self.stopping() {
            true => &self.stop,
            false => &self.halt_links,
        };
        self.threads.builders.link(urgent, end, make)
    }

    /// Keeps the segments that are to be linked as they are, if there are any; returns
    /// them and the view that they are in.
    fn fix_tail(&self) -> Option<(Arc<View>, Vec<Arc<Segment>>)> {
        let writer = self.writer.lock();
        let view = self.view();
        if writer.dropped || self.overdue(&view) == 0 {
            return None;
        }
        let inputs: Vec<_> = view.tail().map(Arc::clone).collect();
        self.put_view(View {
            fixed: inputs.last()?.id,
            ..View::clone(&view)
        });
        Some((view, inputs))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::path::Path;

    use super::*;
    use crate::service::{Config, Service};
    use crate::types::{Distance, IndexSpec, Item, Query};

    const SEAL_ROWS: usize = 1600;
    const EACH: usize = SEAL_ROWS / PART;

    fn vector(number: usize) -> Vec<f32> {
        let angle = number as f32 * 0.017;
        vec![angle.cos() * number as f32, angle.sin() * number as f32]
    }

    /// The unsealed segments: how many rows, and how many nodes of a graph in memory.
    fn unsealed(service: &Service) -> Vec<(usize, usize)> {
        let view = service.index("x").unwrap().view();
        let nodes = |segment: &Segment| segment.sealed.as_ref().map_or(0, |s| s.graph.nodes());
        view.unsealed().map(|s| (s.len(), nodes(s))).collect()
    }

    fn open(dir: &Path) -> Service {
        let config = Config {
            seal_rows: Some(SEAL_ROWS),
            ..Config::default()
        };
        Service::open(dir, config).unwrap()
    }

    fn create(service: &Service) {
        let spec = IndexSpec::new("x", 2, Distance::L2);
        service.create(&spec).unwrap();
    }

    fn metadata(number: usize) -> String {
        format!("{{\"n\": {number}}}")
    }

    fn add(service: &Service, numbers: Range<usize>) {
        let items = numbers.map(|number| Item {
            id: number.to_string(),
            vector: vector(number),
            metadata: Some(metadata(number)),
        });
        service.add("x", items.collect()).unwrap();
    }

    #[test]
    fn rows_in_the_log_alone_are_linked_where_they_are_searched() {
        let dir = tempfile::tempdir().unwrap();
        let service = open(dir.path());
        create(&service);
        let nearest = |service: &Service, number: usize| {
            let hits = service.search("x", &Query::new(vector(number), 1)).unwrap();
            let hit = &hits[0];
            (
                hit.id.to_string(),
                hit.metadata.as_deref().map(str::to_owned),
            )
        };
        let expected = |number: usize| (number.to_string(), Some(metadata(number)));

        add(&service, 0..EACH);
        service.settle();
        assert_eq!(unsealed(&service), [(EACH, 0)], "nobody searched");

        assert_eq!(nearest(&service, 7), expected(7));
        service.settle();
        assert_eq!(unsealed(&service), [(EACH, EACH)]);
        assert_eq!(nearest(&service, 7), expected(7));

        // Items replaced and removed since, and new ones, in the next graph.
        service.delete("x", vec!["7".into(), "8".into()]).unwrap();
        add(&service, 9..EACH + 9);
        assert_ne!(nearest(&service, 7).0, "7");
        service.settle();
        let live = EACH + 9 - 2;
        assert_eq!(unsealed(&service), [(live, live)]);
        assert_eq!(service.get("x").unwrap().count, live as u64);
        for number in (0..EACH + 9).filter(|number| ![7, 8].contains(number)) {
            assert_eq!(nearest(&service, number), expected(number));
        }
        assert!(service.get("x").unwrap().memory > 0);

        drop(service);
        let service = open(dir.path());
        assert_eq!(service.get("x").unwrap().count, live as u64);
        assert_eq!(nearest(&service, 100), expected(100));
        assert_ne!(nearest(&service, 7).0, "7");
    }

    #[test]
    fn what_died_before_it_was_linked_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let service = open(dir.path());
        create(&service);
        add(&service, 0..EACH);
        let ids = (0..EACH).map(|number| number.to_string());
        service.delete("x", ids.collect()).unwrap();
        let hits = service.search("x", &Query::new(vector(1), 5)).unwrap();
        assert!(hits.is_empty());
        service.settle();
        assert_eq!(unsealed(&service), []);
    }
}
