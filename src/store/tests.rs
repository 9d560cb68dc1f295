//! The store from outside: what was recorded is there, in order, whatever happens.

mod recording;
