//! The client has become another user: its subscriptions begin again.

use super::Session;
use super::event::{Event, Origin};
use super::outbox::Data;
use super::queue::{CallKey, Work};
use super::subscriptions::Subscription;
use crate::merge_box::{MergeBox, Strategy, SubscriptionKey};
use crate::message::ServerMessage;
use std::sync::Arc;

/// What happens between the change of the user and the moment in which the client hears what it
/// has changed.
#[derive(Debug, Default)]
pub(super) struct Rerun {
    /// What the client still has.
    before: MergeBox,
    /// Those of which the beginning is waited for.
    waiting: Vec<SubscriptionKey>,
    /// What was said of collections that are not merged.
    unmerged: Vec<Data>,
    unmerged_bytes: usize,
    /// Answers that follow data which the client has not heard yet.
    answers: Vec<ServerMessage>,
}

/// The user cannot be set: the method has unblocked the client's queue, or has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the user can only be set by a method that has not called unblock")]
pub struct CannotSetUser;

impl Session {
    /// Makes the client another user, or nobody.
    ///
    /// All its subscriptions are stopped and begun again with the same ids, also if the user is
    /// the same as before: expect [`Event::Stopped`] for each of them, then [`Event::Subscribe`]
    /// with new keys, those of the client first. When the handlers of all have returned, or are
    /// ready, have unblocked or ended, the client hears one difference between what it had and
    /// what it has now, then one `ready`, and only then the method's result and whatever else
    /// was said meanwhile. Until then its next messages wait. Universal publications that were
    /// still running are not waited for.
    ///
    /// # Errors
    ///
    /// [`CannotSetUser`], which should fail the method, as in Meteor (`setUserId` in
    /// `packages/ddp-common/method_invocation.js`).
    pub fn set_user_id(
        &mut self,
        call: CallKey,
        user_id: Option<Arc<str>>,
    ) -> Result<(), CannotSetUser> {
        if !self.queue.is_blocked_by(Work::Method(call)) {
            return Err(CannotSetUser);
        }
        self.user_id = user_id;
        self.begin_rerun();
        Ok(())
    }

    fn begin_rerun(&mut self) {
        let old = self.subscriptions.take_all();
        let stopped = old.iter().map(|sub| Event::Stopped { sub: sub.key });
        self.events.extend(stopped);
        let empty = MergeBox::new(Arc::clone(&self.config.strategies));
        let had = std::mem::replace(&mut self.merge_box, empty);
        let mut rerun = self.rerun.take().unwrap_or_else(|| {
            Box::new(Rerun {
                before: had,
                ..Rerun::default()
            })
        });
        rerun.forget_data();
        let was_waited_for = std::mem::take(&mut rerun.waiting);
        let unsettled = |sub: &&Subscription| !sub.settled && !was_waited_for.contains(&sub.key);
        let endless = old.iter().filter(unsettled);
        let endless: Vec<Origin> = endless
            .map(|sub| sub.origin.clone())
            .filter(|origin| matches!(origin, Origin::Universal(_)))
            .collect();
        for sub in old.into_iter().filter(|sub| sub.id().is_some()) {
            rerun
                .waiting
                .push(self.subscribe(sub.origin, sub.bytes, true));
        }
        for origin in (0..self.universal).map(Origin::Universal) {
            let is_endless = endless.contains(&origin);
            let sub = self.subscribe(origin, 0, true);
            if !is_endless {
                rerun.waiting.push(sub);
            }
        }
        self.rerun = Some(rerun);
        self.finish_rerun();
    }

    /// Keeps what was said of collections that are not merged. If nobody could keep all of it, the
    /// rest of the subscriptions is not waited for.
    pub(super) fn hold_data(&mut self, data: Data) {
        let strategy = self.config.strategies.of(data.collection());
        let Some(rerun) = &mut self.rerun else { return };
        if strategy == Strategy::ServerMerge {
            return;
        }
        rerun.unmerged_bytes += data.weight();
        rerun.unmerged.push(data);
        if rerun.unmerged_bytes > self.config.max_queued_bytes {
            rerun.waiting.clear();
            self.finish_rerun();
        }
    }

    /// A subscription has begun, or ended.
    pub(super) fn settle(&mut self, sub: SubscriptionKey) {
        if let Some(subscription) = self.subscriptions.get_mut(sub) {
            subscription.settled = true;
        }
        if let Some(rerun) = &mut self.rerun {
            rerun.waiting.retain(|other| *other != sub);
            self.finish_rerun();
        }
    }

    /// Tells the client what is different, once nobody is waited for any more.
    fn finish_rerun(&mut self) {
        let Some(rerun) = self.rerun.take_if(|rerun| rerun.waiting.is_empty()) else {
            return;
        };
        let difference = rerun.before.diff(&self.merge_box).into_iter();
        let unmerged = rerun.unmerged.into_iter();
        self.send_batch(difference.map(Data::Own).chain(unmerged));
        let subs = self.subscriptions.ready_ids();
        if !subs.is_empty() {
            self.send(&ServerMessage::Ready { subs });
        }
        for answer in rerun.answers {
            self.send(&answer);
        }
        self.advance();
    }
}

impl Rerun {
    fn forget_data(&mut self) {
        self.unmerged.clear();
        self.unmerged_bytes = 0;
    }

    pub(super) fn hold_answer(&mut self, answer: ServerMessage) {
        self.answers.push(answer);
    }
}
