//! The configuration as a whole: layers in, values or faults out.

use super::*;

#[test]
fn defaults_have_no_fault() {
    if let Err(faults) = load(None, &[]) {
        panic!("{faults}");
    }
}
