//! Publications that every client gets without asking (`Meteor.publish(null, …)`).

use super::Session;
use super::event::Origin;

impl Session {
    /// Begins those universal publications that [`Names::universal`](super::Names::universal)
    /// counts and that this client does not have yet. To be said to every session when one was
    /// added; a client that has not connected gets all of them when it does.
    pub fn start_universal(&mut self) {
        if !self.is_open() {
            return;
        }
        let begun = std::mem::replace(&mut self.universal, self.names.universal());
        for number in begun..self.universal {
            self.subscribe(Origin::Universal(number), 0, false);
        }
    }
}
