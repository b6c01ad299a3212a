//! What publications say about documents.

use std::sync::Arc;

use super::Session;
use super::outbox::Data;
use crate::ejson::Fields;
use crate::merge_box::{Delivery, LiveChange, SubscriptionKey, UnknownDocument};
use crate::message::DataMessage;
use crate::{DocumentId, Error};

impl Session {
    /// A publication has a document.
    pub fn added(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: impl Into<Arc<Fields>>,
    ) {
        if self.subscriptions.contains(sub) {
            let message = self.merge_box.added(sub, collection, id, fields);
            self.send_own(message);
        }
    }

    /// A document of a publication has other fields.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] when the publication never added it. If its handler still runs, the
    /// subscription ends with an internal error, as if the handler had thrown.
    pub fn changed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: &Fields,
        cleared: &[String],
    ) -> Result<(), UnknownDocument> {
        if !self.subscriptions.contains(sub) {
            return Ok(());
        }
        let change = self.merge_box.changed(sub, collection, id, fields, cleared);
        let message = self.known(sub, change)?;
        self.send_own(message);
        Ok(())
    }

    /// A publication no longer has a document.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] as for [`changed`](Self::changed).
    pub fn removed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
    ) -> Result<(), UnknownDocument> {
        if !self.subscriptions.contains(sub) {
            return Ok(());
        }
        let change = self.merge_box.removed(sub, collection, id);
        let message = self.known(sub, change)?;
        self.send_own(message);
        Ok(())
    }

    /// What happened to a document of a live collection from which a publication has its
    /// documents. Sessions to which it means what it says share its text and its version of the
    /// document; others are told what is different for them.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] as for [`changed`](Self::changed).
    pub fn apply(
        &mut self,
        sub: SubscriptionKey,
        change: &Arc<LiveChange>,
    ) -> Result<(), UnknownDocument> {
        if !self.subscriptions.contains(sub) {
            return Ok(());
        }
        let delivery = self.merge_box.apply(sub, change);
        match self.known(sub, delivery)? {
            Delivery::Nothing => {}
            Delivery::Shared => self.send_data(Data::Live(Arc::clone(change))),
            Delivery::Own(message) => self.send_data(Data::Own(message)),
        }
        Ok(())
    }

    /// What a handler says of a document that it does not know is an error in the handler.
    fn known<T>(
        &mut self,
        sub: SubscriptionKey,
        change: Result<T, UnknownDocument>,
    ) -> Result<T, UnknownDocument> {
        if change.is_err() && self.subscriptions.is_running(sub) {
            self.fail(sub, Error::internal());
        }
        change
    }

    fn send_own(&mut self, message: Option<DataMessage>) {
        if let Some(message) = message {
            self.send_data(Data::Own(message));
        }
    }

    fn send_data(&mut self, data: Data) {
        if self.rerun.is_some() {
            self.hold_data(data);
        } else if self.may_send() {
            self.outbox.push_data(data, self.config.drain_bytes);
        }
    }

    /// Sends what belongs together, as a whole: no reader could be fast enough for what is said in
    /// one moment.
    pub(super) fn send_batch(&mut self, batch: impl IntoIterator<Item = Data>) {
        if self.rerun.is_some() {
            batch.into_iter().for_each(|data| self.hold_data(data));
        } else if self.may_send_batch() {
            self.outbox.push_batch(batch, self.config.drain_bytes);
        }
    }
}
