//! Strategies for proptest.

use std::fmt;
use std::rc::Rc;

use proptest::prelude::Rng;
use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shrink::{Cut, cuts, without};
use super::{Dice, Shape, cluster, some_flows};
use crate::oracle::{Flow, World};

/// A world and flows in it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The flows.
    pub flows: Vec<Flow>,
    /// The world.
    pub world: World,
}

/// As JSON: it can be pasted into a test.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}

/// Worlds of a shape.
pub fn worlds(shape: Shape) -> Drawn<World> {
    drawn(move |dice| cluster::world(dice, &shape))
}

/// Worlds of a shape, each with so many flows at its edges.
pub fn cases(shape: Shape, flows: usize) -> Drawn<Case> {
    drawn(move |dice| {
        let world = cluster::world(dice, &shape);
        Case { flows: some_flows(&world, dice, flows), world }
    })
}

/// Values that are drawn by dice, and shrink by taking away from their JSON.
pub fn drawn<T>(draw: impl Fn(&mut Dice) -> T + 'static) -> Drawn<T> {
    Drawn(Rc::new(draw))
}

/// See [`drawn`].
#[derive(Clone)]
pub struct Drawn<T>(Rc<dyn Fn(&mut Dice) -> T>);

impl<T> fmt::Debug for Drawn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Drawn")
    }
}

impl<T: fmt::Debug + Clone + Serialize + DeserializeOwned> Strategy for Drawn<T> {
    type Tree = Shrinking<T>;
    type Value = T;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let value = (self.0)(&mut Dice::from_seed(runner.rng().next_u64()));
        Ok(Shrinking { failing: value.clone(), current: value, pass: None })
    }
}

/// A value from which things are taken away.
#[derive(Debug)]
pub struct Shrinking<T> {
    /// The least value for which the test is known to fail.
    failing: T,
    /// The value in question.
    current: T,
    pass: Option<Pass>,
}

/// One pass over everything that can be taken away.
#[derive(Debug)]
struct Pass {
    /// The failing value.
    value: Value,
    /// The value in question.
    less: Value,
    cuts: Vec<Cut>,
    next: usize,
    /// Whether this pass took anything away.
    lucky: bool,
}

impl<T: Clone + Serialize + DeserializeOwned> Shrinking<T> {
    /// Goes on to the next thing that can be taken away.
    fn advance(&mut self) -> bool {
        self.current = self.failing.clone();
        let Some(pass) = &mut self.pass else { return false };
        loop {
            if pass.next >= pass.cuts.len() {
                if !std::mem::take(&mut pass.lucky) {
                    return false;
                }
                pass.next = 0;
                pass.cuts = cuts(&pass.value);
                continue;
            }
            let less = without(&pass.value, &pass.cuts[pass.next]);
            pass.next += 1;
            if let Some(less) = less
                && let Ok(current) = T::deserialize(&less)
            {
                self.current = current;
                pass.less = less;
                return true;
            }
        }
    }
}

impl<T: fmt::Debug + Clone + Serialize + DeserializeOwned> ValueTree for Shrinking<T> {
    type Value = T;

    fn current(&self) -> T {
        self.current.clone()
    }

    /// The test fails for the current value.
    fn simplify(&mut self) -> bool {
        self.failing = self.current.clone();
        match &mut self.pass {
            None => {
                let Ok(value) = serde_json::to_value(&self.failing) else { return false };
                self.pass =
                    Some(Pass { cuts: cuts(&value), less: Value::Null, next: 0, lucky: false, value });
            }
            Some(pass) => {
                pass.value = std::mem::take(&mut pass.less);
                pass.cuts = cuts(&pass.value);
                // What follows moved up by one.
                pass.next = pass.next.saturating_sub(1);
                pass.lucky = true;
            }
        }
        self.advance()
    }

    /// The test passes for the current value.
    fn complicate(&mut self) -> bool {
        self.advance()
    }
}
