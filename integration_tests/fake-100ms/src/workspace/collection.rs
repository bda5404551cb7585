//! One kind of object, in the order of creation.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, Utc};

use super::lag::Lag;
use super::object_id::ObjectId;
use crate::readings::ListOrder;

/// What a [`Collection`] must know of its objects.
pub(crate) trait Item {
    fn id(&self) -> ObjectId;
    fn created_at(&self) -> DateTime<Utc>;
    /// When it became as it is.
    fn changed_at(&self) -> DateTime<Utc>;
}

/// Objects by ascending id, which is ascending `created_at`; nothing is ever taken away.
pub(crate) struct Collection<T> {
    items: Vec<T>,
    /// All positions in an order that has nothing to do with time.
    shuffled: Vec<u32>,
    /// What the items at some positions were before, oldest first; only kept where lists lag behind.
    former: HashMap<usize, Vec<T>>,
}

impl<T: Item> Collection<T> {
    pub(crate) fn new(items: Vec<T>) -> Collection<T> {
        debug_assert!(items.is_sorted_by_key(|item| item.id()));
        let mut shuffled: Vec<u32> = (0..items.len() as u32).collect();
        shuffled.sort_by_key(|&position| items[position as usize].id().scrambled());
        Collection { items, shuffled, former: HashMap::new() }
    }

    /// Puts a newer item behind all others and gives its position.
    pub(crate) fn push(&mut self, item: T) -> usize {
        let position = self.items.len();
        debug_assert!(self.items.last().is_none_or(|last| last.id() < item.id()));
        let rank = self.rank(item.id());
        self.shuffled.insert(rank, position as u32);
        self.items.push(item);
        position
    }

    /// The item at that position, to be changed; `lag` tells whether lists may show it as it was.
    pub(crate) fn edit(&mut self, position: usize, lag: &Lag) -> &mut T
    where
        T: Clone,
    {
        let item = &mut self.items[position];
        if !lag.is_none() {
            self.former.entry(position).or_default().push(item.clone());
        }
        item
    }

    /// The item at that position as lists show it at `now`; `None` when they do not show it yet.
    pub(crate) fn shown(&self, position: usize, lag: &Lag, now: DateTime<Utc>) -> Option<&T> {
        let item = &self.items[position];
        if lag.is_none() {
            return Some(item);
        }
        let number = item.id().scrambled();
        let former = self.former.get(&position).map_or(&[][..], Vec::as_slice);
        let versions = std::iter::once(item).chain(former.iter().rev());
        versions.into_iter().find(|version| lag.shows(number, version.changed_at(), now))
    }

    /// How many items come before this id in the shuffled order.
    fn rank(&self, id: ObjectId) -> usize {
        let before = |&position: &u32| self[position as usize].id().scrambled() < id.scrambled();
        self.shuffled.partition_point(before)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    pub(crate) fn position(&self, id: ObjectId) -> Option<usize> {
        self.items.binary_search_by_key(&id, |item| item.id()).ok()
    }

    pub(crate) fn get(&self, id: ObjectId) -> Option<&T> {
        self.position(id).map(|position| &self.items[position])
    }

    /// The positions of the items created within `bounds`, as a list in that order shows them.
    pub(crate) fn in_order(&self, order: ListOrder, bounds: Range<usize>) -> Box<dyn Iterator<Item = usize> + '_> {
        match order {
            ListOrder::NewestFirst => Box::new(bounds.rev()),
            ListOrder::OldestFirst => Box::new(bounds),
            ListOrder::Shuffled => Box::new(
                self.shuffled
                    .iter()
                    .map(|&position| position as usize)
                    .filter(move |position| bounds.contains(position)),
            ),
        }
    }

    /// The same, behind the item at `start`.
    pub(crate) fn in_order_after(
        &self,
        order: ListOrder,
        bounds: Range<usize>,
        start: usize,
    ) -> Box<dyn Iterator<Item = usize> + '_> {
        match order {
            ListOrder::NewestFirst => Box::new((bounds.start..bounds.end.min(start)).rev()),
            ListOrder::OldestFirst => Box::new(bounds.start.max(start + 1)..bounds.end),
            ListOrder::Shuffled => Box::new(
                self.shuffled[self.rank(self[start].id()) + 1..]
                    .iter()
                    .map(|&position| position as usize)
                    .filter(move |position| bounds.contains(position)),
            ),
        }
    }

    /// The range of positions whose creation time, seen through `visible`, lies in [after, before].
    pub(crate) fn created_within(
        &self,
        after: Option<DateTime<Utc>>,
        before: Option<DateTime<Utc>>,
        visible: impl Fn(DateTime<Utc>) -> DateTime<Utc>,
    ) -> Range<usize> {
        let first_not = |holds: &dyn Fn(DateTime<Utc>) -> bool| {
            self.items.partition_point(|item| holds(visible(item.created_at())))
        };
        let start = after.map_or(0, |after| first_not(&|time| time < after));
        let end = before.map_or(self.len(), |before| first_not(&|time| time <= before));
        start..end.max(start)
    }
}

impl<T> std::ops::Index<usize> for Collection<T> {
    type Output = T;

    fn index(&self, position: usize) -> &T {
        &self.items[position]
    }
}

#[cfg(test)]
mod tests {
    use super::super::object_id::IdMint;
    use super::*;

    #[derive(Clone)]
    struct Thing(ObjectId, DateTime<Utc>, DateTime<Utc>);

    impl Item for Thing {
        fn id(&self) -> ObjectId {
            self.0
        }
        fn created_at(&self) -> DateTime<Utc> {
            self.1
        }
        fn changed_at(&self) -> DateTime<Utc> {
            self.2
        }
    }

    fn thing(mint: &mut IdMint, seconds: i64) -> Thing {
        let time = DateTime::from_timestamp(seconds, 0).expect("a small number of seconds");
        Thing(mint.next(time), time, time)
    }

    fn collection() -> Collection<Thing> {
        let mut mint = IdMint::new(1);
        let mut collection = Collection::new((0..50).map(|s| thing(&mut mint, s)).collect());
        for seconds in 50..100 {
            collection.push(thing(&mut mint, seconds));
        }
        collection
    }

    #[test]
    fn every_order_goes_on_where_it_stopped() {
        let collection = collection();
        for order in [ListOrder::NewestFirst, ListOrder::OldestFirst, ListOrder::Shuffled] {
            let whole: Vec<_> = collection.in_order(order, 10..90).collect();
            assert_eq!(whole.len(), 80);
            let rest: Vec<_> = collection.in_order_after(order, 10..90, whole[29]).collect();
            assert_eq!(rest, whole[30..]);
        }
    }

    #[test]
    fn lists_show_what_an_item_was_until_its_change_is_visible() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a small number of seconds");
        let mut collection = collection();
        let lag = Lag { longest: chrono::TimeDelta::seconds(40), since: at(50) };
        let position = (0..50).find(|&position| collection[position].id().scrambled() % 5 == 2).expect("one in five");
        collection.edit(position, &lag).2 = at(200);
        let shown = |now| collection.shown(position, &lag, at(now)).map(|thing| thing.2);
        assert_eq!(shown(200), Some(at(position as i64)));
        assert_eq!(shown(220), Some(at(200)));
        let new = (51..100).find(|&position| collection[position].id().scrambled() % 5 == 4).expect("one in five");
        assert!(collection.shown(new, &lag, at(new as i64 + 39)).is_none());
        assert!(collection.shown(new, &lag, at(new as i64 + 40)).is_some());
    }

    #[test]
    fn bounds_are_inclusive() {
        let collection = collection();
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        assert_eq!(collection.created_within(at(10), at(20), |t| t), 10..21);
        assert_eq!(collection.created_within(None, at(-1), |t| t), 0..0);
        assert_eq!(collection.created_within(at(200), None, |t| t), 100..100);
    }
}
