//! The latest few thousand of something: found by key, forgotten in the order they came.
//!
//! A map beside a queue would hold each key twice, and is slow where every send adds one and pushes one out: what is pushed out lies cold. Here
//! the queue holds what is known, and a small table of numbers finds it.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

/// At most `max` items, found by key.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    max: usize,
    /// Oldest first.
    items: VecDeque<Item<K, V>>,
    /// The number of the oldest; those after it count on.
    first: u32,
    /// Where each item stands: at its hash, or as near behind as there was room. A power of two long, and at most two thirds full.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Item<K, V> {
    hash: u32,
    key: K,
    value: V,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    number: u32,
}

/// Numbers go round below this.
const NUMBERS: u32 = 1 << 31;
const FREE: Place = Place { hash: 0, number: u32::MAX };

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Nothing yet.
    pub(super) const fn new(max: usize) -> Self {
        Self { max, items: VecDeque::new(), first: 0, places: Vec::new() }
    }

    /// What is known of `key`.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find(key, hash_of(key)).and_then(|at| self.items.get(at)).map(|item| &item.value)
    }

    /// What is known of `key`, which comes in as the newest where it is not known; the oldest goes out for it.
    pub(super) fn get_or_add<Q>(&mut self, key: &Q, new: impl FnOnce() -> (K, V)) -> &mut V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash_of(key);
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
            self.free(item.hash, self.first);
            self.first = (self.first + 1) % NUMBERS;
        }
    }

    /// Forgets those that do not stay. Looks at all of them.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&K) -> bool) {
        self.items.retain(|item| stays(&item.key));
        self.place_all(self.places.len());
    }

    fn find<Q>(&self, key: &Q, hash: u32) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let place = self.places[at];
            if place.number == FREE.number {
                return None;
            }
            let position = self.position(place.number);
            if place.hash == hash && self.items[position].key.borrow() == key {
                return Some(position);
            }
            at = self.behind(at);
        }
    }

    fn add(&mut self, item: Item<K, V>) {
        let len = self.items.len();
        if len == self.items.capacity() {
            // Twice as many, but no room for more than there may be.
            self.items.reserve_exact(len.max(16).min(self.max - len));
        }
        let hash = item.hash;
        self.items.push_back(item);
        if self.items.len() * 3 > self.places.len() * 2 {
            self.place_all((self.places.len() * 2).max(32));
        } else {
            self.place(hash, self.number(len));
        }
    }

    /// Makes a table of so many places.
    fn place_all(&mut self, places: usize) {
        self.places.clear();
        self.places.resize(places, FREE);
        for at in 0..self.items.len() {
            self.place(self.items[at].hash, self.number(at));
        }
    }

    fn place(&mut self, hash: u32, number: u32) {
        let mut at = self.home(hash);
        while self.places[at].number != FREE.number {
            at = self.behind(at);
        }
        self.places[at] = Place { hash, number };
    }

    /// Frees a place; what stands behind it moves up, unless it would come before its home.
    fn free(&mut self, hash: u32, number: u32) {
        let mut gap = self.home(hash);
        while self.places[gap].number != number {
            gap = self.behind(gap);
        }
        let mut at = self.behind(gap);
        while self.places[at].number != FREE.number {
            if self.distance(self.home(self.places[at].hash), at) >= self.distance(gap, at) {
                self.places[gap] = self.places[at];
                gap = at;
            }
            at = self.behind(at);
        }
        self.places[gap] = FREE;
    }

    const fn home(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    const fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    const fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }

    const fn position(&self, number: u32) -> usize {
        (number.wrapping_sub(self.first) % NUMBERS) as usize
    }

    fn number(&self, position: usize) -> u32 {
        let position = u32::try_from(position).unwrap_or_else(|_| unreachable!("there are never so many"));
        (self.first + position) % NUMBERS
    }
}

/// Quick for short names, and good for nothing else: who wants two of them to meet can make them. What comes of it is a longer search in a
/// table of a bounded size.
#[derive(Default)]
struct Folded(u64);

impl Folded {
    const fn fold(&mut self, word: u64) {
        let product = (self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) as u128 * 0xd6e8_feb8_6659_fd93;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.fold(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.fold(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.fold(u64::from(byte));
    }
}

fn hash_of<Q: Hash + ?Sized>(key: &Q) -> u32 {
    let mut hasher = Folded::default();
    key.hash(&mut hasher);
    // The upper half: the better one.
    (hasher.finish() >> 32) as u32
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
        fn it_knows_what_a_map_and_a_queue_know(steps in steps(), first in prop_oneof![Just(0), NUMBERS - 400..NUMBERS]) {
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

    #[test]
    fn names_that_differ_little_do_not_crowd() {
        let homes = |name: fn(u32) -> String| {
            let homes: std::collections::HashSet<_> =
                (0..8192).map(|number| hash_of(name(number).as_str()) % 16_384).collect();
            homes.len()
        };
        // As many as chance leaves, give or take a few.
        assert!(homes(|number| format!("ORD-{number:06}")) > 6300);
        assert!(homes(|number| format!("521555{number:07}@c.us")) > 6300);
    }
}
