//! The latest few thousand of something: found by key, forgotten in the order they came.
//!
//! A map beside a queue would hold each key twice, and is slow where every send adds one and pushes one out: what is pushed out lies cold. Here
//! the queue holds what is known, and a table of numbers finds it.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// At most `max` items, found by key.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    max: usize,
    /// Oldest first.
    items: VecDeque<Item<K, V>>,
    /// The number of the oldest; those after it count on, and round.
    first: u32,
    numbers: HashTable<u32>,
    hashing: DefaultHashBuilder,
}

#[derive(Debug)]
struct Item<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Nothing yet.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            items: VecDeque::new(),
            first: 0,
            numbers: HashTable::new(),
            hashing: DefaultHashBuilder::default(),
        }
    }

    /// What is known of `key`.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let at = self.find(key, self.hashing.hash_one(key))?;
        self.items.get(at).map(|item| &item.value)
    }

    /// What is known of `key`, which comes in as the newest where it is not known; the oldest goes out for it.
    pub(super) fn get_or_add<Q>(&mut self, key: &Q, new: impl FnOnce() -> (K, V)) -> &mut V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hashing.hash_one(key);
        let at = self.find(key, hash).unwrap_or_else(|| {
            if self.items.len() >= self.max {
                self.forget_oldest();
            }
            let (key, value) = new();
            self.add(Item { hash, key, value });
            self.items.len() - 1
        });
        &mut self.items[at].value
    }

    /// The one that came first.
    pub(super) fn oldest(&self) -> Option<&V> {
        self.items.front().map(|item| &item.value)
    }

    /// Forgets the one that came first.
    pub(super) fn forget_oldest(&mut self) {
        if let Some(item) = self.items.pop_front() {
            let number = self.first;
            if let Ok(found) = self.numbers.find_entry(item.hash, |one| *one == number) {
                found.remove();
            }
            self.first = number.wrapping_add(1);
        }
    }

    /// Forgets those that do not stay. Looks at all of them.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&K) -> bool) {
        self.items.retain(|item| stays(&item.key));
        self.numbers.clear();
        for (number, item) in (0..).zip(&self.items) {
            let number = self.first.wrapping_add(number);
            self.numbers.insert_unique(item.hash, number, |one| hash_of(&self.items, self.first, *one));
        }
    }

    fn find<Q>(&self, key: &Q, hash: u64) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is_it = |number: &u32| self.items[position(self.first, *number)].key.borrow() == key;
        self.numbers.find(hash, is_it).map(|number| position(self.first, *number))
    }

    fn add(&mut self, item: Item<K, V>) {
        let len = self.items.len();
        if len == self.items.capacity() {
            // Twice as many, but no room for more than there may be.
            self.items.reserve_exact(len.max(16).min(self.max - len));
        }
        let number = u32::try_from(len).unwrap_or_else(|_| unreachable!("there are never so many"));
        let (hash, number) = (item.hash, self.first.wrapping_add(number));
        self.items.push_back(item);
        self.numbers.insert_unique(hash, number, |one| hash_of(&self.items, self.first, *one));
    }
}

const fn position(first: u32, number: u32) -> usize {
    number.wrapping_sub(first) as usize
}

fn hash_of<K, V>(items: &VecDeque<Item<K, V>>, first: u32, number: u32) -> u64 {
    items[position(first, number)].hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The same, plainly: a map beside a queue.
    #[derive(Default)]
    struct Plain {
        known: HashMap<u16, u32>,
        order: VecDeque<u16>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u16),
        Forget,
        Retain(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            20 => (0..300u16).prop_map(Step::Add),
            4 => Just(Step::Forget),
            1 => (2..5u16).prop_map(Step::Retain),
        ];
        proptest::collection::vec(step, 0..600)
    }

    proptest! {
        #[test]
        fn it_knows_what_a_map_and_a_queue_know(steps in steps(), first in prop_oneof![Just(0), u32::MAX - 400..=u32::MAX]) {
            const MAX: usize = 100;
            let (mut recent, mut plain) = (Recent::new(MAX), Plain::default());
            recent.first = first;
            for (now, step) in (0..).zip(steps) {
                match step {
                    Step::Add(key) => {
                        *recent.get_or_add(&key, || (key, 0)) = now;
                        if plain.known.insert(key, now).is_none() {
                            plain.order.push_back(key);
                        }
                        if plain.order.len() > MAX {
                            plain.known.remove(&plain.order.pop_front().unwrap());
                        }
                    }
                    Step::Forget => {
                        recent.forget_oldest();
                        if let Some(key) = plain.order.pop_front() {
                            plain.known.remove(&key);
                        }
                    }
                    Step::Retain(parts) => {
                        recent.retain(|key| key % parts != 0);
                        plain.order.retain(|key| key % parts != 0);
                        plain.known.retain(|key, _| key % parts != 0);
                    }
                }
                prop_assert_eq!(recent.items.len(), plain.order.len());
                prop_assert_eq!(recent.oldest(), plain.order.front().map(|key| &plain.known[key]));
                for key in 0..300 {
                    prop_assert_eq!(recent.get(&key), plain.known.get(&key));
                }
            }
            prop_assert!(recent.items.capacity() <= MAX);
        }
    }
}
